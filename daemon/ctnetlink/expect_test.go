package ctnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// expectation is what the kernel's FTP helper makes of the control connection master: a data connection from src to
// port at dst.
func expectation(master flow.Tuple, src, dst string) flow.Expectation {
	e := flow.Expectation{
		Master: master, Expect: tuple(master.Proto, src, dst),
		Has:     flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasFlags | flow.HasClass | flow.HasHelper,
		Timeout: 300,
	}
	e.Mask = flow.Tuple{Family: master.Family, Proto: master.Proto, DstPort: 0xffff}
	n := 16
	if master.Family == flow.IPv4 {
		n = 4
	}
	for i := range n {
		e.Mask.Src[i], e.Mask.Dst[i] = 0xff, 0xff
	}
	copy(e.Helper[:], "ftp")
	return e
}

// translated gives e the translation of an active FTP data connection behind source NAT.
func translated(e flow.Expectation, port uint16) flow.Expectation {
	e.Has |= flow.HasNAT | flow.HasFn
	e.NAT = flow.Tuple{Family: e.Expect.Family, Proto: e.Master.Proto, SrcPort: port}
	e.NATDir = 1
	copy(e.Fn[:], "nat-follow-master")
	return e
}

type expectSample struct {
	name string
	e    flow.Expectation
}

func withE(e flow.Expectation, change func(*flow.Expectation)) flow.Expectation {
	change(&e)
	return e
}

// expectSamples are expectations that TestExpectRoundTrip makes, each of its own master: the FTP helper allows one.
func expectSamples() []expectSample {
	port := 1000
	m4 := func() flow.Tuple { port++; return tuple(flow.TCP, fmt.Sprintf("10.1.0.1:%d", port), "10.2.0.1:21") }
	m6 := func() flow.Tuple { port++; return tuple(flow.TCP, fmt.Sprintf("[fd01::1]:%d", port), "[fd02::1]:21") }
	return []expectSample{
		{"passive", expectation(m4(), "10.1.0.1:0", "10.2.0.1:50001")},
		{"active", expectation(m4(), "10.2.0.1:0", "10.1.0.1:50002")},
		{"active behind source NAT", translated(expectation(m4(), "10.2.0.1:0", "192.0.2.1:50003"), 50003)},
		{"translated with an address", withE(translated(expectation(m4(), "10.2.0.1:0", "192.0.2.1:50004"), 4), func(e *flow.Expectation) {
			e.NAT.Src = flow.Addr{10, 9, 8, 7}
			e.NATDir = 0
		})},
		{"permanent, inactive", withE(expectation(m4(), "10.2.0.1:0", "10.1.0.1:50005"), func(e *flow.Expectation) { e.Flags = 3 })},
		{"passive v6", expectation(m6(), "[fd01::1]:0", "[fd02::1]:50001")},
		{"v6 with an address", withE(translated(expectation(m6(), "[fd02::1]:0", "[2001:db8::1]:50002"), 50002), func(e *flow.Expectation) {
			e.NAT.Src = flow.Addr{0xfd, 9, 15: 9}
		})},
		{"any source port, any source", withE(expectation(m4(), "10.1.0.1:0", "10.2.0.1:50006"), func(e *flow.Expectation) {
			e.Expect.Src, e.Mask.Src = flow.Addr{}, flow.Addr{}
		})},
	}
}

// appendKernelExpect writes e as the kernel does, every attribute that e.Has names and no other.
func appendKernelExpect(b []byte, e *flow.Expectation) []byte {
	b, at := openMessage(b, msgExpectNew, 0, uint8(e.Expect.Family))
	setSubsystem(b[at:], subsysExpect)
	b = appendTuple(b, ctaExpectTuple, &e.Expect, 0)
	if e.Has.Is(flow.HasMask) {
		b = appendTuple(b, ctaExpectMask, &e.Mask, 0)
	}
	b = appendTuple(b, ctaExpectMaster, &e.Master, 0)
	if e.Has.Is(flow.HasNAT) {
		var nat int
		b, nat = openNest(b, ctaExpectNat)
		b = appendBE32(b, ctaExpectNatDir, e.NATDir)
		b = appendTuple(b, ctaExpectNatTuple, &e.NAT, 0)
		closeNest(b, nat)
	}
	for _, a := range []struct {
		has flow.Attr
		typ uint16
		v   uint32
	}{
		{flow.HasTimeout, ctaExpectTimeout, e.Timeout}, {flow.HasID, ctaExpectID, e.ID},
		{flow.HasFlags, ctaExpectFlags, e.Flags}, {flow.HasClass, ctaExpectClass, e.Class},
	} {
		if e.Has.Is(a.has) {
			b = appendBE32(b, a.typ, a.v)
		}
	}
	if e.Has.Is(flow.HasHelper) {
		b = appendName(b, ctaExpectHelpName, e.Helper[:])
	}
	if e.Has.Is(flow.HasFn) {
		b = appendName(b, ctaExpectFn, e.Fn[:])
	}
	if e.Expect.Zone != 0 {
		b = appendBE16(b, ctaExpectZone, e.Expect.Zone)
	}
	closeMessage(b, at)
	return b
}

// everyExpectation has all attributes.
func everyExpectation() flow.Expectation {
	master := tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:21")
	e := translated(expectation(master, "[fd02::1]:0", "[2001:db8::1]:50002"), 7)
	e.Has |= flow.HasID
	e.ID, e.Flags, e.Class, e.NAT.Src = 0x01020304, 7, 2, flow.Addr{0xfd, 15: 1}
	e.Expect.Zone, e.Master.Zone = 7, 7
	copy(e.Helper[:], "fifteen letters")
	copy(e.Fn[:], "a name of thirty-one characters")
	return e
}

func TestDecodeExpectation(t *testing.T) {
	for _, s := range append(expectSamples(), expectSample{"everything", everyExpectation()}) {
		msg := appendKernelExpect(nil, &s.e)
		got := everyExpectation() // what is there must go
		if err := DecodeExpectation(msg, &got); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if diff := cmp.Diff(s.e, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", s.name, diff)
		}
		for n := range msg {
			if err := DecodeExpectation(msg[:n:n], &got); !errors.Is(err, ErrMalformed) || got != (flow.Expectation{}) {
				t.Fatalf("%s: first %d of %d bytes: error %v, %+v", s.name, n, len(msg), err, got)
			}
			short := append([]byte(nil), msg[:n]...)
			if n >= nlHeaderLen {
				binary.NativeEndian.PutUint32(short, uint32(n))
			}
			err := DecodeExpectation(short, &got)
			if err != nil && got != (flow.Expectation{}) || err == nil && got.Has&^s.e.Has != 0 {
				t.Fatalf("%s: shortened to %d bytes: error %v, %+v", s.name, n, err, got)
			}
		}
	}
}

func TestDecodeExpectationMalformed(t *testing.T) {
	v4, v6 := tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:21"), tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:21")
	nat, at := openNest(nil, ctaExpectNat)
	nat = appendTuple(nat, ctaExpectNatTuple, &v6, 0)
	closeNest(nat, at)
	for _, tc := range []struct {
		name  string
		parts [][]byte
	}{
		{"nothing", nil},
		{"no master", [][]byte{appendTuple(nil, ctaExpectTuple, &v4, 0)}},
		{"no tuple", [][]byte{appendTuple(nil, ctaExpectMaster, &v4, 0)}},
		{"master of another family", [][]byte{appendTuple(nil, ctaExpectTuple, &v4, 0), appendTuple(nil, ctaExpectMaster, &v6, 0)}},
		{"mask of another family", [][]byte{appendTuple(nil, ctaExpectTuple, &v4, 0), appendTuple(nil, ctaExpectMaster, &v4, 0), appendTuple(nil, ctaExpectMask, &v6, 0)}},
		{"translation of another family", [][]byte{appendTuple(nil, ctaExpectTuple, &v4, 0), appendTuple(nil, ctaExpectMaster, &v4, 0), nat}},
	} {
		b, at := openMessage(nil, msgExpectNew, 0, 2)
		for _, p := range tc.parts {
			b = append(b, p...)
		}
		closeMessage(b, at)
		e := everyExpectation()
		if err := DecodeExpectation(b, &e); !errors.Is(err, ErrMalformed) || e != (flow.Expectation{}) {
			t.Errorf("%s: error %v, %+v", tc.name, err, e)
		}
	}
}

// TestNamesHelper holds what a request says of the helper of the expected connection.
func TestNamesHelper(t *testing.T) {
	for _, tc := range []struct {
		helper string
		class  uint32
		want   bool
	}{
		{"ftp", 0, false}, {"ftp", 1, true}, {"sip", 0, true}, {"sip-5061", 0, true}, {"sip", 1, false}, {"sip", 3, false}, {"sip", 4, true}, {"", 0, false},
	} {
		e := expectSamples()[0].e
		e.Helper, e.Class = [16]byte{}, tc.class
		copy(e.Helper[:], tc.helper)
		if tc.helper == "" {
			e.Has &^= flow.HasHelper
		}
		named := false
		for a := (attrs{rest: AppendExpectCreate(nil, &e)[headerLen:]}); a.next(); {
			named = named || a.typ == ctaExpectHelpName
		}
		if named != tc.want {
			t.Errorf("helper %q class %d: named %v", tc.helper, tc.class, named)
		}
	}
}

// FuzzDecodeExpectation holds that an error leaves a zero value, and that what was decoded survives being written as
// the kernel writes it and fits into a request.
func FuzzDecodeExpectation(f *testing.F) {
	for _, s := range expectSamples() {
		f.Add(appendKernelExpect(nil, &s.e))
	}
	every := everyExpectation()
	f.Add(appendKernelExpect(nil, &every))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, again flow.Expectation
		if err := DecodeExpectation(b, &first); err != nil {
			if !errors.Is(err, ErrMalformed) || first != (flow.Expectation{}) {
				t.Fatalf("error %v, %+v", err, first)
			}
			return
		}
		if err := DecodeExpectation(appendKernelExpect(nil, &first), &again); err != nil {
			t.Fatalf("decoded, but not when written again: %+v", first)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("(-first +again)\n%s", diff)
		}
		msg := AppendExpectCreate(nil, &first)
		if len(msg) > maxMessage {
			t.Fatalf("create of %d bytes", len(msg))
		}
		checkNest(t, "create", msg[headerLen:])
	})
}

func TestExpectationCodecAllocatesNothing(t *testing.T) {
	e := everyExpectation()
	msg := appendKernelExpect(nil, &e)
	b := make([]byte, 0, 4*maxMessage)
	var got flow.Expectation
	noAllocs(t, "DecodeExpectation", func() {
		if DecodeExpectation(msg, &got) != nil {
			t.Error("malformed")
		}
	})
	noAllocs(t, "requests", func() {
		b = AppendExpectGet(AppendExpectDelete(AppendExpectUpdate(AppendExpectCreate(b[:0], &e), &e), &e), &e.Expect)
	})
}

func BenchmarkDecodeExpectation(b *testing.B) {
	e := everyExpectation()
	msg := appendKernelExpect(nil, &e)
	var got flow.Expectation
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeExpectation(msg, &got); err != nil {
			b.Fatal(err)
		}
	}
}
