package rtnetlink

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rtnl "github.com/jsimonetti/rtnetlink/v2"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var compareAddresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestAddressOf(t *testing.T) {
	attributes := func(local, address string, flags uint32) *rtnl.AddressAttributes {
		a := &rtnl.AddressAttributes{Flags: flags}
		for s, ip := range map[string]*net.IP{local: &a.Local, address: &a.Address} {
			if s != "" {
				*ip = netip.MustParseAddr(s).AsSlice()
			}
		}
		return a
	}
	for _, tt := range []struct {
		name string
		in   rtnl.AddressMessage
		want string // "" = no address
		net  string
		flag uint32
	}{
		{
			"IPv4", rtnl.AddressMessage{PrefixLength: 24, Flags: 0x80, Attributes: attributes("10.1.0.1", "10.1.0.1", 0x280)},
			"10.1.0.1", "10.1.0.0/24", 0x280,
		},
		{
			"point to point", rtnl.AddressMessage{PrefixLength: 16, Attributes: attributes("10.7.0.1", "10.8.0.1", 0)},
			"10.7.0.1", "10.8.0.0/16", 0,
		},
		{
			"IPv6 without a local address", rtnl.AddressMessage{PrefixLength: 64, Attributes: attributes("", "2001:db8::1", 0)},
			"2001:db8::1", "2001:db8::/64", 0,
		},
		{
			"local address only", rtnl.AddressMessage{PrefixLength: 32, Flags: 1, Attributes: attributes("10.1.0.1", "", 0)},
			"10.1.0.1", "10.1.0.1/32", 1,
		},
		{"no attributes", rtnl.AddressMessage{PrefixLength: 32}, "", "", 0},
		{"no address", rtnl.AddressMessage{Attributes: attributes("", "", 0)}, "", "", 0},
		{"prefix too long", rtnl.AddressMessage{PrefixLength: 33, Attributes: attributes("10.1.0.1", "10.1.0.1", 0)}, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := addressOf(&tt.in)
			if !ok || tt.want == "" {
				if ok || tt.want != "" {
					t.Errorf("%+v, %v", got, ok)
				}
				return
			}
			want := Address{netip.MustParseAddr(tt.want), netip.MustParsePrefix(tt.net), 0, tt.flag}
			if d := cmp.Diff(want, got, compareAddresses); d != "" {
				t.Errorf("address (-want +got):\n%s", d)
			}
		})
	}
}

// lab has the addresses of interface d0 in a namespace of its own, which also has another interface, d1.
func lab(t *testing.T) (ns *nstest.NS, d0 []Address) {
	t.Helper()
	ns = nstest.New(t)
	ns.Sysctl(t, "net.ipv6.conf.default.addr_gen_mode", "1")
	ns.Run(t, "ip", "link", "add", "d0", "index", "7", "type", "veth", "peer", "name", "d1")
	ns.Run(t, "ip", "link", "set", "d0", "up")
	ns.Run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "10.1.0.9/24", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "10.7.0.1", "peer", "10.8.0.0/16", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "2001:db8::1/64", "dev", "d0", "nodad")
	ns.Run(t, "ip", "address", "add", "192.0.2.1/24", "dev", "d1")
	const perm = unix.IFA_F_PERMANENT
	return ns, []Address{
		{netip.MustParseAddr("10.1.0.1"), netip.MustParsePrefix("10.1.0.0/24"), 7, perm},
		{netip.MustParseAddr("10.7.0.1"), netip.MustParsePrefix("10.8.0.0/16"), 7, perm},
		{netip.MustParseAddr("10.1.0.9"), netip.MustParsePrefix("10.1.0.0/24"), 7, perm | unix.IFA_F_SECONDARY},
		{netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("2001:db8::/64"), 7, perm | unix.IFA_F_NODAD},
	}
}

func TestList(t *testing.T) {
	ns, want := lab(t)
	var conn *Conn
	var err error
	ns.Do(func() { conn, err = Dial() })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := conn.List(7) // from a thread of another namespace
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, compareAddresses); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
	if _, err := conn.List(77); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such interface: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.List(7); err == nil {
		t.Error("a closed socket lists addresses")
	}
}

func TestOwn(t *testing.T) {
	ns, d0 := lab(t)
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	for _, a := range d0 {
		want = append(want, a.IP)
	}
	var got []netip.Addr
	var err error
	ns.Do(func() { got, err = Own() })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, compareAddresses, cmpopts.SortSlices(netip.Addr.Less)); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
}

// TestAnswered: a router answers for its addresses, for what its local routes lead to, and for proxied neighbours.
func TestAnswered(t *testing.T) {
	ns, _ := lab(t)
	ns.Run(t, "ip", "link", "set", "d1", "up")
	ns.Run(t, "ip", "route", "add", "local", "198.51.100.16/28", "dev", "lo")
	ns.Run(t, "ip", "route", "add", "198.51.100.0/24", "dev", "d1")
	ns.Run(t, "ip", "neigh", "add", "proxy", "192.0.2.77", "dev", "d1")
	ns.Run(t, "ip", "neigh", "add", "192.0.2.78", "lladdr", "02:00:00:00:00:01", "dev", "d1")
	var own []netip.Prefix
	var networks []Network
	var err error
	ns.Do(func() { own, networks, err = Answered() })
	if err != nil {
		t.Fatal(err)
	}
	has := func(a string) bool {
		return slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(a)) })
	}
	for _, a := range []string{
		"10.1.0.1", "10.7.0.1", "192.0.2.1", "127.0.0.1", "2001:db8::1", "198.51.100.20", "192.0.2.77",
	} {
		if !has(a) {
			t.Errorf("it does not answer for %s: %v", a, own)
		}
	}
	for _, a := range []string{"10.1.0.2", "192.0.2.78", "198.51.100.1", "2001:db8::2", "10.8.0.1"} {
		if has(a) {
			t.Errorf("it answers for %s: %v", a, own)
		}
	}
	for _, n := range []Network{
		{netip.MustParsePrefix("192.0.2.0/24"), "d1"}, {netip.MustParsePrefix("2001:db8::/64"), "d0"},
	} {
		if !slices.Contains(networks, n) {
			t.Errorf("no network %v in %v", n, networks)
		}
	}
}
