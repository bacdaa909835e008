package flow

import (
	"strconv"
	"time"
)

// Line says what AppendConntrackd and AppendConntrackdExpectation leave out of a line and what they add at its end. The
// zero value is an entry of the internal cache that is less than a second old.
type Line struct {
	External bool          // an entry of the external cache: no reply tuple
	Active   time.Duration // since the cache has the entry; printed in whole seconds
	Expiring bool          // entries of the cache expire: print Expires
	Expires  time.Duration // until the entry expires
}

// AppendConntrackd appends f as `conntrackd -i` and `-e` print it (libnetfilter_conntrack's default text), without a
// newline. Bytes of a helper name that do not print become "?", because the name may come from the peer.
func AppendConntrackd(b []byte, f *Flow, line Line) []byte {
	b = appendState(appendProtocol(b, f.Orig.Proto), f)
	b = appendTuple(b, &f.Orig)
	zone, whole := f.Zone()
	if !whole && f.Orig.Zone != 0 {
		b = appendNumber(b, " zone-orig=", uint64(zone))
	}
	if f.Unreplied() {
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

// AppendConntrack appends f as `conntrack -L` prints it, without a newline: both tuples, with their counters, and
// everything else that f carries and that conntrack prints without an option.
func AppendConntrack(b []byte, f *Flow) []byte {
	b = appendProtocol(b, f.Orig.Proto)
	if f.Has.Is(HasTimeout) {
		b = append(strconv.AppendUint(b, uint64(f.Timeout), 10), ' ')
	}
	b = appendState(b, f)
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

// appendWhole appends the attributes of the whole flow, which follow the tuples.
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

// Unknown is a time that the table does not have.
const Unknown time.Duration = -1

// Ages are the times that a table has of a flow and that the flow does not carry itself. Either may be Unknown.
type Ages struct {
	Age  time.Duration // since the flow was first seen
	Idle time.Duration // since its last event
}

// AppendAges appends the times of an entry in whole seconds.
func AppendAges(b []byte, a Ages) []byte {
	b = appendNumber(b, " [active since ", uint64(max(a.Age, 0)/time.Second))
	b = appendNumber(b, "s, idle ", uint64(max(a.Idle, 0)/time.Second))
	return append(b, "s]"...)
}

// appendProtocol appends name and number of a protocol, and a space after each.
func appendProtocol(b []byte, p Proto) []byte {
	b = appendColumn(append(b, p.String()...), len(b), 8)
	return append(strconv.AppendUint(b, uint64(p), 10), ' ')
}

// appendState appends the state of f and a space, or nothing if f has no state.
func appendState(b []byte, f *Flow) []byte {
	if name := f.StateName(); name != "" {
		b = append(append(b, name...), ' ')
	}
	return b
}

// flagText returns the strongest of the status bits that conntrack(8) prints in brackets.
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

// appendAge appends the end of a line of a cache dump.
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

// appendTuple appends the addresses and the layer-4 part of t as conntrack(8) does.
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

// appendName appends a NUL-terminated name with "?" for every byte that is not a visible ASCII character.
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

// expectFlagNames are the names of the flags of an expectation (NF_CT_EXPECT_*) by bit number.
var expectFlagNames = [...]string{"PERMANENT", "INACTIVE", "USERSPACE"}

// AppendConntrackdExpectation appends e as `conntrackd -i expect` and `-e expect` print it, without a newline and thus
// without NAT and the function name.
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

// appendExpectTuple appends a tuple with a prefix before the addresses, but not before the ports, as the library does.
func appendExpectTuple(b []byte, prefix string, t *Tuple) []byte {
	b = appendAddresses(b, prefix, t)
	if t.Proto.HasPorts() {
		b = appendPorts(b, t)
	}
	return b
}
