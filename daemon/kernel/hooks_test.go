package kernel

import (
	"errors"
	"testing"

	"github.com/mdlayher/netlink"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// hook is one hook as the kernel lists it: struct nfgenmsg, and what nfnl_hook_dump_one puts behind it.
func hook(t *testing.T, function, module string) []byte {
	t.Helper()
	e := netlink.NewAttributeEncoder()
	e.Bytes(hookNumber, []byte{0, 0, 0, prerouting})
	e.Bytes(2, []byte{0xff, 0xff, 0xff, 0x38}) // NFNLA_HOOK_PRIORITY: -200
	e.String(hookFunction, function)
	if module != "" {
		e.String(hookModule, module)
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{2, 0, 0, 0}, b...)
}

func TestIsConntrack(t *testing.T) {
	for _, c := range []struct {
		function, module string
		want             bool
	}{
		{"ipv4_conntrack_in", "", true}, // built in
		{"ipv6_conntrack_in", "nf_conntrack", true},
		{"nft_do_chain_inet", "nf_tables", false},
		{"ipv4_conntrack_defrag", "nf_defrag_ipv4", false},
	} {
		if got := isConntrack(hook(t, c.function, c.module)); got != c.want {
			t.Errorf("%s of %q: %v", c.function, c.module, got)
		}
	}
	for _, broken := range [][]byte{nil, {2, 0, 0}, {2, 0, 0, 0, 1}, {2, 0, 0, 0, 200, 0, 4, 0}} {
		if isConntrack(broken) {
			t.Errorf("% x is conntrack", broken)
		}
	}
}

// TestHooked: a namespace without rules has no hook of conntrack, and one with a rule that uses it has. A kernel that
// does not list its hooks says so.
func TestHooked(t *testing.T) {
	ns := nstest.New(t)
	nstest.RequireCommand(t, "nft", "nftables")
	hooked := func() (yes bool, err error) {
		ns.Do(func() { yes, err = Hooked(flow.IPv4) })
		return yes, err
	}
	yes, err := hooked()
	if errors.Is(err, ErrNoHooks) {
		t.Skip(err)
	}
	if yes || err != nil {
		t.Errorf("without a rule: %v, %v", yes, err)
	}
	ns.Run(t, "nft", "add table ip t; add chain ip t c { type filter hook input priority 0; }; add rule ip t c ct state new")
	if yes, err := hooked(); !yes || err != nil {
		t.Errorf("with a rule: %v, %v", yes, err)
	}
}
