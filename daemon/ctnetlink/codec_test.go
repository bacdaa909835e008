package ctnetlink

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// appendKernel writes f as the kernel does, every attribute that f.Has names and no other.
func appendKernel(b []byte, f *flow.Flow) []byte {
	b, at := openMessage(b, msgCtNew, 0, uint8(f.Orig.Family))
	zone, origZone, replyZone := f.Orig.Zone, uint16(0), uint16(0)
	if f.Has.Is(flow.HasReply) && f.Orig.Zone != f.Reply.Zone {
		zone, origZone, replyZone = 0, f.Orig.Zone, f.Reply.Zone
	}
	b = appendTuple(b, ctaTupleOrig, &f.Orig, origZone)
	if f.Has.Is(flow.HasReply) {
		b = appendTuple(b, ctaTupleReply, &f.Reply, replyZone)
	}
	if zone != 0 {
		b = appendBE16(b, ctaZone, zone)
	}
	for _, a := range []struct {
		has flow.Attr
		typ uint16
		v   uint32
	}{
		{flow.HasStatus, ctaStatus, f.Status}, {flow.HasTimeout, ctaTimeout, f.Timeout},
		{flow.HasMark, ctaMark, f.Mark},
		{flow.HasUse, ctaUse, f.Use}, {flow.HasID, ctaID, f.ID},
	} {
		if f.Has.Is(a.has) {
			b = appendBE32(b, a.typ, a.v)
		}
	}
	b = appendKernelProtoinfo(b, f)
	b = appendKernelExtensions(b, f)
	closeMessage(b, at)
	return b
}

func appendKernelProtoinfo(b []byte, f *flow.Flow) []byte {
	if f.Has&(flow.HasTCPState|flow.HasTCPWScale|flow.HasTCPFlags) != 0 {
		b, info := openNest(b, ctaProtoinfo)
		b, at := openNest(b, ctaProtoinfoTCP)
		if f.Has.Is(flow.HasTCPState) {
			b = appendU8(b, ctaProtoinfoTCPState, f.TCPState)
		}
		for dir := range 2 {
			if f.Has.Is(flow.HasTCPWScale) {
				b = appendU8(b, ctaProtoinfoTCPWScaleOrig+uint16(dir), f.TCPWScale[dir])
			}
			if f.Has.Is(flow.HasTCPFlags) {
				b = appendBytes(b, ctaProtoinfoTCPFlagsOrig+uint16(dir), []byte{f.TCPFlags[dir], 0})
			}
		}
		closeNest(b, at)
		closeNest(b, info)
		return appendDCCP(appendSCTP(b, f), f)
	}
	return appendDCCP(appendSCTP(b, f), f)
}

func appendKernelExtensions(b []byte, f *flow.Flow) []byte {
	pair := func(b []byte, typ uint16, first, second uint64) []byte {
		b, at := openNest(b, typ)
		b = appendBytes(b, 1, binary.BigEndian.AppendUint64(nil, first))
		b = appendBytes(b, 2, binary.BigEndian.AppendUint64(nil, second))
		closeNest(b, at)
		return b
	}
	if f.Has.Is(flow.HasCounters) {
		b = pair(b, ctaCountersOrig, f.Packets[0], f.Bytes[0])
		b = pair(b, ctaCountersReply, f.Packets[1], f.Bytes[1])
	}
	if f.Has.Is(flow.HasTimestamp) {
		b = pair(b, ctaTimestamp, f.Start, f.Stop)
	}
	if f.Has.Is(flow.HasMaster) {
		b = appendTuple(b, ctaTupleMaster, &f.Master, 0)
	}
	if f.Has.Is(flow.HasSeqAdj) {
		b = appendSeqAdj(b, ctaSeqAdjOrig, &f.SeqAdj[0])
		b = appendSeqAdj(b, ctaSeqAdjReply, &f.SeqAdj[1])
	}
	if f.Has.Is(flow.HasSynproxy) {
		b = appendSynproxy(b, &f.Synproxy)
	}
	if f.Has.Is(flow.HasHelper) {
		b = appendHelper(b, f)
	}
	if f.Has.Is(flow.HasLabels) {
		b = appendBytes(b, ctaLabels, f.Labels[:])
	}
	return b
}

// everything is a flow with all attributes, as no kernel makes one.
func everything() flow.Flow {
	f := nat(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80"), "[fd03::1]:8080", "[fd04::1]:40000")
	f.Has = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark | flow.HasID | flow.HasUse |
		flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags | flow.HasMaster | flow.HasSeqAdj | flow.HasSynproxy |
		flow.HasHelper | flow.HasLabels | flow.HasCounters | flow.HasTimestamp
	f.Mark, f.ID, f.Use = 0x01020304, 0x05060708, 2
	f.Master = tuple(flow.TCP, "[fd01::1]:1000", "[fd02::1]:21")
	f.SeqAdj = [2]flow.SeqAdj{{CorrectionPos: 1, OffsetAfter: 3}, {OffsetBefore: 5, OffsetAfter: 6}}
	f.Synproxy = flow.Synproxy{ISN: 7, ITS: 8, TSOff: 9}
	copy(f.Helper[:], "fifteen letters")
	f.Labels = [16]byte{1, 15: 0x80}
	f.Packets, f.Bytes = [2]uint64{1, 1 << 40}, [2]uint64{1 << 63, 3}
	f.Start, f.Stop = 1795381123036702900, 1795381124036702900
	return zoned(with(f, func(f *flow.Flow) { f.Master.Zone = 7 }), 7, 7)
}

func codecSamples() []sample {
	dccp := plain(tuple(flow.DCCP, "10.1.0.1:1001", "10.2.0.1:80"))
	dccp.Has |= flow.HasDCCP
	dccp.DCCPState, dccp.DCCPRole = 4, 1
	v4 := tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80")
	zoned := v4
	zoned.Zone = 3
	ended := flow.Flow{Orig: v4, Reply: v4.Inverse(), Has: flow.HasReply | flow.HasStatus | flow.HasID}
	ended.Status, ended.ID = 0x20a, 5
	return append(samples(),
		sample{"everything", everything()},
		sample{"dccp", dccp},
		sample{"orig tuple alone", flow.Flow{Orig: v4}},
		sample{"orig tuple in a zone alone", flow.Flow{Orig: zoned}},
		sample{"destroy", ended},
		sample{"destroy with TCP state alone", flow.Flow{Orig: v4, Has: flow.HasTCPState, TCPState: 7}},
	)
}

func TestDecode(t *testing.T) {
	for _, s := range codecSamples() {
		t.Run(s.name, func(t *testing.T) {
			got := everything() // what is there must go
			if err := DecodeFlow(appendKernel(nil, &s.f), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.f, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestDecodeTruncated cuts messages off everywhere. A message whose end is missing is an error; one that says itself
// that it is shorter may be a shorter message, but never gives anything that the whole one does not.
func TestDecodeTruncated(t *testing.T) {
	for _, s := range codecSamples() {
		msg := appendKernel(nil, &s.f)
		for n := range msg {
			got := everything()
			if err := DecodeFlow(msg[:n:n], &got); !errors.Is(err, ErrMalformed) || got != (flow.Flow{}) {
				t.Fatalf("%s: first %d of %d bytes: error %v, flow %+v", s.name, n, len(msg), err, got)
			}
			short := append([]byte(nil), msg[:n]...)
			if n >= nlHeaderLen {
				binary.NativeEndian.PutUint32(short, uint32(n))
			}
			err := DecodeFlow(short, &got)
			if err != nil && got != (flow.Flow{}) {
				t.Fatalf("%s: shortened to %d bytes: error %v, flow %+v", s.name, n, err, got)
			}
			if err == nil && got.Has&^s.f.Has != 0 {
				t.Fatalf("%s: shortened to %d bytes: gives %x of %x", s.name, n, got.Has, s.f.Has)
			}
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	v4 := tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80")
	v6 := tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80")
	orig := appendTuple(nil, ctaTupleOrig, &v4, 0)
	empty := func(typ uint16) []byte {
		b, at := openNest(nil, typ)
		return b[:at+attrLen]
	}
	cut := func(b []byte, n int) []byte { // shortens the payload of a single attribute
		b = append([]byte(nil), b[:len(b)-n]...)
		binary.NativeEndian.PutUint16(b, uint16(len(b)))
		return b
	}
	for _, tc := range []struct {
		name  string
		attrs []byte
	}{
		{"no attributes", nil},
		{"no original tuple", appendBE32(nil, ctaStatus, 8)},
		{"reply of another family", appendTuple(append([]byte(nil), orig...), ctaTupleReply, &v6, 0)},
		{"tuple without addresses", empty(ctaTupleOrig)},
		{"attribute longer than the message", append(append([]byte(nil), orig...), 9, 0, 3, 0, 0, 0, 0, 0)},
		{"attribute shorter than its header", append(append([]byte(nil), orig...), 3, 0, 3, 0)},
		{"attribute of length 0", append(append([]byte(nil), orig...), 0, 0, 3, 0)},
		{"half an attribute header", append(append([]byte(nil), orig...), 8, 0)},
		{"status of 3 bytes", append(append([]byte(nil), orig...), cut(appendBE32(nil, ctaStatus, 8), 1)...)},
		{"timeout of 0 bytes", append(append([]byte(nil), orig...), cut(appendBE32(nil, ctaTimeout, 8), 4)...)},
		{"zone of 1 byte", append(append([]byte(nil), orig...), cut(appendBE16(nil, ctaZone, 8), 3)...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, at := openMessage(nil, msgCtNew, 0, unix.AF_INET)
			b = append(b, tc.attrs...)
			closeMessage(b, at)
			f := everything()
			if err := DecodeFlow(b, &f); !errors.Is(err, ErrMalformed) || f != (flow.Flow{}) {
				t.Errorf("error %v, flow %+v", err, f)
			}
		})
	}
}

// TestDecodeUnknown puts attributes of a newer kernel everywhere.
func TestDecodeUnknown(t *testing.T) {
	want := everything()
	msg := appendKernel(nil, &want)
	b := append([]byte(nil), msg[:headerLen]...)
	b = appendBE32(b, 99, 1)
	b = appendBytes(b, 100|unix.NLA_F_NESTED, []byte("not nested at all"))
	b = append(b, msg[headerLen:]...)
	b = appendBytes(b, 101, nil)
	closeMessage(b, 0)
	var got flow.Flow
	if err := DecodeFlow(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestDecodeNotTaken lists attributes that are there but say nothing, or more than fits.
func TestDecodeNotTaken(t *testing.T) {
	orig := tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80")
	name := func(s string) []byte {
		b, at := openNest(nil, ctaHelp)
		b = appendBytes(b, ctaHelpName, []byte(s))
		closeNest(b, at)
		return b
	}
	for _, tc := range []struct {
		name string
		attr []byte
		has  flow.Attr
	}{
		{"synproxy of zeros", appendSynproxy(nil, &flow.Synproxy{}), 0},
		{"labels of more than 128 bits", appendBytes(nil, ctaLabels, make([]byte, 20)), 0},
		{"labels of 32 bits", appendBytes(nil, ctaLabels, []byte{1, 0, 0, 0}), flow.HasLabels},
		{"no helper", name(""), 0},
		{"helper of 16 letters", name("sixteen letters!"), 0},
		{"helper of 15 letters without NUL", name("fifteen letters"), flow.HasHelper},
		{"mark 0", appendBE32(nil, ctaMark, 0), flow.HasMark},
	} {
		b, at := openMessage(nil, msgCtNew, 0, unix.AF_INET)
		b = append(appendTuple(b, ctaTupleOrig, &orig, 0), tc.attr...)
		closeMessage(b, at)
		var f flow.Flow
		if err := DecodeFlow(b, &f); err != nil || f.Has != tc.has {
			t.Errorf("%s: error %v, has %v, want %v", tc.name, err, f.Has, tc.has)
		}
	}
}

// TestAppendCreateBytes pins two requests down to the byte (little-endian headers).
func TestAppendCreateBytes(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the vectors are those of a little-endian host")
	}
	f := nat(tuple(flow.UDP, "10.0.1.2:41003", "10.0.2.100:53"), "10.0.2.2:5353", "10.0.1.2:41003")
	f.Timeout = 30
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"create with DNAT", AppendCreate(nil, &f, true), "" +
			"c4000000 0001 0106 00000000 00000000 02000000" + // REQUEST|CREATE|EXCL
			"3400 0180 1400 0180 0800 0100 0a000102 0800 0200 0a000264 1c00 0280 0500 0100 11000000 0600 0200 a02b0000 0600 0300 00350000" +
			"3400 0280 1400 0180 0800 0100 0a000264 0800 0200 0a000102 1c00 0280 0500 0100 11000000 0600 0200 00350000 0600 0300 a02b0000" +
			"0800 0300 0000000e 0800 0700 0000001e 0800 0800 00000000" +
			"1800 0d80 0800 0100 0a000202 0c00 0380 0600 0100 14e90000" +
			"1800 0680 0800 0100 0a000102 0c00 0380 0600 0100 a02b0000"},
		{"delete by id", AppendDelete(nil, &flow.Flow{Orig: f.Orig, Has: flow.HasID, ID: 0x01020304}), "" +
			"50000000 0201 0100 00000000 00000000 02000000" +
			"3400 0180 1400 0180 0800 0100 0a000102 0800 0200 0a000264 1c00 0280 0500 0100 11000000 0600 0200 a02b0000 0600 0300 00350000" +
			"0800 0c00 01020304"},
	} {
		want, err := hex.DecodeString(string(removeSpaces(tc.want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(hex.Dump(want), hex.Dump(tc.got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tc.name, diff)
		}
	}
}

func removeSpaces(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		if c != ' ' {
			b = append(b, c)
		}
	}
	return b
}

// TestTupleShape compares the two methods of reading a tuple, at once by its shape and attribute by attribute: for
// every protocol, and with each bit of it changed. A tuple with ports is read by its shape.
func TestTupleShape(t *testing.T) {
	for _, orig := range []flow.Tuple{
		tuple(flow.UDP, "10.1.2.3:4660", "192.168.254.255:65244"),
		tuple(flow.UDP, "[fd01:2:3:4::5]:4660", "[fd02::ffff]:65244"),
	} {
		b := appendTuple(nil, ctaTupleOrig, &orig, 0)[attrLen:]
		var got flow.Tuple
		if !shape4.decode(b, &got) && !shape6.decode(b, &got) || got != orig {
			t.Errorf("read %v, want %v by the shape", got, orig)
		}
		for proto := range 256 {
			b[len(b)-shapeProto] = byte(proto)
			sameTuple(t, b)
			for i := range b {
				for bit := range 8 {
					b[i] ^= 1 << bit
					sameTuple(t, b)
					b[i] ^= 1 << bit
				}
			}
		}
	}
}

func sameTuple(t *testing.T, b []byte) {
	t.Helper()
	var short, long flow.Tuple
	shortOK := decodeTuple(b, &short)
	longOK := decodeAny(b, &long)
	if shortOK != longOK || short != long {
		t.Fatalf("% x:\n%v %+v, attribute by attribute\n%v %+v", b, shortOK, short, longOK, long)
	}
}
