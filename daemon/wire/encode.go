package wire

import (
	"encoding/binary"

	"ctsync/daemon/flow"
)

// Attribute ids of a flow.
const (
	attrIPv4 = iota
	attrIPv6
	attrL4Proto
	attrPort
	attrTCPState
	attrStatus
	attrTimeout
	attrMark
	attrMasterIPv4
	attrMasterIPv6
	attrMasterL4Proto
	attrMasterPort
	attrSNATIPv4
	attrDNATIPv4
	attrSPATPort
	attrDPATPort
	attrNATSeqAdj
	attrSCTPState
	attrSCTPVTagOrig
	attrSCTPVTagRepl
	attrDCCPState
	attrDCCPRole
	attrICMPType
	attrICMPCode
	attrICMPID
	attrTCPWScaleOrig
	attrTCPWScaleRepl
	attrHelperName
	attrLabels
	attrSNATIPv6
	attrDNATIPv6
	attrSynproxy
	attrZone
)

const (
	helperSize = 12 // longest HELPER_NAME that conntrackd reads, NUL included
	fnSize     = 28 // longest FN, NUL included
)

// AppendFlow appends a message that describes f, byte for byte as conntrackd writes it. It writes an attribute when
// its bit in f.Has is set, and PORT and ICMP_* always, because they are part of the key. Four things differ from what
// f holds, because they would harm the peer or have no place on the wire: DYING is cleared in STATUS (a peer that
// commits it gets EBUSY), a helper name of more than 11 characters is left out (with it the peer refuses the whole
// message), and so are a zone of one direction only, and GRE keys and UDP-Lite ports.
func AppendFlow(b []byte, typ Type, flags Flags, seq uint32, f *flow.Flow) []byte {
	start := len(b)
	b = begin(b, typ, flags, seq)
	b = appendAddresses(b, attrIPv4, attrIPv6, &f.Orig)
	if f.Has.Is(flow.HasStatus) {
		b = append32(b, attrStatus, f.Status&^flow.StatusDying)
	}
	b = append8(b, attrL4Proto, uint8(f.Orig.Proto))
	b = appendProtocol(b, f)
	if f.Has.Is(flow.HasTimeout) {
		b = append32(b, attrTimeout, f.Timeout)
	}
	if f.Has.Is(flow.HasMark) {
		b = append32(b, attrMark, f.Mark)
	}
	if f.Has.Is(flow.HasMaster) {
		b = appendMaster(b, &f.Master)
	}
	if f.Has.Is(flow.HasReply) {
		b = appendNAT(b, f)
	}
	return finish(appendExtensions(b, f), start)
}

func appendProtocol(b []byte, f *flow.Flow) []byte {
	if carriesPorts(f.Orig.Proto) {
		b = appendPorts(b, attrPort, &f.Orig)
	}
	switch f.Orig.Proto {
	case flow.TCP:
		if f.Has.Is(flow.HasTCPState) {
			b = append8(b, attrTCPState, f.TCPState)
		}
		if f.Has.Is(flow.HasTCPWScale) {
			b = append8(b, attrTCPWScaleOrig, f.TCPWScale[flow.Original])
			b = append8(b, attrTCPWScaleRepl, f.TCPWScale[flow.Reply])
		}
	case flow.SCTP:
		if f.Has.Is(flow.HasSCTP) {
			b = append8(b, attrSCTPState, f.SCTPState)
			b = append32(b, attrSCTPVTagOrig, f.SCTPVTag[flow.Original])
			b = append32(b, attrSCTPVTagRepl, f.SCTPVTag[flow.Reply])
		}
	case flow.DCCP:
		if f.Has.Is(flow.HasDCCP) {
			b = append8(b, attrDCCPState, f.DCCPState)
			b = append8(b, attrDCCPRole, f.DCCPRole)
		}
	case flow.ICMP, flow.ICMPv6:
		b = append8(b, attrICMPType, f.Orig.ICMPType())
		b = append8(b, attrICMPCode, f.Orig.ICMPCode())
		b = appendSwapped16(b, attrICMPID, f.Orig.SrcPort)
	}
	return b
}

func appendMaster(b []byte, m *flow.Tuple) []byte {
	b = appendAddresses(b, attrMasterIPv4, attrMasterIPv6, m)
	b = append8(b, attrMasterL4Proto, uint8(m.Proto))
	if m.Proto.HasPorts() {
		b = appendPorts(b, attrMasterPort, m)
	}
	return b
}

// appendNAT writes where the reply tuple leaves the inverse of the original one, in the directions that the status
// bits declare done. Without a status the tuples alone decide.
//
// For ICMP the port comparison is conntrackd's mistake: it compares the id with the type and code of the other
// direction, which Tuple keeps in the same two fields as conntrackd does, and writes 0. A translated id stands there in
// place of the first 0.
func appendNAT(b []byte, f *flow.Flow) []byte {
	status := f.Status
	if !f.Has.Is(flow.HasStatus) {
		status = flow.StatusSrcNATDone | flow.StatusDstNATDone
	}
	src, dst := status&flow.StatusSrcNATDone != 0, status&flow.StatusDstNATDone != 0
	if src && f.Reply.Dst != f.Orig.Src {
		b = appendAddress(b, attrSNATIPv4, attrSNATIPv6, f.Orig.Family, &f.Reply.Dst)
	}
	if dst && f.Reply.Src != f.Orig.Dst {
		b = appendAddress(b, attrDNATIPv4, attrDNATIPv6, f.Orig.Family, &f.Reply.Src)
	}
	if f.Orig.Proto.IsICMP() {
		return appendICMPNAT(b, f, src, dst)
	}
	if src && f.Reply.DstPort != f.Orig.SrcPort {
		b = appendSwapped16(b, attrSPATPort, f.Reply.DstPort)
	}
	if dst && f.Reply.SrcPort != f.Orig.DstPort {
		b = appendSwapped16(b, attrDPATPort, f.Reply.SrcPort)
	}
	return b
}

func appendICMPNAT(b []byte, f *flow.Flow, src, dst bool) []byte {
	status := f.Has.Is(flow.HasStatus) // without it the zeros have no meaning
	switch {
	case f.Reply.SrcPort != f.Orig.SrcPort && (src || dst):
		b = appendSwapped16(b, attrSPATPort, f.Reply.SrcPort)
	case status && src && f.Reply.DstPort != f.Orig.SrcPort:
		b = appendSwapped16(b, attrSPATPort, 0)
	}
	if status && dst && f.Reply.SrcPort != f.Orig.DstPort {
		b = appendSwapped16(b, attrDPATPort, 0)
	}
	return b
}

func appendAddress(b []byte, id4, id6 uint16, family flow.Family, a *flow.Addr) []byte {
	if family == flow.IPv4 {
		return append(appendHead(b, id4, 4), a[:4]...)
	}
	return append(appendHead(b, id6, 16), a[:]...)
}

func appendExtensions(b []byte, f *flow.Flow) []byte {
	if f.Has.Is(flow.HasSeqAdj) {
		b = appendHead(b, attrNATSeqAdj, 24)
		for _, s := range f.SeqAdj {
			b = binary.BigEndian.AppendUint32(b, s.CorrectionPos)
			b = binary.BigEndian.AppendUint32(b, s.OffsetBefore)
			b = binary.BigEndian.AppendUint32(b, s.OffsetAfter)
		}
	}
	if f.Has.Is(flow.HasHelper) {
		b = appendName(b, attrHelperName, f.Helper[:], helperSize)
	}
	if f.Has.Is(flow.HasLabels) {
		b = appendHead(b, attrLabels, len(f.Labels))
		for i := 0; i < len(f.Labels); i += 4 {
			b = binary.BigEndian.AppendUint32(b, binary.LittleEndian.Uint32(f.Labels[i:]))
		}
	}
	if f.Has.Is(flow.HasSynproxy) {
		b = appendHead(b, attrSynproxy, 12)
		b = binary.BigEndian.AppendUint32(b, f.Synproxy.ITS)
		b = binary.BigEndian.AppendUint32(b, f.Synproxy.ISN)
		b = binary.BigEndian.AppendUint32(b, f.Synproxy.TSOff)
	}
	if zone, whole := f.Zone(); whole && zone != 0 {
		b = append16(b, attrZone, zone)
	}
	return b
}
