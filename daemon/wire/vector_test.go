package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"ctsync/daemon/flow"

	"github.com/google/go-cmp/cmp"
)

// A datagram is one line of testdata/conntrackd-1.4.7.jsonl.gz: traffic captured between two conntrackd 1.4.7, decoded
// by an independent program. For the TCP captures a datagram is one chunk of whole messages.
type datagram struct {
	Capture  string
	Frame    int
	Hex      string
	Messages []vector
}

type vector struct {
	Type        string
	Flags       []string
	Len         uint16
	Seq         uint32
	From, To    uint32
	Attrs       *attributes // nil for a control message
	Reply       *reply      // reply tuple of the flow on the sender, when known
	body, whole []byte
	header      Header
	place       string
}

type pair struct {
	Src, Dst     netip.Addr
	Sport, Dport uint16
}

type reply struct {
	pair
	Proto    flow.Proto
	ICMPID   uint16 `json:"icmp_id"`
	ICMPType uint8  `json:"icmp_type"`
	ICMPCode uint8  `json:"icmp_code"`
}

// attributes holds the values of a message by the names of the package comment; nil is absent.
type attributes struct {
	IPV4, IPV6, PORT                           *pair
	L4PROTO, TCP_STATE                         *uint8
	STATUS, TIMEOUT, MARK                      *uint32
	MASTER_IPV4, MASTER_IPV6, MASTER_PORT      *pair
	MASTER_L4PROTO                             *uint8
	SNAT_IPV4, DNAT_IPV4, SNAT_IPV6, DNAT_IPV6 *netip.Addr
	SPAT_PORT, DPAT_PORT                       *uint16
	NAT_SEQ_ADJ                                *map[string]uint32
	SCTP_STATE                                 *uint8
	SCTP_VTAG_ORIG, SCTP_VTAG_REPL             *uint32
	ICMP_TYPE, ICMP_CODE                       *uint8
	ICMP_ID                                    *uint16
	TCP_WSCALE_ORIG, TCP_WSCALE_REPL           *uint8
	HELPER_NAME                                *string
	LABELS                                     []int
	SYNPROXY                                   *map[string]uint32
	ZONE                                       *uint16

	EXPECT_IPV4, EXPECT_IPV6, EXPECT_PORT     *pair
	MASK_IPV4, MASK_IPV6, MASK_PORT           *pair
	NAT_IPV4, NAT_PORT                        *pair
	EXPECT_L4PROTO, MASK_L4PROTO, NAT_L4PROTO *uint8
	FLAGS, CLASS, NAT_DIR                     *uint32
	FN                                        *string
}

// vectors returns all captured datagrams with their bytes.
func vectors(t testing.TB) (raw [][]byte, all []vector) {
	t.Helper()
	file, err := os.Open("testdata/conntrackd-1.4.7.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(unzip)
	lines.DisallowUnknownFields()
	for lines.More() {
		var d datagram
		if err := lines.Decode(&d); err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(d.Hex)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b)
		for i := range d.Messages {
			v := &d.Messages[i]
			v.place = fmt.Sprintf("%s frame %d message %d", d.Capture, d.Frame, i)
			var bad Malformed
			whole := b
			if v.header, v.body, b, bad = Next(b); bad != OK {
				t.Fatalf("%s: %v", v.place, bad)
			}
			v.whole = whole[:v.header.Len]
			all = append(all, *v)
		}
		if len(b) != 0 {
			t.Fatalf("%s frame %d: %d bytes behind the last message", d.Capture, d.Frame, len(b))
		}
	}
	return raw, all
}

func isExpectation(t Type) bool { return t >= ExpNew && t <= ExpDestroy }

func TestVectorHeaders(t *testing.T) {
	flags := map[string]Flags{
		"RESYNC": Resync, "NACK": Nack, "ACK": Ack, "ALIVE": Alive, "HELLO": Hello, "HELLO_BACK": HelloBack,
	}
	types := map[string]Type{
		"CT_NEW": CTNew, "CT_UPD": CTUpdate, "CT_DEL": CTDestroy,
		"EXP_NEW": ExpNew, "EXP_UPD": ExpUpdate, "EXP_DEL": ExpDestroy, "CTL": Control,
	}
	_, all := vectors(t)
	control := 0
	for _, v := range all {
		typ, known := types[v.Type]
		if !known {
			t.Fatalf("%s: no type %q", v.place, v.Type)
		}
		want := Header{Type: typ, Len: v.Len, Seq: v.Seq, From: v.From, To: v.To}
		for _, name := range v.Flags {
			want.Flags |= flags[name]
		}
		if diff := cmp.Diff(want, v.header); diff != "" {
			t.Errorf("%s: header (-want +got)\n%s", v.place, diff)
		}
		if v.Attrs != nil {
			continue
		}
		control++
		if got := AppendControl(nil, v.header.Flags, v.Seq, v.From, v.To); !bytes.Equal(got, v.whole) {
			t.Errorf("%s: wrote %x, want %x", v.place, got, v.whole)
		}
	}
	if len(all) != 875 || control != 421 {
		t.Errorf("%d messages, %d control; want 875 and 421", len(all), control)
	}
}

func TestVectorFlows(t *testing.T) {
	_, all := vectors(t)
	flows := 0
	for _, v := range all {
		if v.Attrs == nil || !v.header.Type.IsFlow() {
			continue
		}
		flows++
		var got flow.Flow
		unknown, err := ParseFlow(v.body, &got)
		if v.place == "01-ftfw-mcast-basic frame 71 message 0" {
			// conntrackd sent left-over memory as the ports of a DCCP flow.
			if err != ErrDCCP || got != (flow.Flow{}) {
				t.Errorf("%s: %v, want %v", v.place, err, ErrDCCP)
			}
			continue
		}
		if err != nil || unknown != 0 {
			t.Errorf("%s: unknown %d, %v", v.place, unknown, err)
			continue
		}
		if diff := cmp.Diff(v.flow(t), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", v.place, diff)
		}
		if v.Reply != nil {
			if diff := cmp.Diff(v.replyTuple(&got), got.Reply); diff != "" {
				t.Errorf("%s: reply of the sender (-want +got)\n%s", v.place, diff)
			}
		}
		want := bytes.Clone(v.whole)
		if v.place == "23-notrack-udp-nocache frame 7 message 8" {
			// A cache-less CT_DEL carries DYING, which AppendFlow never sends.
			if got.Status&flow.StatusDying == 0 {
				t.Errorf("%s: DYING lost", v.place)
			}
			status := want[HeaderSize+12+4:]
			binary.BigEndian.PutUint32(status, binary.BigEndian.Uint32(status)&^flow.StatusDying)
		}
		if again := AppendFlow(nil, v.header.Type, v.header.Flags, v.Seq, &got); !bytes.Equal(again, want) {
			t.Errorf("%s: wrote\n%x, want\n%x", v.place, again, want)
		}
	}
	if flows != 444 {
		t.Errorf("%d flows, want 444", flows)
	}
}

func TestVectorExpectations(t *testing.T) {
	_, all := vectors(t)
	expectations := 0
	for _, v := range all {
		if v.Attrs == nil || !isExpectation(v.header.Type) {
			continue
		}
		expectations++
		var got flow.Expectation
		if unknown, err := ParseExpectation(v.body, &got); err != nil || unknown != 0 {
			t.Errorf("%s: unknown %d, %v", v.place, unknown, err)
			continue
		}
		if diff := cmp.Diff(v.expectation(), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", v.place, diff)
		}
		if again := AppendExpectation(nil, v.header.Type, v.header.Flags, v.Seq, &got); !bytes.Equal(again, v.whole) {
			t.Errorf("%s: wrote\n%x, want\n%x", v.place, again, v.whole)
		}
	}
	if expectations != 10 {
		t.Errorf("%d expectations, want 10", expectations)
	}
}

// set copies *v into *dst and the bit into has, when v is there.
func set[T any](dst *T, v *T, has *flow.Attr, bit flow.Attr) {
	if v != nil {
		*dst = *v
		*has |= bit
	}
}

func (p *pair) into(t *flow.Tuple, family flow.Family) {
	if p != nil {
		t.Src, t.Dst, t.Family = flow.AddrFrom(p.Src), flow.AddrFrom(p.Dst), family
	}
}

func (p *pair) ports(t *flow.Tuple) {
	if p != nil {
		t.SrcPort, t.DstPort = p.Sport, p.Dport
	}
}

func tuple(v4, v6, ports *pair, proto *uint8) (t flow.Tuple) {
	v4.into(&t, flow.IPv4)
	v6.into(&t, flow.IPv6)
	ports.ports(&t)
	if proto != nil {
		t.Proto = flow.Proto(*proto)
	}
	return t
}

// flow builds the flow that the attributes of v name.
func (v *vector) flow(t *testing.T) flow.Flow {
	a := v.Attrs
	var f flow.Flow
	f.Orig = tuple(a.IPV4, a.IPV6, a.PORT, a.L4PROTO)
	if a.ICMP_TYPE != nil {
		f.Orig.SrcPort, f.Orig.DstPort = *a.ICMP_ID, uint16(*a.ICMP_TYPE)<<8|uint16(*a.ICMP_CODE)
	}
	set(&f.Status, a.STATUS, &f.Has, flow.HasStatus)
	set(&f.Timeout, a.TIMEOUT, &f.Has, flow.HasTimeout)
	set(&f.Mark, a.MARK, &f.Has, flow.HasMark)
	set(&f.TCPState, a.TCP_STATE, &f.Has, flow.HasTCPState)
	set(&f.TCPWScale[0], a.TCP_WSCALE_ORIG, &f.Has, flow.HasTCPWScale)
	set(&f.TCPWScale[1], a.TCP_WSCALE_REPL, &f.Has, flow.HasTCPWScale)
	set(&f.SCTPState, a.SCTP_STATE, &f.Has, flow.HasSCTP)
	set(&f.SCTPVTag[0], a.SCTP_VTAG_ORIG, &f.Has, flow.HasSCTP)
	set(&f.SCTPVTag[1], a.SCTP_VTAG_REPL, &f.Has, flow.HasSCTP)
	if a.ZONE != nil {
		f.Orig.Zone = *a.ZONE
	}
	if a.MASTER_L4PROTO != nil {
		f.Master = tuple(a.MASTER_IPV4, a.MASTER_IPV6, a.MASTER_PORT, a.MASTER_L4PROTO)
		f.Has |= flow.HasMaster
	}
	if a.NAT_SEQ_ADJ != nil {
		m := *a.NAT_SEQ_ADJ
		f.SeqAdj = [2]flow.SeqAdj{
			{CorrectionPos: m["orig_pos"], OffsetBefore: m["orig_before"], OffsetAfter: m["orig_after"]},
			{CorrectionPos: m["repl_pos"], OffsetBefore: m["repl_before"], OffsetAfter: m["repl_after"]},
		}
		f.Has |= flow.HasSeqAdj
	}
	if a.SYNPROXY != nil {
		m := *a.SYNPROXY
		f.Synproxy = flow.Synproxy{ISN: m["isn"], ITS: m["its"], TSOff: m["tsoff"]}
		f.Has |= flow.HasSynproxy
	}
	if a.HELPER_NAME != nil {
		copy(f.Helper[:], *a.HELPER_NAME)
		f.Has |= flow.HasHelper
	}
	for _, bit := range a.LABELS {
		f.Labels[bit/8] |= 1 << (bit % 8)
		f.Has |= flow.HasLabels
	}
	f.Reply = f.Orig.Inverse()
	f.Has |= flow.HasReply
	for _, nat := range []struct {
		to   *flow.Addr
		addr *netip.Addr
	}{
		{&f.Reply.Dst, a.SNAT_IPV4}, {&f.Reply.Src, a.DNAT_IPV4},
		{&f.Reply.Dst, a.SNAT_IPV6}, {&f.Reply.Src, a.DNAT_IPV6},
	} {
		if nat.addr != nil {
			*nat.to = flow.AddrFrom(*nat.addr)
		}
	}
	if f.Orig.Proto.IsICMP() {
		if a.SPAT_PORT != nil && *a.SPAT_PORT != 0 || a.DPAT_PORT != nil && *a.DPAT_PORT != 0 {
			t.Errorf("%s: ICMP with NAT ports other than 0", v.place)
		}
		return f
	}
	if a.SPAT_PORT != nil {
		f.Reply.DstPort = *a.SPAT_PORT
	}
	if a.DPAT_PORT != nil {
		f.Reply.SrcPort = *a.DPAT_PORT
	}
	return f
}

// replyTuple is the reply tuple on the sender's kernel, as far as the wire can carry it.
func (v *vector) replyTuple(f *flow.Flow) flow.Tuple {
	r := v.Reply
	t := flow.Tuple{
		Src: flow.AddrFrom(r.Src), Dst: flow.AddrFrom(r.Dst), Family: f.Orig.Family, Proto: r.Proto, Zone: f.Orig.Zone,
	}
	if r.Proto.IsICMP() {
		t.SrcPort, t.DstPort = r.ICMPID, uint16(r.ICMPType)<<8|uint16(r.ICMPCode)
	} else if carriesPorts(r.Proto) {
		t.SrcPort, t.DstPort = r.Sport, r.Dport
	}
	return t
}

// expectation builds the expectation that the attributes of v name.
func (v *vector) expectation() flow.Expectation {
	a := v.Attrs
	e := flow.Expectation{
		Master: tuple(a.MASTER_IPV4, a.MASTER_IPV6, a.MASTER_PORT, a.MASTER_L4PROTO),
		Expect: tuple(a.EXPECT_IPV4, a.EXPECT_IPV6, a.EXPECT_PORT, a.EXPECT_L4PROTO),
		Mask:   tuple(a.MASK_IPV4, a.MASK_IPV6, a.MASK_PORT, a.MASK_L4PROTO),
		Has:    flow.HasMaster | flow.HasMask,
	}
	set(&e.Timeout, a.TIMEOUT, &e.Has, flow.HasTimeout)
	set(&e.Flags, a.FLAGS, &e.Has, flow.HasFlags)
	set(&e.Class, a.CLASS, &e.Has, flow.HasClass)
	if a.NAT_DIR != nil {
		e.NAT = tuple(a.NAT_IPV4, nil, a.NAT_PORT, a.NAT_L4PROTO)
		e.NATDir = *a.NAT_DIR
		e.Has |= flow.HasNAT
	}
	if a.HELPER_NAME != nil {
		copy(e.Helper[:], *a.HELPER_NAME)
		e.Has |= flow.HasHelper
	}
	if a.FN != nil {
		copy(e.Fn[:], *a.FN)
		e.Has |= flow.HasFn
	}
	return e
}
