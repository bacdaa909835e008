package ctnetlink

import (
	"ctsync/daemon/flow"
)

// DecodeFlow reads one whole netlink message of the kernel (an event, a dumped record, the answer to a Get) into f,
// which it overwrites. It skips attributes that it does not know. f.Has says exactly which ones the message carried,
// with two exceptions: a SYNPROXY of three zeros, which the kernel puts on every flow made through ctnetlink, counts
// as absent, and so do a helper name or label set longer than flow.Flow holds. The error is ErrMalformed, and f is
// then the zero Flow.
func DecodeFlow(msg []byte, f *flow.Flow) error {
	*f = flow.Flow{}
	_, msg, _, ok := nextMessage(msg)
	if ok && len(msg) >= headerLen && decodeFlow(msg[headerLen:], f) {
		return nil
	}
	*f = flow.Flow{}
	return ErrMalformed
}

func decodeFlow(b []byte, f *flow.Flow) bool {
	var zone uint16
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaTupleOrig:
			a.check(decodeTuple(a.data, &f.Orig))
		case ctaTupleReply:
			a.check(decodeTuple(a.data, &f.Reply))
			f.Has |= flow.HasReply
		case ctaStatus:
			f.Status = a.be32()
			f.Has |= flow.HasStatus
		case ctaTimeout:
			f.Timeout = a.be32()
			f.Has |= flow.HasTimeout
		case ctaMark:
			f.Mark = a.be32()
			f.Has |= flow.HasMark
		case ctaID:
			f.ID = a.be32()
			f.Has |= flow.HasID
		case ctaUse:
			f.Use = a.be32()
			f.Has |= flow.HasUse
		case ctaZone:
			zone = a.be16()
		case ctaProtoinfo:
			a.check(decodeProtoinfo(a.data, f))
		default:
			decodeExtension(&a, f)
		}
	}
	if a.bad || f.Orig.Family == 0 || f.Has.Is(flow.HasReply) && f.Reply.Family != f.Orig.Family {
		return false
	}
	setZone(f, zone)
	return true
}

// setZone puts the zone of the whole flow into every tuple. The kernel names no zone in a master tuple: it looks the
// master up in the zone of the original direction.
func setZone(f *flow.Flow, zone uint16) {
	if zone != 0 {
		f.Orig.Zone = zone
		if f.Has.Is(flow.HasReply) {
			f.Reply.Zone = zone
		}
	}
	if f.Has.Is(flow.HasMaster) {
		f.Master.Zone = f.Orig.Zone
	}
}

// decodeExtension reads the current attribute of a if it is one of those that few flows have.
func decodeExtension(a *attrs, f *flow.Flow) {
	switch a.typ {
	case ctaCountersOrig:
		a.check(decodeCounters(a.data, f, flow.Original))
	case ctaCountersReply:
		a.check(decodeCounters(a.data, f, flow.Reply))
	case ctaTimestamp:
		a.check(decodeTimestamp(a.data, f))
	case ctaTupleMaster:
		a.check(decodeTuple(a.data, &f.Master))
		f.Has |= flow.HasMaster
	case ctaSeqAdjOrig:
		a.check(decodeSeqAdj(a.data, &f.SeqAdj[flow.Original]))
		f.Has |= flow.HasSeqAdj
	case ctaSeqAdjReply:
		a.check(decodeSeqAdj(a.data, &f.SeqAdj[flow.Reply]))
		f.Has |= flow.HasSeqAdj
	case ctaSynproxy:
		a.check(decodeSynproxy(a.data, f))
	case ctaHelp:
		a.check(decodeHelp(a.data, f))
	case ctaLabels:
		if n := len(a.data); n > 0 && n <= len(f.Labels) {
			f.Labels = [16]byte{}
			copy(f.Labels[:], a.data)
			f.Has |= flow.HasLabels
		}
	}
}

func decodeTuple(b []byte, t *flow.Tuple) bool {
	*t = flow.Tuple{}
	return shape4.decode(b, t) || shape6.decode(b, t) || decodeAny(b, t)
}

// decodeAny reads a tuple, which is zero before, attribute by attribute.
func decodeAny(b []byte, t *flow.Tuple) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaTupleIP:
			a.check(decodeIP(a.data, t))
		case ctaTupleProto:
			a.check(decodeProto(a.data, t))
		case ctaTupleZone:
			t.Zone = a.be16()
		}
	}
	return !a.bad && t.Family != 0
}

func decodeIP(b []byte, t *flow.Tuple) bool {
	var seen uint8
	t.Src, t.Dst = flow.Addr{}, flow.Addr{}
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaIPv4Src:
			a.copy(t.Src[:4])
		case ctaIPv4Dst:
			a.copy(t.Dst[:4])
		case ctaIPv6Src:
			a.copy(t.Src[:])
		case ctaIPv6Dst:
			a.copy(t.Dst[:])
		default:
			continue
		}
		seen |= 1 << a.typ
	}
	switch seen {
	case 1<<ctaIPv4Src | 1<<ctaIPv4Dst:
		t.Family = flow.IPv4
	case 1<<ctaIPv6Src | 1<<ctaIPv6Dst:
		t.Family = flow.IPv6
	default:
		return false
	}
	return !a.bad
}

// decodeProto reads the layer-4 part. Which of ports and ICMP fields count depends on the protocol number: the kernel
// sends ports for those it tracks by ports, keys in the place of ports for GRE, and neither for the rest.
func decodeProto(b []byte, t *flow.Tuple) bool {
	var src, dst, id uint16
	var typ, code uint8
	t.Proto, t.SrcPort, t.DstPort = 0, 0, 0
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaProtoNum:
			t.Proto = flow.Proto(a.u8())
		case ctaProtoSrcPort:
			src = a.be16()
		case ctaProtoDstPort:
			dst = a.be16()
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			id = a.be16()
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			typ = a.u8()
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			code = a.u8()
		}
	}
	switch {
	case t.Proto.IsICMP():
		t.SrcPort, t.DstPort = id, uint16(typ)<<8|uint16(code)
	case t.Proto.HasPorts() || t.Proto == flow.GRE:
		t.SrcPort, t.DstPort = src, dst
	}
	return !a.bad
}
