package transport

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openMulticast binds the receiving socket to the group, so that unicast datagrams to the port never reach it, joins
// the group on the interface by index and tells the sending socket to leave by it.
//
// Neither socket is bound to the device: what arrives on another interface shall be seen, dropped and counted. (The
// kernel itself binds the socket of a group of link-local scope, ff02::/16.)
func (l *Link) openMulticast(list []address) error {
	l.local = l.cfg.Listen
	if l.local.IsValid() && !hasAddress(list, l.local) {
		// The other router would take a source from elsewhere for a stranger.
		return fmt.Errorf("interface %s does not have (or not yet) the listen address %v: %w", l.cfg.Interface, l.local, ErrNoAddress)
	}
	if l.remote.Is4() && len(ofFamily(list, l.remote)) == 0 {
		// The kernel would send from an address of another interface.
		return fmt.Errorf("interface %s has no IPv4 address, give it one (ip address add ... dev %[1]s): %w", l.cfg.Interface, ErrNoAddress)
	}
	if err := unix.SetsockoptInt(l.recv.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if l.remote.Is4() {
		if err := l.joinIPv4(); err != nil {
			return err
		}
	} else if err := l.joinIPv6(); err != nil {
		return err
	}
	if err := bind(l.recv.fd, l.remote, l.cfg.Port, l.dev.index); err != nil {
		return err
	}
	if l.local.IsValid() {
		return bind(l.send.fd, l.local, 0, l.dev.index)
	}
	return nil
}

func (l *Link) joinIPv4() error {
	join := unix.IPMreqn{Multiaddr: l.remote.As4(), Ifindex: int32(l.dev.index)}
	if err := unix.SetsockoptIPMreqn(l.recv.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &join); err != nil {
		return fmt.Errorf("join group %v on %s: %w", l.remote, l.cfg.Interface, err)
	}
	out := unix.IPMreqn{Ifindex: int32(l.dev.index)}
	if err := unix.SetsockoptIPMreqn(l.send.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &out); err != nil {
		return fmt.Errorf("send multicast by %s: %w", l.cfg.Interface, err)
	}
	return setInts(l.send.fd, []intOption{
		{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0, "IP_MULTICAST_LOOP"},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1, "IP_MULTICAST_TTL"},
	})
}

func (l *Link) joinIPv6() error {
	join := unix.IPv6Mreq{Multiaddr: l.remote.As16(), Interface: uint32(l.dev.index)}
	if err := unix.SetsockoptIPv6Mreq(l.recv.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &join); err != nil {
		return fmt.Errorf("join group %v on %s: %w", l.remote, l.cfg.Interface, err)
	}
	return setInts(l.send.fd, []intOption{
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, l.dev.index, "IPV6_MULTICAST_IF"},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0, "IPV6_MULTICAST_LOOP"},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 1, "IPV6_MULTICAST_HOPS"},
	})
}
