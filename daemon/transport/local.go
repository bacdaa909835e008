package transport

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

// chooseLocal returns the address of the interface that the link sends from: the first of Config.Listen that the
// interface has or, without that setting, the best one of its own. There always is one: the peer knows this router by
// it, and both routers compare their two addresses where one of them has to yield.
func (l *Link) chooseLocal(list []rtnetlink.Address) (netip.Addr, error) {
	for _, a := range l.cfg.Listen {
		if hasAddress(list, a) {
			return a, nil
		}
	}
	if len(l.cfg.Listen) > 0 {
		return netip.Addr{}, fmt.Errorf("interface %s has none (or not yet) of the listen addresses %v, "+
			"add one or correct listen-address: %w", l.cfg.Interface, l.cfg.Listen, ErrNoAddress)
	}
	local := bestLocal(list, l.remote, l.cfg.Virtual)
	if !local.IsValid() {
		return local, fmt.Errorf("interface %s has no address (or not yet) that reaches %v, "+
			"give it one (ip address add ... dev %[1]s): %[3]w", l.cfg.Interface, l.remote, ErrNoAddress)
	}
	return local, nil
}

// bestLocal returns the address of the interface to send to remote from, a peer or a group; it is invalid if there is
// none.
//
// A peer on a connected prefix is reached from that prefix. A link-local group is reached from a link-local address and
// a wider group from a global one, but either from the other if need be, as the kernel does it. Addresses that may
// vanish in a failover come last: those that are known to be virtual, and secondary ones and host addresses, which is
// what keepalived adds. Tentative and deprecated ones do not come at all.
func bestLocal(list []rtnetlink.Address, remote netip.Addr, virtual []netip.Addr) netip.Addr {
	var best netip.Addr
	bestRank := 0
	for _, a := range list {
		if a.IP.Is4() != remote.Is4() || a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) != 0 {
			continue
		}
		sameScope := a.IP.Is4() || a.IP.IsLinkLocalUnicast() == needsScope(remote)
		if !sameScope && !remote.IsMulticast() {
			continue // neither reaches the other
		}
		rank := 1
		if sameScope {
			rank += 16
		}
		if a.Prefix.Contains(remote) {
			rank += 8
		}
		if !slices.Contains(virtual, a.IP) {
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

// Alternatives returns the other addresses from which the link could send to the same place, as far as Config.Listen
// does not choose and Config.Virtual does not have them: the other router may expect another one than Local.
func (l *Link) Alternatives() []netip.Addr {
	if len(l.cfg.Listen) > 0 {
		return nil
	}
	var list []netip.Addr
	for _, a := range l.sources.Load().own {
		likely := a.Is4() == l.local.Is4() && a.IsLinkLocalUnicast() == l.local.IsLinkLocalUnicast()
		if likely && a != l.local && !slices.Contains(l.cfg.Virtual, a) {
			list = append(list, a)
		}
	}
	return list
}

func hasAddress(list []rtnetlink.Address, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(a rtnetlink.Address) bool { return a.IP == ip })
}
