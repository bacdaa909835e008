package flow

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// A Filter says which flows are replicated. It looks at what never changes in the life of a flow, the protocol and the
// original tuple, so that a flow passes either always or never. The zero Filter lets every flow pass. A Filter is
// immutable; its methods may be called from any goroutine.
type Filter struct {
	accept    [4]uint64 // protocols as a bit set; none = all
	ignored   []span    // IPv4 and IPv6, ordered, with gaps between them
	six       int       // index of the first IPv6 span
	endpoints []Endpoint
}

// Endpoint is where packets of a protocol with ports go to.
type Endpoint struct {
	Proto Proto
	Addr  netip.AddrPort
}

// Rules are what a Filter is made of.
type Rules struct {
	Accept    []Proto        // only flows of these protocols pass; none = all protocols
	Ignore    []netip.Prefix // flows with an original source or destination in one of these do not pass
	Endpoints []Endpoint     // flows whose original destination is one of these do not pass
}

// span is a range of addresses of one family, both ends included, as the 64-bit words of Addr.
type span struct{ first, last [2]uint64 }

// Range is a run of addresses of one family, both ends included.
type Range struct{ First, Last Addr }

// NewFilter makes a Filter. What is invalid in r, such as the zero Prefix or an Endpoint of a protocol without ports, and
// the zone of an address are left out.
func NewFilter(r Rules) Filter {
	var f Filter
	for _, p := range r.Accept {
		f.accept[p>>6] |= 1 << (p & 63)
	}
	var four, six []span
	for _, p := range r.Ignore {
		switch {
		case !p.IsValid():
		case p.Addr().Is4():
			four = append(four, spanOf(p))
		default:
			six = append(six, spanOf(p))
		}
	}
	four = united(four, 32)
	f.ignored, f.six = append(four, united(six, 128)...), len(four)
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

func spanOf(p netip.Prefix) span {
	first := AddrFrom(p.Masked().Addr())
	last := first
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	var s span
	s.first[0], s.first[1] = first.words()
	s.last[0], s.last[1] = last.words()
	return s
}

// united orders spans and joins those that overlap or touch. bits is the length of their addresses.
func united(list []span, bits int) []span {
	slices.SortFunc(list, func(a, b span) int { return compareWords(a.first, b.first) })
	n := 0
	for _, s := range list {
		switch {
		case n > 0 && compareWords(s.first, list[n-1].last) <= 0, n > 0 && s.first == following(list[n-1].last, bits):
			if compareWords(s.last, list[n-1].last) > 0 {
				list[n-1].last = s.last
			}
		default:
			list[n] = s
			n++
		}
	}
	return list[:n]
}

func compareWords(a, b [2]uint64) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// following returns the address after a. The one after the last is the first, which begins no span behind another.
func following(a [2]uint64, bits int) [2]uint64 {
	if bits == 32 {
		a[0] += 1 << 32
		return a
	}
	if a[1]++; a[1] == 0 {
		a[0]++
	}
	return a
}

// Pass reports whether flows with the original tuple orig are replicated.
func (f *Filter) Pass(orig *Tuple) bool {
	if !f.PassProto(orig.Proto) {
		return false
	}
	list := f.ignored[:f.six]
	if orig.Family == IPv6 {
		list = f.ignored[f.six:]
	}
	if len(list) > 0 && (inside(list, &orig.Src) || inside(list, &orig.Dst)) {
		return false
	}
	for i := range f.endpoints {
		if e := &f.endpoints[i]; e.Proto == orig.Proto && e.Addr.Port() == orig.DstPort && e.Addr.Addr() == orig.Dst.IP(orig.Family) {
			return false
		}
	}
	return true
}

// PassProto reports whether flows of protocol p may pass, whatever their addresses.
func (f *Filter) PassProto(p Proto) bool {
	return f.accept == [4]uint64{} || f.accept[p>>6]>>(p&63)&1 != 0
}

// inside reports whether a is in one of the spans of list.
func inside(list []span, a *Addr) bool {
	hi, lo := a.words()
	low, high := 0, len(list) // the last span that begins at or before a is at low-1
	for low < high {
		mid := int(uint(low+high) >> 1)
		if s := &list[mid]; s.first[0] < hi || s.first[0] == hi && s.first[1] <= lo {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return false
	}
	last := &list[low-1].last
	return hi < last[0] || hi == last[0] && lo <= last[1]
}

// Accepted returns the protocols that may pass, in ascending order; none when all may.
func (f *Filter) Accepted() []Proto {
	var list []Proto
	for p := range 256 {
		if f.accept[p>>6]>>(p&63)&1 != 0 {
			list = append(list, Proto(p))
		}
	}
	return list
}

// Ignored returns the addresses of a family whose flows do not pass as ranges in ascending order, with gaps between
// them.
func (f *Filter) Ignored(family Family) []Range {
	list := f.ignored[:f.six]
	if family == IPv6 {
		list = f.ignored[f.six:]
	}
	ranges := make([]Range, len(list))
	for i, s := range list {
		ranges[i] = Range{addrOf(s.first), addrOf(s.last)}
	}
	return ranges
}

func addrOf(w [2]uint64) (a Addr) {
	binary.BigEndian.PutUint64(a[:8], w[0])
	binary.BigEndian.PutUint64(a[8:], w[1])
	return a
}

// Endpoints returns the destinations whose flows do not pass.
func (f *Filter) Endpoints() []Endpoint { return slices.Clone(f.endpoints) }

// WithoutAddresses returns a Filter that looks at protocols alone.
func (f *Filter) WithoutAddresses() Filter { return Filter{accept: f.accept} }

// Equal reports whether f and g let the same flows pass for the same reasons.
func (f *Filter) Equal(g *Filter) bool {
	return f.accept == g.accept && f.six == g.six && slices.Equal(f.ignored, g.ignored) && slices.Equal(f.endpoints, g.endpoints)
}
