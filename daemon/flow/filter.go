package flow

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Filter says which flows are replicated. Protocol, addresses and endpoints never change in a flow, so that by them a
// flow passes either always or never (PassTuples). TCP state and status do change: by them a flow passes now (Pass),
// and its end passes whatever they are, which the caller sees to. The zero Filter lets every flow pass. A Filter is
// immutable: any goroutine may call its methods.
type Filter struct {
	refused   [4]uint64 // protocols that do not pass, as a bit set
	four, six addressRules
	accepts   Sides // with an address that must be accepted; 0 = no address must be
	ignores   Sides // that are looked at beside the original ones
	states    uint16
	status    uint32
	endpoints []Endpoint
}

// addressRules are the addresses of one family by side, in the order of the bits of Sides.
type addressRules struct{ ignore, accept [4]AddrSet }

// Sides is a set of the four addresses of a flow.
type Sides uint8

// The addresses of a flow. Those of replies are as translation makes them: ReplySrc is the server behind a destination
// NAT, ReplyDst the address that a source NAT gives.
const (
	OrigSrc Sides = 1 << iota
	OrigDst
	ReplySrc
	ReplyDst

	OrigSides  = OrigSrc | OrigDst
	ReplySides = ReplySrc | ReplyDst
)

// Place is a network in which some addresses of a flow may be.
type Place struct {
	Net   netip.Prefix
	Sides Sides
}

// Endpoint is a destination of packets of a protocol with ports.
type Endpoint struct {
	Proto Proto
	Addr  netip.AddrPort
}

// Rules say which flows a Filter lets pass: those to which none of them objects.
type Rules struct {
	Accept      []Proto        // only flows of these protocols pass; empty means all protocols
	IgnoreProto []Proto        // flows of these protocols do not pass
	Ignore      []netip.Prefix // flows with an original source or destination in one of these do not pass
	IgnoreAt    []Place        // flows with one of the addresses of a place in its network do not pass
	AcceptAt    []Place        // only flows with such an address pass; empty means all
	TCPStates   []uint8        // only TCP flows in these states pass; empty means all
	Status      uint32         // only flows with all these status bits pass
	Endpoints   []Endpoint     // flows whose original destination is one of these do not pass
}

// NewFilter makes a Filter. It ignores what is invalid in r, such as the zero Prefix or an Endpoint of a protocol
// without ports, and the zone of an address.
func NewFilter(r Rules) Filter {
	f := Filter{status: r.Status}
	if len(r.Accept) > 0 {
		f.refused = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	}
	for _, p := range r.Accept {
		f.refused[p>>6] &^= 1 << (p & 63)
	}
	for _, p := range r.IgnoreProto {
		f.refused[p>>6] |= 1 << (p & 63)
	}
	for _, s := range r.TCPStates {
		f.states |= 1 << s
	}
	ignore := slices.Clone(r.IgnoreAt)
	for _, p := range r.Ignore {
		ignore = append(ignore, Place{p, OrigSides})
	}
	f.four.ignore, f.six.ignore, f.ignores = addressSets(ignore)
	f.ignores &^= OrigSides
	f.four.accept, f.six.accept, f.accepts = addressSets(r.AcceptAt)
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

// addressSets sorts places by family and side. sides are those for which there is one.
func addressSets(places []Place) (four, six [4]AddrSet, sides Sides) {
	for side := range four {
		var v4, v6 []Range
		for _, p := range places {
			switch {
			case !p.Net.IsValid() || p.Sides>>side&1 == 0:
				continue
			case p.Net.Addr().Is4():
				v4 = append(v4, RangeOf(p.Net))
			default:
				v6 = append(v6, RangeOf(p.Net))
			}
			sides |= 1 << side
		}
		four[side], six[side] = NewAddrSet(v4, IPv4), NewAddrSet(v6, IPv6)
	}
	// The same addresses on both sides of a direction are one set in memory: a search finds it in the processor's cache.
	for i := 0; i < len(four); i += 2 {
		if slices.Equal(four[i], four[i+1]) {
			four[i+1] = four[i]
		}
		if slices.Equal(six[i], six[i+1]) {
			six[i+1] = six[i]
		}
	}
	return four, six, sides
}

// Pass reports whether fl is replicated as it is now. What fl does not carry does not count against it; see Judges.
func (f *Filter) Pass(fl *Flow) bool {
	if f.status != 0 && fl.Has.Is(HasStatus) && fl.Status&f.status != f.status {
		return false
	}
	if f.states != 0 && fl.Orig.Proto == TCP && fl.Has.Is(HasTCPState) && f.states>>fl.TCPState&1 == 0 {
		return false
	}
	return f.PassTuples(fl)
}

// PassTuples reports whether flows with the tuples of fl are replicated, whatever their state.
func (f *Filter) PassTuples(fl *Flow) bool {
	if !f.PassOrig(&fl.Orig) {
		return false
	}
	return f.accepts|f.ignores == 0 || f.passSides(fl)
}

// PassOrig reports what PassTuples does as far as the original tuple decides about it alone: protocol, ignored
// addresses and endpoints.
func (f *Filter) PassOrig(orig *Tuple) bool {
	if !f.PassProto(orig.Proto) {
		return false
	}
	ignored := &f.four.ignore
	if orig.Family == IPv6 {
		ignored = &f.six.ignore
	}
	if len(ignored[0]) > 0 && ignored[0].Has(&orig.Src) || len(ignored[1]) > 0 && ignored[1].Has(&orig.Dst) {
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

// passSides looks at the addresses of replies, and at those of which one must be accepted.
func (f *Filter) passSides(fl *Flow) bool {
	rules := &f.four
	if fl.Orig.Family == IPv6 {
		rules = &f.six
	}
	replied := fl.Has.Is(HasReply)
	if replied && (rules.ignore[2].Has(&fl.Reply.Src) || rules.ignore[3].Has(&fl.Reply.Dst)) {
		return false
	}
	return f.accepts == 0 || rules.accept[0].Has(&fl.Orig.Src) || rules.accept[1].Has(&fl.Orig.Dst) ||
		replied && (rules.accept[2].Has(&fl.Reply.Src) || rules.accept[3].Has(&fl.Reply.Dst)) ||
		!replied && f.accepts&ReplySides != 0
}

// PassProto reports whether flows of protocol p may pass, whatever their addresses.
func (f *Filter) PassProto(p Proto) bool { return f.refused[p>>6]>>(p&63)&1 == 0 }

// Varies reports whether Pass depends on what changes in a flow.
func (f *Filter) Varies() bool { return f.states != 0 || f.status != 0 }

// Judges reports whether fl carries all that Pass looks at. An event need not carry the state of TCP.
func (f *Filter) Judges(fl *Flow) bool {
	return (f.status == 0 || fl.Has.Is(HasStatus)) &&
		(f.states == 0 || fl.Orig.Proto != TCP || fl.Has.Is(HasTCPState))
}

// Status returns the status bits that a flow must have.
func (f *Filter) Status() uint32 { return f.status }

// TCPStates returns the states in which TCP flows pass, as a bit set; 0 means all.
func (f *Filter) TCPStates() uint16 { return f.states }

// Ignored returns the addresses of a family and of one side whose flows do not pass.
func (f *Filter) Ignored(family Family, side Sides) AddrSet {
	if family == IPv6 {
		return slices.Clone(f.six.ignore[side.index()])
	}
	return slices.Clone(f.four.ignore[side.index()])
}

// Accepted returns the addresses of a family and of one side of which a flow must have one. some is false if it need
// not have any.
func (f *Filter) Accepted(family Family, side Sides) (set AddrSet, some bool) {
	if family == IPv6 {
		return slices.Clone(f.six.accept[side.index()]), f.accepts != 0
	}
	return slices.Clone(f.four.accept[side.index()]), f.accepts != 0
}

// index is the number of the one side that s is.
func (s Sides) index() int {
	switch s {
	case OrigSrc:
		return 0
	case OrigDst:
		return 1
	case ReplySrc:
		return 2
	}
	return 3
}

// Endpoints returns the destinations whose flows do not pass.
func (f *Filter) Endpoints() []Endpoint { return slices.Clone(f.endpoints) }

// WithoutAddresses returns a Filter that looks at protocol, state and status alone.
func (f *Filter) WithoutAddresses() Filter {
	return Filter{refused: f.refused, states: f.states, status: f.status}
}

// Equal reports whether f and g let the same flows pass for the same reasons.
func (f *Filter) Equal(g *Filter) bool {
	return f.refused == g.refused && f.states == g.states && f.status == g.status && f.accepts == g.accepts &&
		f.four.equal(&g.four) && f.six.equal(&g.six) && slices.Equal(f.endpoints, g.endpoints)
}

func (r *addressRules) equal(o *addressRules) bool {
	same := func(a, b [4]AddrSet) bool {
		return slices.EqualFunc(a[:], b[:], func(a, b AddrSet) bool { return slices.Equal(a, b) })
	}
	return same(r.ignore, o.ignore) && same(r.accept, o.accept)
}
