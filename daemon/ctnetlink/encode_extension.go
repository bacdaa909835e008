package ctnetlink

import (
	"ctsync/daemon/flow"
)

// appendChangeable appends what both a create and an update may carry, the status aside.
func appendChangeable(b []byte, f *flow.Flow, liberal bool) []byte {
	if f.Has.Is(flow.HasTimeout) {
		b = appendBE32(b, ctaTimeout, f.Timeout)
	}
	if f.Has.Is(flow.HasMark) {
		b = appendBE32(b, ctaMark, f.Mark)
	}
	switch f.Orig.Proto {
	case flow.TCP:
		b = appendTCP(b, f, liberal)
	case flow.SCTP:
		b = appendSCTP(b, f)
	case flow.DCCP:
		b = appendDCCP(b, f)
	}
	if f.Has.Is(flow.HasSeqAdj) {
		b = appendSeqAdj(b, ctaSeqAdjOrig, &f.SeqAdj[flow.Original])
		b = appendSeqAdj(b, ctaSeqAdjReply, &f.SeqAdj[flow.Reply])
	}
	if f.Has.Is(flow.HasSynproxy) && f.Synproxy != (flow.Synproxy{}) {
		b = appendSynproxy(b, &f.Synproxy)
	}
	if f.Has.Is(flow.HasLabels) {
		b = appendBytes(b, ctaLabels, f.Labels[:])
	}
	return b
}

func appendTCP(b []byte, f *flow.Flow, liberal bool) []byte {
	const known = flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags
	if !liberal && f.Has&known == 0 {
		return b
	}
	b, at := openNest(b, ctaProtoinfo)
	b, tcp := openNest(b, ctaProtoinfoTCP)
	if f.Has.Is(flow.HasTCPState) {
		b = appendU8(b, ctaProtoinfoTCPState, f.TCPState)
	}
	if f.Has.Is(flow.HasTCPWScale) {
		b = appendU8(b, ctaProtoinfoTCPWScaleOrig, f.TCPWScale[flow.Original])
		b = appendU8(b, ctaProtoinfoTCPWScaleReply, f.TCPWScale[flow.Reply])
	}
	flags, mask := tcpFlags(f, flow.Original, liberal)
	b = appendTCPFlags(b, ctaProtoinfoTCPFlagsOrig, flags, mask)
	flags, mask = tcpFlags(f, flow.Reply, liberal)
	b = appendTCPFlags(b, ctaProtoinfoTCPFlagsReply, flags, mask)
	closeNest(b, tcp)
	closeNest(b, at)
	return b
}

// tcpFlags returns the flags of one direction and which of them the kernel is to set or clear. The kernel takes window
// scales only together with the WINDOW_SCALE flag of both directions, so scales from a source that has no flags (the
// peer) imply it, and SACK_PERM, without which the kernel would check SACK-bearing packets more strictly than before.
func tcpFlags(f *flow.Flow, dir flow.Direction, liberal bool) (flags, mask uint8) {
	switch {
	case f.Has.Is(flow.HasTCPFlags):
		flags, mask = f.TCPFlags[dir]&tcpFlagsSent, tcpFlagsSent
	case f.Has.Is(flow.HasTCPWScale):
		flags = flow.TCPFlagWindowScale | flow.TCPFlagSackPerm
		mask = flags
	}
	if liberal {
		flags |= flow.TCPFlagBeLiberal
		mask |= flow.TCPFlagBeLiberal
	}
	return flags, mask
}

// appendTCPFlags appends a struct nf_ct_tcp_flags, unless it would change nothing.
func appendTCPFlags(b []byte, typ uint16, flags, mask uint8) []byte {
	if mask == 0 {
		return b
	}
	b = appendAttrHeader(b, typ, 2)
	return append(b, flags, mask, 0, 0)
}

func appendSCTP(b []byte, f *flow.Flow) []byte {
	if !f.Has.Is(flow.HasSCTP) {
		return b
	}
	b, at := openNest(b, ctaProtoinfo)
	b, sctp := openNest(b, ctaProtoinfoSCTP)
	b = appendU8(b, ctaProtoinfoSCTPState, f.SCTPState)
	b = appendBE32(b, ctaProtoinfoSCTPVTagOrig, f.SCTPVTag[flow.Original])
	b = appendBE32(b, ctaProtoinfoSCTPVTagReply, f.SCTPVTag[flow.Reply])
	closeNest(b, sctp)
	closeNest(b, at)
	return b
}

func appendDCCP(b []byte, f *flow.Flow) []byte {
	if !f.Has.Is(flow.HasDCCP) {
		return b
	}
	b, at := openNest(b, ctaProtoinfo)
	b, dccp := openNest(b, ctaProtoinfoDCCP)
	b = appendU8(b, ctaProtoinfoDCCPState, f.DCCPState)
	b = appendU8(b, ctaProtoinfoDCCPRole, f.DCCPRole)
	closeNest(b, dccp)
	closeNest(b, at)
	return b
}

func appendSeqAdj(b []byte, typ uint16, s *flow.SeqAdj) []byte {
	b, at := openNest(b, typ)
	b = appendBE32(b, ctaSeqAdjCorrectionPos, s.CorrectionPos)
	b = appendBE32(b, ctaSeqAdjOffsetBefore, s.OffsetBefore)
	b = appendBE32(b, ctaSeqAdjOffsetAfter, s.OffsetAfter)
	closeNest(b, at)
	return b
}

func appendSynproxy(b []byte, s *flow.Synproxy) []byte {
	b, at := openNest(b, ctaSynproxy)
	b = appendBE32(b, ctaSynproxyISN, s.ISN)
	b = appendBE32(b, ctaSynproxyITS, s.ITS)
	b = appendBE32(b, ctaSynproxyTSOff, s.TSOff)
	closeNest(b, at)
	return b
}

// appendHelper sends the name with its NUL: without it the kernel answers EINVAL.
func appendHelper(b []byte, f *flow.Flow) []byte {
	if f.Helper[0] == 0 {
		return b
	}
	b, at := openNest(b, ctaHelp)
	b = appendName(b, ctaHelpName, f.Helper[:])
	closeNest(b, at)
	return b
}

// appendNAT appends the translations of f. When there is one, both directions are named, each with the only address and
// port it may have: where a range leaves a choice, and for a direction that is not named, the kernel picks a port that
// looks free, and may take another source mapping of the same client.
func appendNAT(b []byte, f *flow.Flow) []byte {
	if !f.SNAT() && !f.DNAT() {
		return b
	}
	src, dst := f.Reply.DstPort, f.Reply.SrcPort
	ports := f.Orig.Proto.HasPorts()
	b = appendManip(b, ctaNatDst, f.Orig.Family, &f.Reply.Src, dst, ports)
	if f.Orig.Proto.IsICMP() {
		src, ports = f.Reply.SrcPort, true // the id, which belongs to the source
	}
	return appendManip(b, ctaNatSrc, f.Orig.Family, &f.Reply.Dst, src, ports)
}

// appendManip appends one range of a single address and port. The maxima are left out: the kernel then takes the
// minima.
func appendManip(b []byte, typ uint16, family flow.Family, addr *flow.Addr, port uint16, ports bool) []byte {
	b, at := openNest(b, typ)
	if family == flow.IPv4 {
		b = appendBytes(b, ctaNatV4MinIP, addr[:4])
	} else {
		b = appendBytes(b, ctaNatV6MinIP, addr[:])
	}
	if ports {
		var l4 int
		b, l4 = openNest(b, ctaNatProto)
		b = appendBE16(b, ctaProtonatPortMin, port)
		closeNest(b, l4)
	}
	closeNest(b, at)
	return b
}
