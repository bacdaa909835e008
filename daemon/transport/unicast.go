package transport

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

// openUnicast binds the receiving socket to the local address and port, and the sending socket to the same address
// and to the device: the peer knows us by that address, and the link is that interface whatever the routes say.
// The receiving socket is not bound to the device, so that what arrives on another interface is seen and counted.
func (l *Link) openUnicast(list []rtnetlink.Address) error {
	if hasAddress(list, l.remote) {
		return fmt.Errorf("peer %v: is an address of this router's own %s, give the other router's", l.remote, l.cfg.Interface)
	}
	var err error
	if l.local, err = l.unicastLocal(list); err != nil {
		return err
	}
	if err := unix.BindToDevice(l.send.fd, l.cfg.Interface); err != nil {
		return fmt.Errorf("bind to device %s: %w", l.cfg.Interface, err)
	}
	if err := bind(l.recv.fd, l.local, l.cfg.Port, l.dev.index); err != nil {
		return err
	}
	return bind(l.send.fd, l.local, 0, l.dev.index)
}

// unicastLocal returns the address to bind to. There is always one: a socket on the wildcard would take the port from
// the other links, and the peer would see whatever source the routes give.
func (l *Link) unicastLocal(list []rtnetlink.Address) (netip.Addr, error) {
	local, err := l.listening(list)
	if len(l.cfg.Listen) == 1 {
		return l.cfg.Listen[0], nil // bind says if it is nowhere
	}
	if err != nil || local.IsValid() {
		return local, err
	}
	if local = chooseLocal(list, l.remote); !local.IsValid() {
		return local, fmt.Errorf("interface %s has no address (or not yet) that reaches %v, give it one (ip address add ... dev %[1]s): %[3]w",
			l.cfg.Interface, l.remote, ErrNoAddress)
	}
	return local, nil
}

// chooseLocal returns the address of the interface to talk to peer from, invalid if there is none.
//
// A peer on a connected prefix is answered from that prefix. Addresses that may vanish in a failover (secondary ones
// and host addresses, which is what keepalived adds) come last; tentative and deprecated ones do not come at all.
func chooseLocal(list []rtnetlink.Address, peer netip.Addr) netip.Addr {
	var best netip.Addr
	bestRank := 0
	for _, a := range ofFamily(list, peer) {
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) != 0 {
			continue
		}
		if a.IP.IsLinkLocalUnicast() != peer.IsLinkLocalUnicast() && a.IP.Is6() {
			continue // neither reaches the other
		}
		rank := 1
		if a.Prefix.Contains(peer) {
			rank += 4
		}
		if a.Flags&unix.IFA_F_SECONDARY == 0 || a.IP.Is6() { // IPv6: the same bit means a temporary address
			rank += 2
		}
		if !a.Prefix.IsSingleIP() {
			rank++
		}
		if rank > bestRank {
			best, bestRank = a.IP, rank
		}
	}
	return best
}
