package wire

import (
	"encoding/binary"

	"ctsync/daemon/flow"
)

// flowAttributes is indexed by attribute id.
var flowAttributes = table([]attribute{
	attrIPv4:          {name: "IPV4", size: 8},
	attrIPv6:          {name: "IPV6", size: 32},
	attrL4Proto:       {name: "L4PROTO", size: 1},
	attrPort:          {name: "PORT", size: 4},
	attrTCPState:      {name: "TCP_STATE", size: 1},
	attrStatus:        {name: "STATUS", size: 4, has: flow.HasStatus},
	attrTimeout:       {name: "TIMEOUT", size: 4, has: flow.HasTimeout},
	attrMark:          {name: "MARK", size: 4, has: flow.HasMark},
	attrMasterIPv4:    {name: "MASTER_IPV4", size: 8},
	attrMasterIPv6:    {name: "MASTER_IPV6", size: 32},
	attrMasterL4Proto: {name: "MASTER_L4PROTO", size: 1},
	attrMasterPort:    {name: "MASTER_PORT", size: 4},
	attrSNATIPv4:      {name: "SNAT_IPV4", size: 4},
	attrDNATIPv4:      {name: "DNAT_IPV4", size: 4},
	attrSPATPort:      {name: "SPAT_PORT", size: 2},
	attrDPATPort:      {name: "DPAT_PORT", size: 2},
	attrNATSeqAdj:     {name: "NAT_SEQ_ADJ", size: 24, has: flow.HasSeqAdj},
	attrSCTPState:     {name: "SCTP_STATE", size: 1},
	attrSCTPVTagOrig:  {name: "SCTP_VTAG_ORIG", size: 4},
	attrSCTPVTagRepl:  {name: "SCTP_VTAG_REPL", size: 4},
	attrDCCPState:     {name: "DCCP_STATE", size: 1},
	attrDCCPRole:      {name: "DCCP_ROLE", size: 1},
	attrICMPType:      {name: "ICMP_TYPE", size: 1},
	attrICMPCode:      {name: "ICMP_CODE", size: 1},
	attrICMPID:        {name: "ICMP_ID", size: 2},
	attrTCPWScaleOrig: {name: "TCP_WSCALE_ORIG", size: 1},
	attrTCPWScaleRepl: {name: "TCP_WSCALE_REPL", size: 1},
	attrHelperName:    {name: "HELPER_NAME", size: helperSize, variable: true},
	attrLabels:        {name: "LABELS", size: 1024, variable: true},
	attrSNATIPv6:      {name: "SNAT_IPV6", size: 16},
	attrDNATIPv6:      {name: "DNAT_IPV6", size: 16},
	attrSynproxy:      {name: "SYNPROXY", size: 12, has: flow.HasSynproxy},
	attrZone:          {name: "ZONE", size: 2},
})

// ParseFlow reads the body of a CTNew, CTUpdate or CTDestroy message into *f, which it overwrites. It skips attributes
// with an id of a newer version, where conntrackd refuses the message, and unknown counts them.
//
// Reply is the inverse of Orig with the NAT of the message applied, HasReply is set, and all tuples have the zone. It
// ignores attributes of another protocol than the flow's, half a master tuple, half a pair of window scales, labels
// whose length is not a multiple of 4, and NAT ports of ICMP except a translated id. It adds the done bit of a NAT
// that STATUS lacks. On error *f is zero and err is one of this package's errors or wraps one.
func ParseFlow(body []byte, f *flow.Flow) (unknown int, err error) {
	p := flowParser{f: f}
	*f = flow.Flow{}
	for len(body) > 4 {
		id, payload, rest, known, err := nextAttribute(body, flowAttributes)
		if err != nil {
			*f = flow.Flow{}
			return unknown, err
		}
		body = rest
		if !known {
			unknown++
			continue
		}
		p.seen |= 1 << id
		f.Has |= flowAttributes[id].has
		if id < attrSCTPState {
			p.tuple(id, payload)
		} else {
			p.extension(id, payload)
		}
	}
	if err := p.finish(); err != nil {
		*f = flow.Flow{}
		return unknown, err
	}
	return unknown, nil
}

// flowParser keeps what cannot go into the flow before all attributes are known.
type flowParser struct {
	f          *flow.Flow
	seen       uint64 // bit per attribute id
	port       uint32 // PORT as it stands on the wire
	icmpType   uint8
	icmpCode   uint8
	icmpID     uint16
	zone       uint16
	spat, dpat uint16
	snat4      [4]byte
	dnat4      [4]byte
	snat6      [16]byte
	dnat6      [16]byte
}

func (p *flowParser) has(id int) bool { return p.seen>>id&1 != 0 }

// tuple takes the attributes 0 to 16.
func (p *flowParser) tuple(id int, b []byte) {
	f := p.f
	switch id {
	case attrIPv4, attrIPv6:
		setAddresses(&f.Orig, b)
	case attrL4Proto:
		f.Orig.Proto = flow.Proto(b[0])
	case attrPort:
		p.port = binary.BigEndian.Uint32(b)
	case attrTCPState:
		f.TCPState = b[0]
	case attrStatus:
		f.Status = binary.BigEndian.Uint32(b)
	case attrTimeout:
		f.Timeout = binary.BigEndian.Uint32(b)
	case attrMark:
		f.Mark = binary.BigEndian.Uint32(b)
	case attrMasterIPv4, attrMasterIPv6:
		setAddresses(&f.Master, b)
	case attrMasterL4Proto:
		f.Master.Proto = flow.Proto(b[0])
	case attrMasterPort:
		setPorts(&f.Master, b)
	case attrSNATIPv4:
		copy(p.snat4[:], b)
	case attrDNATIPv4:
		copy(p.dnat4[:], b)
	case attrSPATPort:
		p.spat = binary.LittleEndian.Uint16(b)
	case attrDPATPort:
		p.dpat = binary.LittleEndian.Uint16(b)
	case attrNATSeqAdj:
		for i := range f.SeqAdj {
			s := b[12*i:]
			f.SeqAdj[i] = flow.SeqAdj{
				CorrectionPos: binary.BigEndian.Uint32(s),
				OffsetBefore:  binary.BigEndian.Uint32(s[4:]),
				OffsetAfter:   binary.BigEndian.Uint32(s[8:]),
			}
		}
	}
}

// extension takes the attributes 17 to 32.
func (p *flowParser) extension(id int, b []byte) {
	f := p.f
	switch id {
	case attrSCTPState:
		f.SCTPState = b[0]
	case attrSCTPVTagOrig:
		f.SCTPVTag[flow.Original] = binary.BigEndian.Uint32(b)
	case attrSCTPVTagRepl:
		f.SCTPVTag[flow.Reply] = binary.BigEndian.Uint32(b)
	case attrDCCPState:
		f.DCCPState = b[0]
	case attrDCCPRole:
		f.DCCPRole = b[0]
	case attrICMPType:
		p.icmpType = b[0]
	case attrICMPCode:
		p.icmpCode = b[0]
	case attrICMPID:
		p.icmpID = binary.LittleEndian.Uint16(b)
	case attrTCPWScaleOrig:
		f.TCPWScale[flow.Original] = b[0]
	case attrTCPWScaleRepl:
		f.TCPWScale[flow.Reply] = b[0]
	case attrHelperName:
		p.setHelper(b)
	case attrLabels:
		p.setLabels(b)
	case attrSNATIPv6:
		copy(p.snat6[:], b)
	case attrDNATIPv6:
		copy(p.dnat6[:], b)
	case attrSynproxy:
		f.Synproxy = flow.Synproxy{
			ITS:   binary.BigEndian.Uint32(b),
			ISN:   binary.BigEndian.Uint32(b[4:]),
			TSOff: binary.BigEndian.Uint32(b[8:]),
		}
	case attrZone:
		p.zone = binary.BigEndian.Uint16(b)
	}
}

func (p *flowParser) setHelper(b []byte) {
	p.f.Has &^= flow.HasHelper
	if setName(p.f.Helper[:], b) {
		p.f.Has |= flow.HasHelper
	}
}

// setLabels takes up to four words; a kernel has no more, and conntrackd ignores labels that are not whole words.
func (p *flowParser) setLabels(b []byte) {
	if len(b) == 0 || len(b)%4 != 0 {
		return
	}
	f := p.f
	f.Has |= flow.HasLabels
	f.Labels = [16]byte{}
	for i := 0; i < min(len(b), len(f.Labels)); i += 4 {
		binary.LittleEndian.PutUint32(f.Labels[i:], binary.BigEndian.Uint32(b[i:]))
	}
}

// finish puts the tuples together once all attributes are in, whatever their order was.
func (p *flowParser) finish() error {
	f := p.f
	if !p.has(attrIPv4) && !p.has(attrIPv6) {
		return ErrNoAddress
	}
	if !p.has(attrL4Proto) {
		return ErrNoProtocol
	}
	f.Orig.Zone = p.zone
	if err := p.finishProtocol(); err != nil {
		return err
	}
	p.finishMaster()
	f.Orig.Invert(&f.Reply)
	f.Has |= flow.HasReply
	p.applyNAT()
	return nil
}

// The largest values that a kernel reports. Some kernels take any value through ctnetlink and use it as an index or a
// shift count, and these values come from a network where anybody can send.
const (
	maxSCTPState = 9  // SCTP_CONNTRACK_HEARTBEAT_ACKED
	maxWScale    = 14 // TCP_MAX_WSCALE, RFC 7323
)

// finishProtocol fills the layer 4 part of the key and drops the state of any other protocol.
func (p *flowParser) finishProtocol() error {
	f := p.f
	proto := f.Orig.Proto
	switch {
	case proto == flow.DCCP && !p.has(attrDCCPState):
		return ErrDCCP
	case carriesPorts(proto):
		if !p.has(attrPort) {
			return ErrNoPort
		}
		f.Orig.SrcPort, f.Orig.DstPort = uint16(p.port>>16), uint16(p.port)
	case proto.IsICMP():
		if !p.has(attrICMPType) {
			return ErrNoICMP
		}
		f.Orig.SrcPort, f.Orig.DstPort = p.icmpID, uint16(p.icmpType)<<8|uint16(p.icmpCode)
	}
	if proto == flow.TCP && p.has(attrTCPState) {
		f.Has |= flow.HasTCPState
	} else {
		f.TCPState = 0
	}
	if f.SCTPState > maxSCTPState || max(f.TCPWScale[flow.Original], f.TCPWScale[flow.Reply]) > maxWScale {
		return ErrState
	}
	if proto == flow.TCP && p.has(attrTCPWScaleOrig) && p.has(attrTCPWScaleRepl) {
		f.Has |= flow.HasTCPWScale
	} else {
		f.TCPWScale = [2]uint8{}
	}
	if proto == flow.SCTP && p.has(attrSCTPState) {
		f.Has |= flow.HasSCTP
	} else {
		f.SCTPState, f.SCTPVTag = 0, [2]uint32{}
	}
	if proto == flow.DCCP {
		f.Has |= flow.HasDCCP
	} else {
		f.DCCPState, f.DCCPRole = 0, 0
	}
	return nil
}

// finishMaster keeps a master tuple that has addresses and a protocol. It lies in the zone of the flow: the kernel
// looks it up there.
func (p *flowParser) finishMaster() {
	m := &p.f.Master
	if !p.has(attrMasterL4Proto) || !p.has(attrMasterIPv4) && !p.has(attrMasterIPv6) {
		*m = flow.Tuple{}
		return
	}
	if !m.Proto.HasPorts() {
		m.SrcPort, m.DstPort = 0, 0
	}
	m.Zone = p.zone
	p.f.Has |= flow.HasMaster
}

const natAttributes = 1<<attrSNATIPv4 | 1<<attrDNATIPv4 | 1<<attrSPATPort | 1<<attrDPATPort |
	1<<attrSNATIPv6 | 1<<attrDNATIPv6

// applyNAT changes the reply tuple as the NAT attributes of the flow's own family say.
func (p *flowParser) applyNAT() {
	if p.seen&natAttributes == 0 {
		return
	}
	f := p.f
	r := f.Reply
	if f.Orig.Family == flow.IPv4 {
		if p.has(attrSNATIPv4) {
			copy(r.Dst[:], p.snat4[:])
		}
		if p.has(attrDNATIPv4) {
			copy(r.Src[:], p.dnat4[:])
		}
	} else {
		if p.has(attrSNATIPv6) {
			r.Dst = p.snat6
		}
		if p.has(attrDNATIPv6) {
			r.Src = p.dnat6
		}
	}
	if f.Orig.Proto.IsICMP() {
		if p.spat != 0 {
			r.SrcPort = p.spat // the id
		}
	} else {
		if p.has(attrSPATPort) {
			r.DstPort = p.spat
		}
		if p.has(attrDPATPort) {
			r.SrcPort = p.dpat
		}
	}
	if f.Has.Is(flow.HasStatus) {
		source, destination := r.DstPort != f.Reply.DstPort, r.SrcPort != f.Reply.SrcPort
		if f.Orig.Proto.IsICMP() { // an id is the source's
			source, destination = destination, false
		}
		if source || r.Dst != f.Reply.Dst {
			f.Status |= flow.StatusSrcNATDone
		}
		if destination || r.Src != f.Reply.Src {
			f.Status |= flow.StatusDstNATDone
		}
	}
	f.Reply = r
}
