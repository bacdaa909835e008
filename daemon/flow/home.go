package flow

import (
	"cmp"
	"net/netip"
	"slices"
)

// Network is one that an interface of a router is in.
type Network struct {
	Prefix netip.Prefix
	Device string // the interface
}

// Home says for which addresses a router answers, and which networks it is in. The zero Home is in no network. A Home
// is immutable: any goroutine may call its methods.
type Home struct {
	four, six AddrSet   // addresses for which it answers
	networks  []Network // the smallest ones first
}

// NewHome makes a Home. It ignores what is invalid, and networks of one address.
func NewHome(own []netip.Prefix, networks []Network) (h Home) {
	var four, six []Range
	for _, p := range own {
		switch {
		case !p.IsValid():
		case p.Addr().Is4():
			four = append(four, RangeOf(p))
		default:
			six = append(six, RangeOf(p))
		}
	}
	h.four, h.six = NewAddrSet(four, IPv4), NewAddrSet(six, IPv6)
	for _, n := range networks {
		if n.Prefix.IsValid() && !n.Prefix.IsSingleIP() {
			h.networks = append(h.networks, n)
		}
	}
	slices.SortStableFunc(h.networks, func(a, b Network) int { return cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()) })
	return h
}

// Foreign reports whether the source of f is translated to an address that lies in a network of this router and for
// which it does not answer: replies go to another router. It returns the address and the interface.
//
// An address in no network of this router may be routed to it, and says nothing. Neither does a translated destination:
// it may be any host's.
func (h *Home) Foreign(f *Flow) (addr Addr, device string, foreign bool) {
	if !f.Has.Is(HasReply) || f.Reply.Dst == f.Orig.Src || len(h.networks) == 0 {
		return Addr{}, "", false
	}
	own, at := h.four, f.Reply.Dst
	if f.Orig.Family == IPv6 {
		own = h.six
	}
	if own.Has(&at) {
		return Addr{}, "", false
	}
	ip := at.IP(f.Orig.Family)
	for i := range h.networks {
		if h.networks[i].Prefix.Contains(ip) {
			return at, h.networks[i].Device, true
		}
	}
	return Addr{}, "", false
}
