package flow

import (
	"strconv"
	"time"
)

// Line says how AppendConntrackd and AppendConntrackdExpectation end a line and what they leave out. The zero value is
// an entry of the internal cache that is less than a second old.
type Line struct {
	External bool          // an entry of the external cache: no reply tuple
	Active   time.Duration // since the entry was made; printed in whole seconds
	Expiring bool          // the cache ages its entries: print Expires
	Expires  time.Duration // until the entry expires
}

// AppendConntrackd appends f as `conntrackd -i` and `-e` print it (libnetfilter_conntrack's default text), without a
// newline. Bytes of a helper name that do not print become "?": names come from the peer.
func AppendConntrackd(b []byte, f *Flow, line Line) []byte {
	b = appendProtocol(b, f)
	b = appendTuple(b, &f.Orig)
	zone, whole := f.Zone()
	if !whole && f.Orig.Zone != 0 {
		b = appendNumber(b, " zone-orig=", uint64(zone))
	}
	if f.Has.Is(HasStatus) && f.Status&StatusSeenReply == 0 {
		b = append(b, " [UNREPLIED]"...)
	}
	if f.Has.Is(HasReply) && !line.External {
		b = append(b, ' ')
		b = appendTuple(b, &f.Reply)
		if !whole && f.Reply.Zone != 0 {
			b = appendNumber(b, " zone-reply=", uint64(zone))
		}
	}
	b = appendWhole(b, f)
	return appendAge(b, line)
}

// AppendConntrack appends f as `conntrack -L` prints it, without a newline: both tuples, with counters where f has them,
// and everything else that f carries and that conntrack shows without being asked to.
func AppendConntrack(b []byte, f *Flow) []byte {
	b = appendPadded(b, f.Orig.Proto.String(), 8)
	b = appendNumber(b, " ", uint64(f.Orig.Proto))
	b = append(b, ' ')
	if f.Has.Is(HasTimeout) {
		b = append(strconv.AppendUint(b, uint64(f.Timeout), 10), ' ')
	}
	if name := f.StateName(); name != "" {
		b = append(append(b, name...), ' ')
	}
	_, whole := f.Zone()
	b = appendCounters(appendTuple(b, &f.Orig), f, Original)
	if !whole && f.Orig.Zone != 0 {
		b = appendNumber(b, " zone-orig=", uint64(f.Orig.Zone))
	}
	if f.Unreplied() {
		b = append(b, " [UNREPLIED]"...)
	}
	if f.Has.Is(HasReply) {
		b = appendCounters(appendTuple(append(b, ' '), &f.Reply), f, Reply)
		if !whole && f.Reply.Zone != 0 {
			b = appendNumber(b, " zone-reply=", uint64(f.Reply.Zone))
		}
	}
	b = appendWhole(b, f)
	if f.Has.Is(HasUse) {
		b = appendNumber(b, " use=", uint64(f.Use))
	}
	return b
}

// appendWhole appends what stands behind the tuples: what holds for the flow as a whole.
func appendWhole(b []byte, f *Flow) []byte {
	b = append(b, flagText(f)...)
	if f.Has.Is(HasMark) {
		b = appendNumber(b, " mark=", uint64(f.Mark))
	}
	if zone, whole := f.Zone(); whole && zone != 0 {
		b = appendNumber(b, " zone=", uint64(zone))
	}
	if f.Has.Is(HasHelper) {
		b = appendName(append(b, " helper="...), f.Helper[:])
	}
	return b
}

func appendCounters(b []byte, f *Flow, dir Direction) []byte {
	if !f.Has.Is(HasCounters) {
		return b
	}
	b = appendNumber(b, " packets=", f.Packets[dir])
	return appendNumber(b, " bytes=", f.Bytes[dir])
}

// Unknown stands for a time that the table does not tell.
const Unknown time.Duration = -1

// Ages are the times of a flow that it does not carry itself: Unknown, or since it was first seen and since something was
// last heard of it.
type Ages struct{ Age, Idle time.Duration }

// AppendAges appends what a cache knows of an entry's times, in whole seconds.
func AppendAges(b []byte, a Ages) []byte {
	b = appendNumber(b, " [active since ", uint64(max(a.Age, 0)/time.Second))
	b = appendNumber(b, "s, idle ", uint64(max(a.Idle, 0)/time.Second))
	return append(b, "s]"...)
}

// appendProtocol writes name and number of the protocol, and the state with a space behind each.
func appendProtocol(b []byte, f *Flow) []byte {
	b = appendPadded(b, f.Orig.Proto.String(), 8)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(f.Orig.Proto), 10)
	b = append(b, ' ')
	if name := f.StateName(); name != "" {
		b = append(append(b, name...), ' ')
	}
	return b
}

// flagText returns the strongest of the bits that are shown in brackets.
func flagText(f *Flow) string {
	switch {
	case !f.Has.Is(HasStatus):
		return ""
	case f.Status&StatusHWOffload != 0:
		return " [HW_OFFLOAD]"
	case f.Status&StatusOffload != 0:
		return " [OFFLOAD]"
	case f.Status&StatusAssured != 0:
		return " [ASSURED]"
	}
	return ""
}

// appendAge closes a line of a cache dump.
func appendAge(b []byte, line Line) []byte {
	if line.Expiring {
		b = append(b, " [expires in "...)
		b = strconv.AppendInt(b, int64(line.Expires/time.Second), 10)
		b = append(b, "s]"...)
	}
	b = append(b, " [active since "...)
	b = strconv.AppendInt(b, int64(line.Active/time.Second), 10)
	return append(b, "s]"...)
}

// appendTuple writes the addresses and the layer 4 part of t as conntrack(8) does.
func appendTuple(b []byte, t *Tuple) []byte {
	b = appendAddresses(b, "", t)
	switch {
	case t.Proto.HasPorts():
		return appendPorts(b, t)
	case t.Proto.IsICMP():
		b = appendNumber(b, " type=", uint64(t.ICMPType()))
		b = appendNumber(b, " code=", uint64(t.ICMPCode()))
		return appendNumber(b, " id=", uint64(t.SrcPort))
	case t.Proto == GRE:
		b = strconv.AppendUint(append(b, " srckey=0x"...), uint64(t.SrcPort), 16)
		return strconv.AppendUint(append(b, " dstkey=0x"...), uint64(t.DstPort), 16)
	}
	return b
}

func appendAddresses(b []byte, prefix string, t *Tuple) []byte {
	b = append(append(b, prefix...), "src="...)
	b = t.Src.IP(t.Family).AppendTo(b)
	b = append(append(append(b, ' '), prefix...), "dst="...)
	return t.Dst.IP(t.Family).AppendTo(b)
}

func appendPorts(b []byte, t *Tuple) []byte {
	b = appendNumber(b, " sport=", uint64(t.SrcPort))
	return appendNumber(b, " dport=", uint64(t.DstPort))
}

func appendNumber(b []byte, label string, v uint64) []byte {
	return strconv.AppendUint(append(b, label...), v, 10)
}

// appendPadded writes s and spaces up to width.
func appendPadded(b []byte, s string, width int) []byte {
	b = append(b, s...)
	for n := len(s); n < width; n++ {
		b = append(b, ' ')
	}
	return b
}

// appendName writes a NUL-terminated name with "?" for every byte that is not a visible ASCII character.
func appendName(b []byte, name []byte) []byte {
	for _, c := range name {
		if c == 0 {
			break
		}
		if c <= ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// Expectation flags (NF_CT_EXPECT_*) and their names, indexed by bit number.
var expectFlagNames = [...]string{"PERMANENT", "INACTIVE", "USERSPACE"}

// AppendConntrackdExpectation appends e as `conntrackd -i expect` and `-e expect` print it, without a newline. NAT and
// the function name are not shown there.
func AppendConntrackdExpectation(b []byte, e *Expectation, line Line) []byte {
	b = appendNumber(b, "proto=", uint64(e.Expect.Proto))
	b = append(b, ' ')
	b = appendExpectTuple(b, "", &e.Expect)
	if e.Has.Is(HasMask) {
		b = appendExpectTuple(append(b, ' '), "mask-", &e.Mask)
	}
	b = appendExpectTuple(append(b, ' '), "master-", &e.Master)
	if e.Has.Is(HasFlags) {
		separator := byte(' ')
		for bit, name := range expectFlagNames {
			if e.Flags>>bit&1 != 0 {
				b = append(append(b, separator), name...)
				separator = ','
			}
		}
	}
	if e.Has.Is(HasClass) {
		b = appendNumber(b, " class=", uint64(e.Class))
	}
	if e.Has.Is(HasHelper) {
		b = appendName(append(b, " helper="...), e.Helper[:])
	}
	return appendAge(b, line)
}

// appendExpectTuple prefixes the addresses but not the ports, as the library does.
func appendExpectTuple(b []byte, prefix string, t *Tuple) []byte {
	b = appendAddresses(b, prefix, t)
	if t.Proto.HasPorts() {
		b = appendPorts(b, t)
	}
	return b
}
