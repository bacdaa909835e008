package transport

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

// openMulticast binds the receiving socket to the group, so that unicast datagrams to the port never reach it, joins
// the group on the interface by index, and makes the sending socket send by that interface from an address of it.
// Left to itself, the kernel would send from an address of another interface where this one has none, and the other
// router would take us for a stranger.
//
// The receiving socket is bound to the device: another link, or another program, may have joined the same group on
// another interface, and the kernel would deliver datagrams from there to every socket of the group.
func (l *Link) openMulticast(list []rtnetlink.Address) error {
	var err error
	if l.local, err = l.chooseLocal(list); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(l.recv.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if err := unix.BindToDevice(l.recv.fd, l.cfg.Interface); err != nil {
		return fmt.Errorf("bind to device %s: %w", l.cfg.Interface, err)
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
	return bind(l.send.fd, l.local, 0, l.dev.index)
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
