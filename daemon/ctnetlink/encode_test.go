package ctnetlink

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// restored is a model of what the kernel makes of a create request: it starts from the reply tuple that was sent and
// applies the NAT ranges to it, as nf_nat_setup_info does with one address and one port.
func restored(t testing.TB, msg []byte) flow.Flow {
	t.Helper()
	var f flow.Flow
	if err := DecodeFlow(msg, &f); err != nil {
		t.Fatal(err)
	}
	a := attrs{rest: msg[headerLen:]}
	for a.next() {
		if a.typ == ctaNatSrc || a.typ == ctaNatDst {
			applyRange(t, a.data, a.typ, &f.Reply)
		}
	}
	return f
}

func applyRange(t testing.TB, b []byte, typ uint16, reply *flow.Tuple) {
	t.Helper()
	addr, port := &reply.Dst, &reply.DstPort
	if typ == ctaNatDst {
		addr, port = &reply.Src, &reply.SrcPort
	} else if reply.Proto.IsICMP() {
		port = &reply.SrcPort
	}
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaNatV4MinIP:
			a.copy(addr[:4])
		case ctaNatV6MinIP:
			a.copy(addr[:])
		case ctaNatProto:
			l4 := attrs{rest: a.data}
			for l4.next() {
				if l4.typ != ctaProtonatPortMin {
					t.Fatalf("attribute %d in a NAT range", l4.typ)
				}
				*port = l4.be16()
			}
			a.check(!l4.bad)
		}
	}
	if a.bad {
		t.Fatal("malformed NAT range")
	}
}

func TestAppendCreateRestoresReply(t *testing.T) {
	for _, s := range codecSamples() {
		if !s.f.Has.Is(flow.HasReply) {
			continue
		}
		msg := AppendCreate(nil, &s.f, true)
		if len(msg) > maxMessage {
			t.Errorf("%s: %d bytes, limit %d", s.name, len(msg), maxMessage)
		}
		got := restored(t, msg)
		if got.Orig != s.f.Orig || got.Reply != s.f.Reply || got.Master != s.f.Master {
			t.Errorf("%s: restored as\n%+v, want\n%+v", s.name, got, s.f)
		}
	}
}

// TestAppendStatus shows which status bits leave, by create and by update.
func TestAppendStatus(t *testing.T) {
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	f.Status = 0xffff
	for _, tc := range []struct {
		name string
		msg  []byte
		want uint32
	}{
		{"create", AppendCreate(nil, &f, false), 0x244e},
		{"update", AppendUpdate(nil, &f, false), 0x244f},
		{"unconfirmed", AppendCreate(nil, &flow.Flow{Orig: f.Orig, Has: flow.HasStatus}, false), 0x8},
	} {
		var got flow.Flow
		if err := DecodeFlow(tc.msg, &got); err != nil {
			t.Fatal(err)
		}
		if got.Status != tc.want {
			t.Errorf("%s: %#x, want %#x", tc.name, got.Status, tc.want)
		}
	}
	if msg := AppendCreate(nil, &flow.Flow{Orig: f.Orig}, false); has(t, msg)&flow.HasStatus != 0 {
		t.Error("a status that nobody gave")
	}
}

func has(t *testing.T, msg []byte) flow.Attr {
	t.Helper()
	var f flow.Flow
	if err := DecodeFlow(msg, &f); err != nil {
		t.Fatal(err)
	}
	return f.Has
}

func TestTCPFlags(t *testing.T) {
	const ws, sack, liberal = flow.TCPFlagWindowScale, flow.TCPFlagSackPerm, flow.TCPFlagBeLiberal
	for _, tc := range []struct {
		name        string
		has         flow.Attr
		in          uint8
		liberal     bool
		flags, mask uint8
	}{
		{"nothing known", 0, 0, false, 0, 0},
		{"nothing known, liberal", 0, 0, true, liberal, liberal},
		{"scales from the peer", flow.HasTCPWScale, 0, false, ws | sack, ws | sack},
		{"scales from the peer, liberal", flow.HasTCPWScale, 0, true, ws | sack | liberal, ws | sack | liberal},
		{"flags of the kernel", flow.HasTCPWScale | flow.HasTCPFlags, ws, false, ws, tcpFlagsSent},
		{"flags of the kernel, no scale agreed", flow.HasTCPWScale | flow.HasTCPFlags, 0, true, liberal, tcpFlagsSent},
		{"flags that stay behind", flow.HasTCPFlags, 0xf0, false, 0, tcpFlagsSent},
	} {
		f := flow.Flow{Has: tc.has, TCPFlags: [2]uint8{0, tc.in}}
		if flags, mask := tcpFlags(&f, flow.Reply, tc.liberal); flags != tc.flags || mask != tc.mask {
			t.Errorf("%s: flags %#x mask %#x, want %#x and %#x", tc.name, flags, mask, tc.flags, tc.mask)
		}
	}
}

// TestAppendOnlyWhatIsThere compares the set of attributes that leaves with the set that is present.
func TestAppendOnlyWhatIsThere(t *testing.T) {
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	copy(f.Helper[:], "ftp")
	f.Synproxy.ISN = 1
	for _, a := range []flow.Attr{0, flow.HasTimeout, flow.HasMark, flow.HasHelper, flow.HasLabels, flow.HasSeqAdj,
		flow.HasSynproxy, flow.HasTCPState, flow.HasTCPWScale} {
		f.Has = a
		want := a | flow.HasReply
		want |= flow.HasTCPFlags // of the scales, or because there are none
		if got := has(t, AppendCreate(nil, &f, false)); got != want {
			t.Errorf("create with %v sends %v", a, got)
		}
		if want &^= flow.HasReply | flow.HasHelper; a != flow.HasTCPWScale {
			want &^= flow.HasTCPFlags
		}
		if got := has(t, AppendUpdate(nil, &f, false)); got != want {
			t.Errorf("update with %v sends %v", a, got)
		}
	}
}

// TestRequestHeader reads what setSeq and setAck write.
func TestRequestHeader(t *testing.T) {
	f := everything()
	b := append([]byte("before"), AppendUpdate(nil, &f, true)...)[6:]
	setSeq(b, 0xfffffffe)
	setAck(b)
	h, msg, rest, ok := nextMessage(append(b, 1, 2, 3))
	want := header{Len: len(b), Type: 0x100, Flags: 0x5, Seq: 0xfffffffe}
	if diff := cmp.Diff(want, h); !ok || diff != "" || len(msg) != len(b) || len(rest) != 3 {
		t.Errorf("%v, %d of %d bytes, %d left (-want +got)\n%s", ok, len(msg), len(b), len(rest), diff)
	}
}

// TestAttributesAligned walks every request and checks that each attribute begins at a multiple of 4 and ends in its
// parent.
func TestAttributesAligned(t *testing.T) {
	for _, s := range codecSamples() {
		for _, msg := range [][]byte{AppendCreate(nil, &s.f, true), AppendUpdate(nil, &s.f, true),
			AppendDelete(nil, &s.f), AppendGet(nil, &s.f.Orig, flow.Original)} {
			if len(msg)%4 != 0 || int(binary.NativeEndian.Uint32(msg)) != len(msg) {
				t.Fatalf("%s: message of %d bytes says %d", s.name, len(msg), binary.NativeEndian.Uint32(msg))
			}
			checkNest(t, s.name, msg[headerLen:])
		}
	}
}

func checkNest(t *testing.T, name string, b []byte) {
	t.Helper()
	if len(b)%4 != 0 {
		t.Fatalf("%s: set of attributes of %d bytes", name, len(b))
	}
	a := attrs{rest: b}
	for len(a.rest) > 0 {
		nested := binary.NativeEndian.Uint16(a.rest[2:])&0x8000 != 0
		if !a.next() {
			t.Fatalf("%s: malformed set of attributes", name)
		}
		if nested {
			checkNest(t, name, a.data)
		}
	}
}
