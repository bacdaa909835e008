package flow

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
)

// JSON is a Flow as the control API and `--json` show it. An attribute that the flow does not carry is left out.
// Numbers are decimal, times are in nanoseconds since the epoch.
type JSON struct {
	Family    string          `json:"family"`   // "ipv4" or "ipv6"
	Protocol  string          `json:"protocol"` // as Proto.Name
	State     string          `json:"state,omitzero"`
	Orig      TupleJSON       `json:"orig"`
	Reply     *TupleJSON      `json:"reply,omitzero"`
	Zone      uint16          `json:"zone,omitzero"`       // both directions
	OrigZone  uint16          `json:"orig_zone,omitzero"`  // original direction only
	ReplyZone uint16          `json:"reply_zone,omitzero"` // reply direction only
	Status    []string        `json:"status,omitzero"`     // as StatusNames
	Timeout   *uint32         `json:"timeout,omitzero"`    // seconds
	Mark      *uint32         `json:"mark,omitzero"`
	ID        *uint32         `json:"id,omitzero"`
	Use       *uint32         `json:"use,omitzero"`
	Helper    string          `json:"helper,omitzero"`
	Labels    []int           `json:"labels,omitzero"` // numbers of the set bits
	Master    *ProtoTupleJSON `json:"master,omitzero"`
	TCPWScale *[2]uint8       `json:"tcp_wscale,omitzero"` // original, reply
	TCPFlags  *[2]uint8       `json:"tcp_flags,omitzero"`
	SCTPVTag  *[2]uint32      `json:"sctp_vtag,omitzero"`
	DCCPRole  *uint8          `json:"dccp_role,omitzero"` // 0 client, 1 server
	SeqAdj    *[2]SeqAdjJSON  `json:"seqadj,omitzero"`
	Synproxy  *SynproxyJSON   `json:"synproxy,omitzero"`
	Packets   *[2]uint64      `json:"packets,omitzero"`
	Bytes     *[2]uint64      `json:"bytes,omitzero"`
	Start     *uint64         `json:"start,omitzero"`
	Stop      *uint64         `json:"stop,omitzero"`
}

// TupleJSON is one direction of a JSON flow. It has only the layer-4 fields of its protocol.
type TupleJSON struct {
	Src      netip.Addr `json:"src"`
	Dst      netip.Addr `json:"dst"`
	SrcPort  *uint16    `json:"sport,omitzero"`
	DstPort  *uint16    `json:"dport,omitzero"`
	ICMPType *uint8     `json:"icmp_type,omitzero"`
	ICMPCode *uint8     `json:"icmp_code,omitzero"`
	ICMPID   *uint16    `json:"icmp_id,omitzero"`
	SrcKey   *uint16    `json:"srckey,omitzero"` // GRE
	DstKey   *uint16    `json:"dstkey,omitzero"`
}

// ProtoTupleJSON is a tuple that names its protocol: that of a master flow, or one of an expectation. Its zone is the
// zone of the flow or expectation that it is part of.
type ProtoTupleJSON struct {
	Protocol string `json:"protocol"`
	TupleJSON
}

// SeqAdjJSON is a SeqAdj.
type SeqAdjJSON struct {
	CorrectionPos uint32 `json:"correction_pos"`
	OffsetBefore  uint32 `json:"offset_before"`
	OffsetAfter   uint32 `json:"offset_after"`
}

// SynproxyJSON is a Synproxy.
type SynproxyJSON struct {
	ISN   uint32 `json:"isn"`
	ITS   uint32 `json:"its"`
	TSOff uint32 `json:"tsoff"`
}

// MarshalJSON writes f.JSON().
func (f Flow) MarshalJSON() ([]byte, error) { return json.Marshal(f.JSON()) }

// UnmarshalJSON reads a JSON into f. An unknown name or an address of the wrong family is an error. On error f does not
// change.
func (f *Flow) UnmarshalJSON(b []byte) error {
	var j JSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	g, err := j.Flow()
	if err != nil {
		return err
	}
	*f = g
	return nil
}

// carried returns a pointer to v, or nil if f does not carry the attribute.
func carried[T any](f *Flow, a Attr, v T) *T {
	if !f.Has.Is(a) {
		return nil
	}
	return &v
}

// JSON returns f as the struct that MarshalJSON writes.
func (f *Flow) JSON() JSON {
	j := JSON{
		Family:    f.Orig.Family.String(),
		Protocol:  f.Orig.Proto.Name(),
		State:     stateText(f),
		Orig:      f.Orig.json(),
		Timeout:   carried(f, HasTimeout, f.Timeout),
		Mark:      carried(f, HasMark, f.Mark),
		ID:        carried(f, HasID, f.ID),
		Use:       carried(f, HasUse, f.Use),
		TCPWScale: carried(f, HasTCPWScale, f.TCPWScale),
		TCPFlags:  carried(f, HasTCPFlags, f.TCPFlags),
		SCTPVTag:  carried(f, HasSCTP, f.SCTPVTag),
		DCCPRole:  carried(f, HasDCCP, f.DCCPRole),
		Synproxy:  carried(f, HasSynproxy, SynproxyJSON(f.Synproxy)),
		SeqAdj:    carried(f, HasSeqAdj, [2]SeqAdjJSON{SeqAdjJSON(f.SeqAdj[0]), SeqAdjJSON(f.SeqAdj[1])}),
		Packets:   carried(f, HasCounters, f.Packets),
		Bytes:     carried(f, HasCounters, f.Bytes),
		Start:     carried(f, HasTimestamp, f.Start),
		Stop:      carried(f, HasTimestamp, f.Stop),
	}
	if zone, whole := f.Zone(); whole {
		j.Zone = zone
	} else {
		j.OrigZone, j.ReplyZone = f.Orig.Zone, f.Reply.Zone
	}
	if f.Has.Is(HasReply) {
		reply := f.Reply.json()
		j.Reply = &reply
	}
	if f.Has.Is(HasStatus) {
		j.Status = StatusNames(f.Status)
	}
	if f.Has.Is(HasHelper) {
		j.Helper = nameText(f.Helper[:])
	}
	if f.Has.Is(HasLabels) {
		j.Labels = labelBits(&f.Labels)
	}
	if f.Has.Is(HasMaster) {
		master := f.Master.protoJSON()
		j.Master = &master
	}
	return j
}

// stateText returns the name of the protocol state, or its number if it has no name: "NONE" would lose it.
func stateText(f *Flow) string {
	s, ok := f.State()
	switch {
	case !ok:
		return ""
	case int(s) >= len(States(f.Orig.Proto)):
		return strconv.Itoa(int(s))
	}
	return StateName(f.Orig.Proto, s)
}

// nameText returns a name with "?" for each byte that does not print. It is as long as the name, so that it can be read
// back.
func nameText(name []byte) string { return string(appendName(nil, name)) }

func labelBits(labels *[16]byte) []int {
	bits := []int{}
	for bit := range 8 * len(labels) {
		if labels[bit/8]>>(bit%8)&1 != 0 {
			bits = append(bits, bit)
		}
	}
	return bits
}

func (t *Tuple) json() TupleJSON {
	j := TupleJSON{Src: t.Src.IP(t.Family), Dst: t.Dst.IP(t.Family)}
	src, dst := t.SrcPort, t.DstPort
	switch {
	case t.Proto.HasPorts():
		j.SrcPort, j.DstPort = &src, &dst
	case t.Proto.IsICMP():
		typ, code := t.ICMPType(), t.ICMPCode()
		j.ICMPType, j.ICMPCode, j.ICMPID = &typ, &code, &src
	case t.Proto == GRE:
		j.SrcKey, j.DstKey = &src, &dst
	}
	return j
}

func (t *Tuple) protoJSON() ProtoTupleJSON {
	return ProtoTupleJSON{Protocol: t.Proto.Name(), TupleJSON: t.json()}
}

// tuple is the inverse of Tuple.json.
func (j *TupleJSON) tuple(family Family, proto Proto, zone uint16) (Tuple, error) {
	for _, ip := range [...]netip.Addr{j.Src, j.Dst} {
		if !ip.IsValid() || ip.Is4() != (family == IPv4) || ip.Zone() != "" {
			return Tuple{}, fmt.Errorf("parse address %v: not %v", ip, family)
		}
	}
	t := Tuple{Src: AddrFrom(j.Src), Dst: AddrFrom(j.Dst), Family: family, Proto: proto, Zone: zone}
	switch {
	case proto.HasPorts():
		t.SrcPort, t.DstPort = value(j.SrcPort), value(j.DstPort)
	case proto.IsICMP():
		t.SrcPort, t.DstPort = value(j.ICMPID), uint16(value(j.ICMPType))<<8|uint16(value(j.ICMPCode))
	case proto == GRE:
		t.SrcPort, t.DstPort = value(j.SrcKey), value(j.DstKey)
	}
	return t, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
