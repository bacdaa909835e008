package ctnetlink

import (
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// maxMessage bounds the length of any request that this package makes (the longest is an IPv6 TCP flow with every
// attribute).
const maxMessage = 768

const (
	// statusNotCreated are the status bits that a create must not ask for: the kernel sets those of NAT, of the master
	// and of confirmation itself, refuses DYING and EXPECTED with EBUSY, and an offloaded flow has left its hardware.
	statusNotCreated = flow.StatusExpected | flow.StatusSrcNAT | flow.StatusDstNAT | flow.StatusSrcNATDone |
		flow.StatusDstNATDone | flow.StatusDying | flow.StatusTemplate | flow.StatusUntracked | flow.StatusOffload |
		flow.StatusHWOffload
	// statusNotUpdated is the same for an existing entry, where the kernel compares EXPECTED with its own.
	statusNotUpdated = statusNotCreated &^ flow.StatusExpected

	// tcpFlagsSent are the flags that describe the connection; the others describe the kernel's view of single
	// packets, which a restored entry does not have.
	tcpFlagsSent = flow.TCPFlagWindowScale | flow.TCPFlagSackPerm | flow.TCPFlagCloseInit | flow.TCPFlagBeLiberal
)

// AppendCreate appends the request that makes f: IPCTNL_MSG_CT_NEW with NLM_F_CREATE and NLM_F_EXCL. liberal sets
// IP_CT_TCP_FLAG_BE_LIBERAL on both sides of a TCP flow, so that no packet of a connection whose windows are not known
// is INVALID. A TCP flow without window scales gets it in any case: the kernel would take every window as unscaled.
//
// The reply tuple that goes out is the inverse of the original one: the kernel derives the real one from CTA_NAT_SRC
// and CTA_NAT_DST, which come from comparing f.Reply with that inverse, and sets the NAT status bits itself. A flow
// without a timeout is refused by the kernel (EINVAL).
func AppendCreate(b []byte, f *flow.Flow, liberal bool) []byte {
	b, at := openMessage(b, msgCtNew, unix.NLM_F_CREATE|unix.NLM_F_EXCL, uint8(f.Orig.Family))
	b = appendTuples(b, f)
	if f.Has.Is(flow.HasStatus) {
		b = appendBE32(b, ctaStatus, f.Status&^statusNotCreated|flow.StatusConfirmed)
	}
	b = appendChangeable(b, f, liberal || !f.Has.Is(flow.HasTCPWScale))
	if f.Has.Is(flow.HasReply) {
		b = appendNAT(b, f)
	}
	if f.Has.Is(flow.HasHelper) {
		b = appendHelper(b, f)
	}
	closeMessage(b, at)
	return b
}

// AppendUpdate appends the request that changes an existing entry, found by f.Orig and its zone: IPCTNL_MSG_CT_NEW
// without NLM_F_CREATE. It sends status, timeout, mark (also 0), protoinfo, sequence adjustments, synproxy and labels;
// the kernel lets nothing else be changed.
func AppendUpdate(b []byte, f *flow.Flow, liberal bool) []byte {
	b, at := openMessage(b, msgCtNew, 0, uint8(f.Orig.Family))
	b = appendKey(b, ctaTupleOrig, &f.Orig)
	if f.Has.Is(flow.HasStatus) {
		b = appendBE32(b, ctaStatus, f.Status&^statusNotUpdated|flow.StatusConfirmed)
	}
	b = appendChangeable(b, f, liberal)
	closeMessage(b, at)
	return b
}

// AppendDelete appends the request that deletes the entry found by f.Orig and its zone, if it also has f.ID where that
// is present.
func AppendDelete(b []byte, f *flow.Flow) []byte {
	b, at := openMessage(b, msgCtDelete, 0, uint8(f.Orig.Family))
	b = appendKey(b, ctaTupleOrig, &f.Orig)
	if f.Has.Is(flow.HasID) {
		b = appendBE32(b, ctaID, f.ID)
	}
	closeMessage(b, at)
	return b
}

// AppendGet appends the request for the entry whose tuple of direction dir is key.
func AppendGet(b []byte, key *flow.Tuple, dir flow.Direction) []byte {
	b, at := openMessage(b, msgCtGet, 0, uint8(key.Family))
	typ := uint16(ctaTupleOrig)
	if dir == flow.Reply {
		typ = ctaTupleReply
	}
	b = appendKey(b, typ, key)
	closeMessage(b, at)
	return b
}

// appendKey appends the tuple by which the kernel finds an entry. CTA_ZONE serves for a directional zone as well: the
// kernel compares zones in the direction of the tuple only.
func appendKey(b []byte, typ uint16, t *flow.Tuple) []byte {
	b = appendTuple(b, typ, t, 0)
	if t.Zone != 0 {
		b = appendBE16(b, ctaZone, t.Zone)
	}
	return b
}

// appendTuples appends what identifies a new entry: both tuples, the master and the zone, which is CTA_ZONE for the
// whole flow and CTA_TUPLE_ZONE for one direction.
func appendTuples(b []byte, f *flow.Flow) []byte {
	reply := f.Orig.Inverse()
	origZone, replyZone := uint16(0), uint16(0)
	if f.Has.Is(flow.HasReply) {
		if f.Orig.Zone != f.Reply.Zone {
			origZone, replyZone = f.Orig.Zone, f.Reply.Zone
		}
		if f.Orig.Proto == flow.GRE {
			// The kernel translates no GRE key before the flow has its master, which it gets after its NAT.
			reply.SrcPort, reply.DstPort = f.Reply.SrcPort, f.Reply.DstPort
		}
	}
	b = appendTuple(b, ctaTupleOrig, &f.Orig, origZone)
	b = appendTuple(b, ctaTupleReply, &reply, replyZone)
	if f.Has.Is(flow.HasMaster) {
		b = appendTuple(b, ctaTupleMaster, &f.Master, 0)
	}
	if f.Orig.Zone != 0 && origZone == 0 {
		b = appendBE16(b, ctaZone, f.Orig.Zone)
	}
	return b
}

func appendTuple(b []byte, typ uint16, t *flow.Tuple, zone uint16) []byte {
	b, at := openNest(b, typ)
	b, ip := openNest(b, ctaTupleIP)
	if t.Family == flow.IPv4 {
		b = appendBytes(b, ctaIPv4Src, t.Src[:4])
		b = appendBytes(b, ctaIPv4Dst, t.Dst[:4])
	} else {
		b = appendBytes(b, ctaIPv6Src, t.Src[:])
		b = appendBytes(b, ctaIPv6Dst, t.Dst[:])
	}
	closeNest(b, ip)
	b, l4 := openNest(b, ctaTupleProto)
	b = appendU8(b, ctaProtoNum, uint8(t.Proto))
	switch {
	case t.Proto == flow.ICMP:
		b = appendICMP(b, t, ctaProtoICMPID, ctaProtoICMPType, ctaProtoICMPCode)
	case t.Proto == flow.ICMPv6:
		b = appendICMP(b, t, ctaProtoICMPv6ID, ctaProtoICMPv6Type, ctaProtoICMPv6Code)
	case t.Proto.HasPorts() || t.Proto == flow.GRE:
		b = appendBE16(b, ctaProtoSrcPort, t.SrcPort)
		b = appendBE16(b, ctaProtoDstPort, t.DstPort)
	}
	closeNest(b, l4)
	if zone != 0 {
		b = appendBE16(b, ctaTupleZone, zone)
	}
	closeNest(b, at)
	return b
}

func appendICMP(b []byte, t *flow.Tuple, id, typ, code uint16) []byte {
	b = appendBE16(b, id, t.SrcPort)
	b = appendU8(b, typ, t.ICMPType())
	return appendU8(b, code, t.ICMPCode())
}
