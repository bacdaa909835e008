package flow

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Filter says which flows are replicated. It looks only at what never changes in a flow, the protocol and the
// original tuple, so that a flow passes either always or never. The zero Filter lets every flow pass. A Filter is
// immutable: any goroutine may call its methods.
type Filter struct {
	accept    [4]uint64 // protocols as a bit set; empty means all
	four, six AddrSet   // whose flows do not pass
	endpoints []Endpoint
}

// Endpoint is a destination of packets of a protocol with ports.
type Endpoint struct {
	Proto Proto
	Addr  netip.AddrPort
}

// Rules say which flows a Filter lets pass.
type Rules struct {
	Accept    []Proto        // only flows of these protocols pass; empty means all protocols
	Ignore    []netip.Prefix // flows with an original source or destination in one of these do not pass
	Endpoints []Endpoint     // flows whose original destination is one of these do not pass
}

// NewFilter makes a Filter. It ignores what is invalid in r, such as the zero Prefix or an Endpoint of a protocol
// without ports, and the zone of an address.
func NewFilter(r Rules) Filter {
	var f Filter
	for _, p := range r.Accept {
		f.accept[p>>6] |= 1 << (p & 63)
	}
	var four, six []Range
	for _, p := range r.Ignore {
		switch {
		case !p.IsValid():
		case p.Addr().Is4():
			four = append(four, RangeOf(p))
		default:
			six = append(six, RangeOf(p))
		}
	}
	f.four, f.six = NewAddrSet(four, IPv4), NewAddrSet(six, IPv6)
	for _, e := range r.Endpoints {
		if e.Addr.IsValid() && e.Proto.HasPorts() {
			e.Addr = netip.AddrPortFrom(e.Addr.Addr().WithZone(""), e.Addr.Port())
			f.endpoints = append(f.endpoints, e)
		}
	}
	slices.SortFunc(f.endpoints, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), a.Addr.Compare(b.Addr))
	})
	f.endpoints = slices.Compact(f.endpoints)
	return f
}

// Pass reports whether flows with the original tuple orig are replicated.
func (f *Filter) Pass(orig *Tuple) bool {
	if !f.PassProto(orig.Proto) {
		return false
	}
	ignored := f.four
	if orig.Family == IPv6 {
		ignored = f.six
	}
	if len(ignored) > 0 && (ignored.Has(&orig.Src) || ignored.Has(&orig.Dst)) {
		return false
	}
	for i := range f.endpoints {
		if e := &f.endpoints[i]; e.Proto == orig.Proto && e.Addr.Port() == orig.DstPort &&
			e.Addr.Addr() == orig.Dst.IP(orig.Family) {
			return false
		}
	}
	return true
}

// PassProto reports whether flows of protocol p may pass, whatever their addresses.
func (f *Filter) PassProto(p Proto) bool {
	return f.accept == [4]uint64{} || f.accept[p>>6]>>(p&63)&1 != 0
}

// Accepted returns the protocols that may pass, in ascending order. It is empty if all may.
func (f *Filter) Accepted() []Proto {
	var list []Proto
	for p := range 256 {
		if f.accept[p>>6]>>(p&63)&1 != 0 {
			list = append(list, Proto(p))
		}
	}
	return list
}

// Ignored returns the addresses of a family whose flows do not pass.
func (f *Filter) Ignored(family Family) AddrSet {
	if family == IPv6 {
		return slices.Clone(f.six)
	}
	return slices.Clone(f.four)
}

// Endpoints returns the destinations whose flows do not pass.
func (f *Filter) Endpoints() []Endpoint { return slices.Clone(f.endpoints) }

// WithoutAddresses returns a Filter that looks at protocols alone.
func (f *Filter) WithoutAddresses() Filter { return Filter{accept: f.accept} }

// Equal reports whether f and g let the same flows pass for the same reasons.
func (f *Filter) Equal(g *Filter) bool {
	return f.accept == g.accept && slices.Equal(f.four, g.four) && slices.Equal(f.six, g.six) &&
		slices.Equal(f.endpoints, g.endpoints)
}
