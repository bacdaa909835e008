package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// What linux/netfilter/nfnetlink_hook.h defines.
const (
	hookGet      = unix.NFNL_SUBSYS_HOOK << 8 // NFNL_MSG_HOOK_GET
	hookNumber   = 1                          // NFNLA_HOOK_HOOKNUM, big endian
	hookFunction = 4                          // NFNLA_HOOK_FUNCTION_NAME: "ipv4_conntrack_in"
	hookModule   = 5                          // NFNLA_HOOK_MODULE_NAME
	prerouting   = 0                          // NF_INET_PRE_ROUTING
)

// ErrNoHooks says that this kernel does not list hooks: it is older than Linux 5.14, or was built without
// CONFIG_NETFILTER_NETLINK_HOOK.
var ErrNoHooks = errors.New("the kernel does not list netfilter hooks")

// Hooked reports whether conntrack is hooked into the path of packets of a family in this network namespace. It is only
// while some rule of the namespace uses it: ct, state, conntrack, NAT. The error may be ErrNoHooks.
func Hooked(family flow.Family) (bool, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false, fmt.Errorf("open a netfilter socket: %w", err)
	}
	defer c.Close()
	protocol := byte(unix.NFPROTO_IPV4)
	if family == flow.IPv6 {
		protocol = unix.NFPROTO_IPV6
	}
	e := netlink.NewAttributeEncoder()
	e.Bytes(hookNumber, []byte{0, 0, 0, prerouting})
	attributes, err := e.Encode()
	if err != nil {
		return false, err
	}
	replies, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: hookGet, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{protocol, unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return false, ErrNoHooks
	case errors.Is(err, unix.ENOENT): // nothing at all is hooked in
		return false, nil
	case err != nil:
		return false, fmt.Errorf("list netfilter hooks: %w", err)
	}
	for _, r := range replies {
		if isConntrack(r.Data) {
			return true, nil
		}
	}
	return false, nil
}

// isConntrack reports whether a hook of the kernel's list is conntrack's.
func isConntrack(message []byte) bool {
	const header = 4 // struct nfgenmsg
	if len(message) < header {
		return false
	}
	d, err := netlink.NewAttributeDecoder(message[header:])
	if err != nil {
		return false
	}
	found := false
	for d.Next() {
		switch d.Type() {
		case hookFunction: // the kernel may add the module: "ipv4_conntrack_in [nf_conntrack]"
			found = found || strings.Contains(d.String(), "conntrack_in")
		case hookModule:
			found = found || d.String() == "nf_conntrack"
		}
	}
	return found
}
