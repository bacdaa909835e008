package ctnetlink

import "ctsync/daemon/flow"

func decodeProtoinfo(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaProtoinfoTCP:
			a.check(decodeTCP(a.data, f))
		case ctaProtoinfoSCTP:
			a.check(decodeSCTP(a.data, f))
		case ctaProtoinfoDCCP:
			a.check(decodeDCCP(a.data, f))
		}
	}
	return !a.bad
}

// decodeTCP reads the TCP state. A DESTROY carries the state alone; scales and flags are taken in pairs.
func decodeTCP(b []byte, f *flow.Flow) bool {
	var seen uint8
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaProtoinfoTCPState:
			f.TCPState = a.u8()
		case ctaProtoinfoTCPWScaleOrig:
			f.TCPWScale[flow.Original] = a.u8()
		case ctaProtoinfoTCPWScaleReply:
			f.TCPWScale[flow.Reply] = a.u8()
		case ctaProtoinfoTCPFlagsOrig: // struct nf_ct_tcp_flags: flags u8, mask u8
			f.TCPFlags[flow.Original] = a.u8()
		case ctaProtoinfoTCPFlagsReply:
			f.TCPFlags[flow.Reply] = a.u8()
		default:
			continue
		}
		seen |= 1 << a.typ
	}
	if seen&(1<<ctaProtoinfoTCPState) != 0 {
		f.Has |= flow.HasTCPState
	}
	if seen&(1<<ctaProtoinfoTCPWScaleOrig|1<<ctaProtoinfoTCPWScaleReply) != 0 {
		f.Has |= flow.HasTCPWScale
	}
	if seen&(1<<ctaProtoinfoTCPFlagsOrig|1<<ctaProtoinfoTCPFlagsReply) != 0 {
		f.Has |= flow.HasTCPFlags
	}
	return !a.bad
}

func decodeSCTP(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaProtoinfoSCTPState:
			f.SCTPState = a.u8()
			f.Has |= flow.HasSCTP
		case ctaProtoinfoSCTPVTagOrig:
			f.SCTPVTag[flow.Original] = a.be32()
		case ctaProtoinfoSCTPVTagReply:
			f.SCTPVTag[flow.Reply] = a.be32()
		}
	}
	if !f.Has.Is(flow.HasSCTP) {
		f.SCTPVTag = [2]uint32{} // the kernel sends no tags without a state
	}
	return !a.bad
}

func decodeDCCP(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaProtoinfoDCCPState:
			f.DCCPState = a.u8()
			f.Has |= flow.HasDCCP
		case ctaProtoinfoDCCPRole:
			f.DCCPRole = a.u8()
		}
	}
	if !f.Has.Is(flow.HasDCCP) {
		f.DCCPRole = 0
	}
	return !a.bad
}

func decodeCounters(b []byte, f *flow.Flow, dir flow.Direction) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaCountersPackets:
			f.Packets[dir] = a.be64()
			f.Has |= flow.HasCounters
		case ctaCountersBytes:
			f.Bytes[dir] = a.be64()
			f.Has |= flow.HasCounters
		}
	}
	return !a.bad
}

func decodeTimestamp(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaTimestampStart:
			f.Start = a.be64()
			f.Has |= flow.HasTimestamp
		case ctaTimestampStop:
			f.Stop = a.be64()
			f.Has |= flow.HasTimestamp
		}
	}
	return !a.bad
}

func decodeSeqAdj(b []byte, s *flow.SeqAdj) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaSeqAdjCorrectionPos:
			s.CorrectionPos = a.be32()
		case ctaSeqAdjOffsetBefore:
			s.OffsetBefore = a.be32()
		case ctaSeqAdjOffsetAfter:
			s.OffsetAfter = a.be32()
		}
	}
	return !a.bad
}

func decodeSynproxy(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaSynproxyISN:
			f.Synproxy.ISN = a.be32()
		case ctaSynproxyITS:
			f.Synproxy.ITS = a.be32()
		case ctaSynproxyTSOff:
			f.Synproxy.TSOff = a.be32()
		}
	}
	if f.Synproxy != (flow.Synproxy{}) {
		f.Has |= flow.HasSynproxy
	}
	return !a.bad
}

func decodeHelp(b []byte, f *flow.Flow) bool {
	a := attrs{rest: b}
	for a.next() {
		if a.typ == ctaHelpName && decodeName(a.data, f.Helper[:]) {
			f.Has |= flow.HasHelper
		}
	}
	return !a.bad
}
