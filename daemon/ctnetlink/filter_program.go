package ctnetlink

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// A filter program decides about an event before it takes room in the buffer:
//
//	nlmsg_pid is one of ours                          drop
//	not IPCTNL_MSG_CT_NEW                             keep: a DESTROY, which must pass, or not about flows
//	flow.Filter lets the original tuple pass          keep
//	otherwise                                         drop
//
// Events carry the original tuple first, and in it the addresses, the protocol and the ports in this order
// (ctnetlink_conntrack_event and ctnetlink_dump_tuples in net/netfilter/nf_conntrack_netlink.c), each with its struct
// nlattr before it:
//
//	offset   IPv4  IPv6
//	          20    20  CTA_TUPLE_ORIG
//	          24    24  CTA_TUPLE_IP
//	          28    28  CTA_IP_V4_SRC, CTA_IP_V6_SRC
//	          36    48  CTA_IP_V4_DST, CTA_IP_V6_DST
//	          44    68  CTA_TUPLE_PROTO
//	          48    72  CTA_PROTO_NUM
//	          56    80  CTA_PROTO_SRC_PORT
//	          64    88  CTA_PROTO_DST_PORT
//
// The program checks this layout and keeps an event with another one: user space, which walks attributes, decides
// then. It compares numbers in host order with what a big-endian load gives. What has no fixed place, the reply tuple,
// the status and the state of TCP, the kernel finds by its type (SKF_AD_NLATTR in linux/filter.h); what an event does
// not carry does not count against it.

const (
	attrOrig  = headerLen          // struct nlattr of CTA_TUPLE_ORIG
	attrIP    = attrOrig + attrLen // of CTA_TUPLE_IP
	attrSrc   = attrIP + attrLen   // of the source address
	verdictOK = uint32(1) << 31    // keep all bytes
	nested    = unix.NLA_F_NESTED  // the kernel marks nested attributes
	noLimit   = math.MaxUint32     // last value of a word
)

// layout is where things stand in an event of one family.
type layout struct {
	family   flow.Family
	addr     int    // bytes of an address
	src, dst uint16 // attribute types
}

var layouts = [...]layout{
	{flow.IPv4, 4, ctaIPv4Src, ctaIPv4Dst},
	{flow.IPv6, 16, ctaIPv6Src, ctaIPv6Dst},
}

func (l *layout) attrDst() uint32     { return uint32(attrSrc + attrLen + l.addr) }
func (l *layout) attrProto() uint32   { return l.attrDst() + attrLen + uint32(l.addr) }
func (l *layout) attrNum() uint32     { return l.attrProto() + attrLen }
func (l *layout) attrSrcPort() uint32 { return l.attrNum() + 2*attrLen }
func (l *layout) attrDstPort() uint32 { return l.attrSrcPort() + 2*attrLen }

// filterProgram returns the program that drops the events which these port ids asked for and those of flows that f does
// not let pass.
func filterProgram(portIDs []uint32, f *flow.Filter) ([]bpf.RawInstruction, error) {
	c := compiler{filter: f}
	c.drop = c.add(bpf.RetConstant{Val: 0})
	c.keep = c.add(bpf.RetConstant{Val: verdictOK})
	entry := c.keep
	if !f.Equal(new(flow.Filter)) {
		for i := range layouts {
			l := &layouts[i]
			match := c.flows(l)
			c.test(bpf.JumpEqual, uint32(l.family), match, entry)
			entry = c.add(bpf.LoadAbsolute{Off: nlHeaderLen, Size: 1})
		}
		isNew := uint32(loaded16(subsysCtnetlink<<8 | msgCtNew))
		entry = c.when(bpf.LoadAbsolute{Off: 4, Size: 2}, bpf.JumpEqual, isNew, entry, c.keep)
		shortest := layouts[0].attrNum() + attrLen + 1 // a load beyond the end would drop
		entry = c.when(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.JumpGreaterOrEqual, shortest, entry, c.keep)
	}
	for _, id := range portIDs {
		entry = c.test(bpf.JumpEqual, loaded32(id), c.drop, entry)
	}
	if len(portIDs) > 0 {
		c.add(bpf.LoadAbsolute{Off: 12, Size: 4})
	}
	return c.assemble()
}

// compiler writes the part of a program that follows a flow.Filter.
type compiler struct {
	program
	filter     *flow.Filter
	keep, drop label
}

// when adds a test of a loaded value.
func (c *compiler) when(load bpf.Instruction, cond bpf.JumpTest, v uint32, yes, no label) label {
	c.test(cond, v, yes, no)
	return c.add(load)
}

// flows adds the tests of the events of one family and returns where they begin.
func (c *compiler) flows(l *layout) label {
	next := c.endpoints(l, c.keep)
	next = c.tcpState(l, next)
	next = c.status(next)
	next = c.accepted(l, next)
	next = c.replies(l, (*flow.Filter).Ignored, c.drop, next)
	ignored := func(side flow.Sides) []wordRange { return wordRanges(c.filter.Ignored(l.family, side), l.addr/4) }
	next = c.address(fixed(l.attrDst()+attrLen), ignored(flow.OrigDst), c.drop, next)
	next = c.address(fixed(attrSrc+attrLen), ignored(flow.OrigSrc), c.drop, next)
	return c.shape(l, c.protocols(l, next))
}

// protocols adds the test of the protocol.
func (c *compiler) protocols(l *layout, next label) label {
	var steps []step
	for p := range 256 {
		to := c.drop
		if c.filter.PassProto(flow.Proto(p)) {
			to = next
		}
		if len(steps) == 0 || steps[len(steps)-1].to != to {
			steps = append(steps, step{uint32(p), to})
		}
	}
	if len(steps) == 1 {
		return steps[0].to
	}
	c.search(steps)
	return c.add(bpf.LoadAbsolute{Off: l.attrNum() + attrLen, Size: 1})
}

// accepted adds the tests that one of the addresses must pass.
func (c *compiler) accepted(l *layout, next label) label {
	if _, some := c.filter.Accepted(l.family, flow.OrigSrc); !some {
		return next
	}
	set := func(f *flow.Filter, family flow.Family, side flow.Sides) flow.AddrSet {
		set, _ := f.Accepted(family, side)
		return set
	}
	ranges := func(side flow.Sides) []wordRange { return wordRanges(set(c.filter, l.family, side), l.addr/4) }
	other := c.replies(l, set, next, c.drop)
	other = c.address(fixed(l.attrDst()+attrLen), ranges(flow.OrigDst), next, other)
	return c.address(fixed(attrSrc+attrLen), ranges(flow.OrigSrc), next, other)
}

// replies adds the tests of both addresses of the reply tuple against sets of a filter.
func (c *compiler) replies(
	l *layout, set func(*flow.Filter, flow.Family, flow.Sides) flow.AddrSet, inside, outside label,
) label {
	src := wordRanges(set(c.filter, l.family, flow.ReplySrc), l.addr/4)
	dst := wordRanges(set(c.filter, l.family, flow.ReplyDst), l.addr/4)
	if len(src)+len(dst) == 0 {
		return outside
	}
	const ip, first = attrLen, 2 * attrLen // CTA_TUPLE_IP and the attribute of the source, from CTA_TUPLE_REPLY
	second := uint32(first + attrLen + l.addr)
	next := c.address(found(second+attrLen), dst, inside, outside)
	next = c.address(found(first+attrLen), src, inside, next)
	shape := func(off uint32, typ uint16) {
		want := uint32(loaded16(uint16(attrLen+l.addr)))<<16 | uint32(loaded16(typ))
		next = c.when(bpf.LoadIndirect{Off: off, Size: 4}, bpf.JumpEqual, want, next, c.keep)
	}
	shape(second, l.dst)
	shape(first, l.src)
	next = c.when(bpf.LoadIndirect{Off: ip + 2, Size: 2}, bpf.JumpEqual, uint32(loaded16(nested|ctaTupleIP)), next, c.keep)
	return c.attribute(c.add(bpf.TAX{}), c.keep, ctaTupleReply)
}

// status adds the test of the status bits that a flow must have.
func (c *compiler) status(next label) label {
	bits, absent := c.filter.Status(), next
	for bit := range 32 {
		if bits>>bit&1 != 0 {
			next = c.test(bpf.JumpBitsSet, 1<<bit, next, c.drop)
		}
	}
	if bits == 0 {
		return next
	}
	c.add(bpf.LoadIndirect{Off: attrLen, Size: 4})
	return c.attribute(c.add(bpf.TAX{}), absent, ctaStatus)
}

// tcpState adds the test of the state of a TCP flow.
func (c *compiler) tcpState(l *layout, next label) label {
	states := c.filter.TCPStates()
	if states == 0 {
		return next
	}
	other := c.drop
	for state := range uint32(16) {
		if states>>state&1 != 0 {
			other = c.test(bpf.JumpEqual, state, next, other)
		}
	}
	c.add(bpf.LoadIndirect{Off: attrLen, Size: 1})
	match := c.attribute(c.add(bpf.TAX{}), next, ctaProtoinfo, ctaProtoinfoTCP, ctaProtoinfoTCPState)
	return c.when(bpf.LoadAbsolute{Off: l.attrNum() + attrLen, Size: 1}, bpf.JumpEqual, uint32(flow.TCP), match, next)
}

// attribute adds the search for an attribute inside others, the outermost first. The accumulator has its place when
// next is reached; an event without it goes on at absent.
func (c *compiler) attribute(next, absent label, path ...uint32) label {
	for i := len(path) - 1; i >= 0; i-- {
		next = c.test(bpf.JumpEqual, 0, absent, next)
		if i > 0 {
			c.add(bpf.LoadExtension{Num: bpf.ExtNetlinkAttrNested})
			next = c.add(bpf.LoadConstant{Dst: bpf.RegX, Val: path[i]})
			continue
		}
		c.add(bpf.LoadExtension{Num: bpf.ExtNetlinkAttr})
		c.add(bpf.LoadConstant{Dst: bpf.RegX, Val: path[i]})
		next = c.add(bpf.LoadConstant{Dst: bpf.RegA, Val: headerLen})
	}
	return next
}

// shape adds the tests that the attributes stand where they are read; an event with another layout is kept.
func (c *compiler) shape(l *layout, next label) label {
	next = c.attr(l.attrNum(), 1, ctaProtoNum, next, c.keep)
	next = c.nest(l.attrProto(), ctaTupleProto, next)
	next = c.attr(l.attrDst(), l.addr, l.dst, next, c.keep)
	next = c.attr(attrSrc, l.addr, l.src, next, c.keep)
	next = c.nest(attrIP, ctaTupleIP, next)
	next = c.nest(attrOrig, ctaTupleOrig, next)
	return c.when(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.JumpGreaterOrEqual, l.attrNum()+attrLen+1, next, c.keep)
}

// attr adds a test that the attribute at off has this payload length and type.
func (c *compiler) attr(off uint32, payload int, typ uint16, yes, no label) label {
	want := uint32(loaded16(uint16(attrLen+payload)))<<16 | uint32(loaded16(typ))
	return c.when(bpf.LoadAbsolute{Off: off, Size: 4}, bpf.JumpEqual, want, yes, no)
}

// nest adds a test that the attribute at off is nested and of this type. Its length depends on what is in it.
func (c *compiler) nest(off uint32, typ uint16, yes label) label {
	return c.when(bpf.LoadAbsolute{Off: off + 2, Size: 2}, bpf.JumpEqual, uint32(loaded16(nested|typ)), yes, c.keep)
}

// endpoints adds the tests of the destinations of one family that do not pass.
func (c *compiler) endpoints(l *layout, next label) label {
	for _, e := range c.filter.Endpoints() {
		ip := e.Addr.Addr()
		if ip.Is4() != (l.family == flow.IPv4) {
			continue
		}
		addr := flow.AddrFrom(ip)
		match := c.drop
		for i := l.addr - 4; i >= 0; i -= 4 {
			match = c.when(bpf.LoadAbsolute{Off: l.attrDst() + attrLen + uint32(i), Size: 4}, bpf.JumpEqual,
				binary.BigEndian.Uint32(addr[i:]), match, next)
		}
		match = c.when(bpf.LoadAbsolute{Off: l.attrDstPort() + attrLen, Size: 2}, bpf.JumpEqual,
			uint32(e.Addr.Port()), match, next)
		match = c.attr(l.attrDstPort(), 2, ctaProtoDstPort, match, next)
		match = c.attr(l.attrSrcPort(), 2, ctaProtoSrcPort, match, next)
		match = c.when(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.JumpGreaterOrEqual,
			l.attrDstPort()+attrLen+2, match, next)
		next = c.when(bpf.LoadAbsolute{Off: l.attrNum() + attrLen, Size: 1}, bpf.JumpEqual,
			uint32(e.Proto), match, next)
	}
	return next
}

// words are the 32-bit words of an address, the first one most significant.
type words []uint32

// wordRange is a range of addresses, or of what follows a common beginning of theirs.
type wordRange struct{ first, last words }

func wordRanges(ranges []flow.Range, n int) []wordRange {
	list := make([]wordRange, len(ranges))
	for i := range ranges {
		first, last := ranges[i].First(), ranges[i].Last()
		for at := 0; at < 4*n; at += 4 {
			list[i].first = append(list[i].first, binary.BigEndian.Uint32(first[at:]))
			list[i].last = append(list[i].last, binary.BigEndian.Uint32(last[at:]))
		}
	}
	return list
}

// address adds the test of an address: whether it is in one of ranges, which are ordered and apart. It is a binary
// search of the first word; a value of it for which the following words decide leads to a search of those.
func (c *compiler) address(at place, ranges []wordRange, inside, outside label) label {
	if len(ranges) == 0 {
		return outside
	}
	var steps []step
	for from := uint64(0); from <= noLimit; {
		till, inner, whole := cut(ranges, uint32(from))
		to := outside
		switch {
		case whole:
			to = inside
		case len(inner) > 0:
			to = c.address(place{at.off + 4, at.found}, inner, inside, outside)
		}
		if len(steps) == 0 || steps[len(steps)-1].to != to {
			steps = append(steps, step{uint32(from), to})
		}
		from = uint64(till) + 1
		for len(ranges) > 0 && uint64(ranges[0].last[0]) < from {
			ranges = ranges[1:]
		}
	}
	if len(steps) == 1 {
		return steps[0].to
	}
	c.search(steps)
	return c.add(at.load())
}

// place is where a word of an event is: from its beginning, or from the attribute that X has the place of.
type place struct {
	off   uint32
	found bool
}

func fixed(off uint32) place { return place{off: off} }
func found(off uint32) place { return place{off, true} }

func (p place) load() bpf.Instruction {
	if p.found {
		return bpf.LoadIndirect{Off: p.off, Size: 4}
	}
	return bpf.LoadAbsolute{Off: p.off, Size: 4}
}

// cut looks at the values of the first word from one value on: till is the last one that is treated alike, whole that
// all addresses with it are in ranges, and inner the rest of those ranges of which only a part is. Ranges that end
// before from are not in ranges.
func cut(ranges []wordRange, from uint32) (till uint32, inner []wordRange, whole bool) {
	if len(ranges) == 0 {
		return noLimit, nil, false
	}
	if r := &ranges[0]; r.first[0] > from {
		return r.first[0] - 1, nil, false
	}
	for _, r := range ranges {
		if r.first[0] > from {
			break
		}
		part := wordRange{floor(len(r.first) - 1), ceiling(len(r.first) - 1)}
		if r.first[0] == from {
			part.first = r.first[1:]
		}
		if r.last[0] == from {
			part.last = r.last[1:]
		}
		if isFloor(part.first) && isCeiling(part.last) {
			if r.last[0] > from && !isCeiling(r.last[1:]) {
				return r.last[0] - 1, nil, true // of its last value only a part is in the range
			}
			return r.last[0], nil, true
		}
		inner = append(inner, part)
	}
	return from, inner, false
}

// floor is the lowest value of n words, ceiling the highest.
func floor(n int) words { return make(words, n) }

func ceiling(n int) words {
	w := make(words, n)
	for i := range w {
		w[i] = noLimit
	}
	return w
}

func isFloor(w words) bool {
	for _, v := range w {
		if v != 0 {
			return false
		}
	}
	return true
}

func isCeiling(w words) bool {
	for _, v := range w {
		if v != noLimit {
			return false
		}
	}
	return true
}

// loaded16 and loaded32 return what a big-endian load of v, stored in host byte order, gives.
func loaded16(v uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], v)
	return binary.BigEndian.Uint16(b[:])
}

func loaded32(v uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return binary.BigEndian.Uint32(b[:])
}
