package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"ctsync/daemon/flow"

	"github.com/google/go-cmp/cmp"
)

func testTuple(p flow.Proto, src string, a uint16, dst string, b uint16) flow.Tuple {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	t := flow.Tuple{
		Src: flow.AddrFrom(from), Dst: flow.AddrFrom(to), SrcPort: a, DstPort: b, Family: flow.IPv6, Proto: p,
	}
	if from.Is4() {
		t.Family = flow.IPv4
	}
	return t
}

// Attributes that the rows of the tables below are put together from.
const (
	ip4   = "000c0000 0a000102 0a000202 " // 10.0.1.2 to 10.0.2.2
	ip6   = "00240001 fd000001000000000000000000000002 fd000002000000000000000000000002 "
	tcp   = "00050002 06000000 "
	udp   = "00050002 11000000 "
	port  = "00080003 9c411f90 " // 40001 to 8080
	done  = "00080005 0000018e " // both NAT hooks passed
	icmp  = "00050002 01000000 "
	echo  = "00050016 08000000 00050017 00000000 00060018 11220000 " // id 0x2211
	udp4  = ip4 + udp + port
	state = "00050004 03000000 "
)

func udpFlow() flow.Flow {
	f := flow.Flow{Orig: testTuple(flow.UDP, "10.0.1.2", 40001, "10.0.2.2", 8080), Has: flow.HasReply}
	f.Reply = f.Orig.Inverse()
	return f
}

func TestParseFlow(t *testing.T) {
	with := func(change func(f *flow.Flow)) flow.Flow {
		f := udpFlow()
		change(&f)
		return f
	}
	proto := func(p flow.Proto, change func(f *flow.Flow)) flow.Flow {
		f := udpFlow()
		f.Orig.Proto = p
		change(&f)
		f.Reply = f.Orig.Inverse()
		return f
	}
	helper := func(name string) flow.Flow {
		return with(func(f *flow.Flow) { copy(f.Helper[:], name); f.Has |= flow.HasHelper })
	}
	labels := func(l ...byte) flow.Flow {
		return with(func(f *flow.Flow) { copy(f.Labels[:], l); f.Has |= flow.HasLabels })
	}
	status := func(v uint32, change func(f *flow.Flow)) flow.Flow {
		return with(func(f *flow.Flow) { f.Status = v; f.Has |= flow.HasStatus; change(f) })
	}
	snat := netip.MustParseAddr("10.0.2.100")
	tests := []struct {
		name    string
		body    string
		want    flow.Flow
		unknown int
	}{
		{"least", udp4, udpFlow(), 0},
		{"any order", port + udp + ip4, udpFlow(), 0},
		{"last duplicate wins", ip6 + "00080003 00010002 " + tcp + ip4 + port + udp, udpFlow(), 0},
		{"no padding at the end", ip4 + port + "00050002 11", udpFlow(), 0},
		{"rest of four bytes", udp4 + "ffffffff", udpFlow(), 0},
		{"empty attribute at the end", udp4 + "0004001b", udpFlow(), 0},
		{"unknown attributes are skipped", "00040021 000700ff aabbcc00 " + udp4 + "00061234 aabb0000", udpFlow(), 3},
		{"mark 0 is there", udp4 + "00080007 00000000", with(func(f *flow.Flow) { f.Has |= flow.HasMark }), 0},
		{"timeout", udp4 + "00080006 0000012c", with(func(f *flow.Flow) { f.Timeout = 300; f.Has |= flow.HasTimeout }), 0},

		{"TCP", ip4 + tcp + port + state + "00050019 07000000 0005001a 0a000000", proto(flow.TCP, func(f *flow.Flow) {
			f.TCPState, f.TCPWScale = 3, [2]uint8{7, 10}
			f.Has |= flow.HasTCPState | flow.HasTCPWScale
		}), 0},
		{"half a window scale", ip4 + tcp + port + "0005001a 0a000000", proto(flow.TCP, func(f *flow.Flow) {}), 0},
		{"state of another protocol", udp4 + state + "00050011 02000000 00080012 00000001 00050014 01000000 00050015 01000000", udpFlow(), 0},
		{"SCTP without tags", ip4 + "00050002 84000000 " + port + "00050011 03000000", proto(flow.SCTP, func(f *flow.Flow) {
			f.SCTPState = 3
			f.Has |= flow.HasSCTP
		}), 0},
		{"SCTP tags without state", ip4 + "00050002 84000000 " + port + "00080012 00000001 00080013 00000002", proto(flow.SCTP, func(f *flow.Flow) {}), 0},
		{"DCCP", ip4 + "00050002 21000000 " + port + "00050014 04000000 00050015 01000000", proto(flow.DCCP, func(f *flow.Flow) {
			f.DCCPState, f.DCCPRole = 4, 1
			f.Has |= flow.HasDCCP
		}), 0},
		{"UDP-Lite has no ports here", ip4 + "00050002 88000000 " + port, proto(flow.UDPLite, func(f *flow.Flow) { f.Orig.SrcPort, f.Orig.DstPort = 0, 0 }), 0},
		{"GRE has no keys here", ip4 + "00050002 2f000000 " + port, proto(flow.GRE, func(f *flow.Flow) { f.Orig.SrcPort, f.Orig.DstPort = 0, 0 }), 0},
		{"ICMP before its address", echo + icmp + ip4, proto(flow.ICMP, func(f *flow.Flow) { f.Orig.SrcPort, f.Orig.DstPort = 0x2211, 0x0800 }), 0},
		{"ICMP ignores ports of any kind", ip4 + icmp + echo + port + "0006000e 00000000 0006000f 00020000", proto(flow.ICMP, func(f *flow.Flow) { f.Orig.SrcPort, f.Orig.DstPort = 0x2211, 0x0800 }), 0},
		{"ICMP with a translated id", ip4 + icmp + echo + "0006000e 78560000", func() flow.Flow {
			f := proto(flow.ICMP, func(f *flow.Flow) { f.Orig.SrcPort, f.Orig.DstPort = 0x2211, 0x0800 })
			f.Reply.SrcPort = 0x5678
			return f
		}(), 0},
		{"UDP ignores ICMP", udp4 + echo, udpFlow(), 0},

		{"SNAT", udp4 + done + "0008000c 0a000264 0006000e 56c30000", status(0x18e, func(f *flow.Flow) {
			f.Reply.Dst, f.Reply.DstPort = flow.AddrFrom(snat), 50006
		}), 0},
		{"DNAT before the rest", "0006000f 901f0000 0008000d 0a000264 " + done + udp4, status(0x18e, func(f *flow.Flow) {
			f.Reply.Src, f.Reply.SrcPort = flow.AddrFrom(snat), 8080
		}), 0},
		{"NAT without status", udp4 + "0008000c 0a000264", with(func(f *flow.Flow) { f.Reply.Dst = flow.AddrFrom(snat) }), 0},
		{"NAT sets the done bits that are missing", udp4 + "00080005 0000000e 0008000c 0a000264 0006000f 00010000", status(0x18e, func(f *flow.Flow) {
			f.Reply.Dst, f.Reply.SrcPort = flow.AddrFrom(snat), 256
		}), 0},
		{"NAT to the same is none", udp4 + "00080005 0000000e 0008000c 0a000102 0006000e 419c0000", status(0xe, func(f *flow.Flow) {}), 0},
		{"IPv6 NAT of an IPv4 flow", udp4 + "0014001d 00000000000000000000000000000001", udpFlow(), 0},

		{"master", udp4 + "000c0008 0a000102 0a000202 0005000a 06000000 0008000b 00010015 00060020 00070000", with(func(f *flow.Flow) {
			f.Orig.Zone, f.Reply.Zone = 7, 7
			f.Master = testTuple(flow.TCP, "10.0.1.2", 1, "10.0.2.2", 21)
			f.Master.Zone = 7
			f.Has |= flow.HasMaster
		}), 0},
		{"master of a protocol without ports", udp4 + "0005000a 01000000 0008000b 00010015 000c0008 0a000102 0a000202", with(func(f *flow.Flow) {
			f.Master = testTuple(flow.ICMP, "10.0.1.2", 0, "10.0.2.2", 0)
			f.Has |= flow.HasMaster
		}), 0},
		{"half a master", udp4 + "000c0008 0a000102 0a000202 0008000b 00010015", udpFlow(), 0},

		{"helper", udp4 + "0008001b 66747000", helper("ftp"), 0},
		{"longest helper", udp4 + "0010001b 6162636465666768696a6b00", helper("abcdefghijk"), 0},
		{"helper without NUL", udp4 + "0010001b 6162636465666768696a6b6c", helper("abcdefghijkl"), 0},
		{"helper with a rest behind its NUL", udp4 + "000a001b 667470007878 0000", helper("ftp"), 0},
		{"empty helper", udp4 + "0005001b 00000000", udpFlow(), 0},
		{"empty helper after another", udp4 + "0008001b 66747000 0005001b 00000000", udpFlow(), 0},
		{"labels 5, 33 and 127", udp4 + "0014001c 00000020 00000002 00000000 80000000", labels(0x20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80), 0},
		{"one word of labels", udp4 + "0008001c 01020304", labels(4, 3, 2, 1), 0},
		{"a shorter set of labels after a longer", udp4 + "000c001c 00000000 00000001 0008001c 00000100", labels(0, 1), 0},
		{"five words of labels", udp4 + "0018001c 00000000 00000000 00000000 00000001 ffffffff", labels(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 0},
		{"half a word of labels", udp4 + "000a001c 00000000 00010000", udpFlow(), 0},
		{"no labels", udp4 + "0004001c 00080007 00000000", with(func(f *flow.Flow) { f.Has |= flow.HasMark }), 0},
		{"synproxy", udp4 + "0010001f 00000001 00000002 00000003", with(func(f *flow.Flow) {
			f.Synproxy = flow.Synproxy{ITS: 1, ISN: 2, TSOff: 3}
			f.Has |= flow.HasSynproxy
		}), 0},
		{"sequence adjustment", udp4 + "001c0010 00000001 00000002 00000003 00000004 00000005 00000006", with(func(f *flow.Flow) {
			f.SeqAdj = [2]flow.SeqAdj{{CorrectionPos: 1, OffsetBefore: 2, OffsetAfter: 3},
				{CorrectionPos: 4, OffsetBefore: 5, OffsetAfter: 6}}
			f.Has |= flow.HasSeqAdj
		}), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := flow.Flow{Mark: 1, Has: flow.HasFn}
			unknown, err := ParseFlow(unhex(t, tt.body), &got)
			if err != nil || unknown != tt.unknown {
				t.Fatalf("unknown %d, %v; want %d", unknown, err, tt.unknown)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseFlowErrors(t *testing.T) {
	tests := []struct {
		name string
		body string
		want error
		text string
	}{
		{"empty", "", ErrNoAddress, ""},
		{"no address", udp + port, ErrNoAddress, ""},
		{"no protocol", ip4 + port, ErrNoProtocol, ""},
		{"no ports", ip4 + udp, ErrNoPort, ""},
		{"no ICMP type", ip4 + icmp + "00050017 00000000", ErrNoICMP, ""},
		{"DCCP without state", ip4 + "00050002 21000000" + port, ErrDCCP, ""},
		{"SCTP state", ip4 + "00050002 84000000" + port + "00050011 0a000000", ErrState, ""},
		{"window scale", ip4 + "00050002 06000000" + port + "00050019 0f000000", ErrState, ""},
		{"length 0", udp4 + "00000006 00000000", ErrLength, "attribute TIMEOUT: length field is less than 4 or beyond the end of the message"},
		{"length 3", udp4 + "00030006 00000000", ErrLength, ""},
		{"beyond the end", udp4 + "00090006 00000000", ErrLength, ""},
		{"unknown one beyond the end", udp4 + "00090021 00000000", ErrLength, "attribute unknown attribute: length field is less than 4 or beyond the end of the message"},
		{"too short", udp4 + "00070006 00000000", ErrSize, "attribute TIMEOUT: payload has the wrong size"},
		{"too long", udp4 + "000a0006 00000000 00000000", ErrSize, ""},
		{"empty one of fixed size", udp4 + "00040006 00000000", ErrSize, ""},
		{"helper of 13 bytes", udp4 + "0011001b 6162636465666768696a6b6c 00000000", ErrLong, "attribute HELPER_NAME: payload is too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := udpFlow()
			_, err := ParseFlow(unhex(t, tt.body), &f)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if tt.text != "" && err.Error() != tt.text {
				t.Errorf("%q, want %q", err, tt.text)
			}
			if f != (flow.Flow{}) {
				t.Errorf("the flow is not zero: %v", f)
			}
		})
	}
	long := append(unhex(t, udp4), unhex(t, "0405001c")...)
	if _, err := ParseFlow(append(long, make([]byte, 1028)...), &flow.Flow{}); !errors.Is(err, ErrLong) {
		t.Errorf("labels of 1025 bytes: %v, want %v", err, ErrLong)
	}
}

// TestEveryFixedSize gives every attribute of fixed size one byte less and one more.
func TestEveryFixedSize(t *testing.T) {
	for what, tt := range map[string]struct {
		table []attribute
		parse func([]byte) (int, error)
	}{
		"flow":        {flowAttributes, func(b []byte) (int, error) { return ParseFlow(b, &flow.Flow{}) }},
		"expectation": {expectAttributes, func(b []byte) (int, error) { return ParseExpectation(b, &flow.Expectation{}) }},
	} {
		for id, a := range tt.table {
			for size := range 40 {
				b := binary.BigEndian.AppendUint16(nil, uint16(4+size))
				b = binary.BigEndian.AppendUint16(b, uint16(id))
				_, err := tt.parse(append(b, make([]byte, 64)...)[:4+max(size, 1)])
				wrong := errors.Is(err, ErrSize) || errors.Is(err, ErrLong)
				fits := size == int(a.size) || a.variable && size < int(a.size) || size == 0 && a.variable
				if wrong == fits {
					t.Errorf("%s attribute %s with %d bytes: %v", what, a.name, size, err)
				}
				var named *AttributeError
				if wrong && (!errors.As(err, &named) || named.Name != a.name) {
					t.Errorf("%s attribute %s with %d bytes: %v does not name it", what, a.name, size, err)
				}
			}
		}
	}
}

// cut walks over the attributes of body and says what a reader must find when body ends after n bytes.
func cut(body []byte, n int) error {
	for at := 0; n-at > 4; {
		size := int(binary.BigEndian.Uint16(body[at:]))
		if size > n-at {
			return ErrLength
		}
		at += (size + 3) &^ 3
	}
	return nil
}

// TestTruncatedBodies cuts every captured body at every length.
func TestTruncatedBodies(t *testing.T) {
	_, all := vectors(t)
	for _, v := range all {
		for n := range v.body {
			var err error
			zero := true
			switch {
			case v.header.Type.IsFlow():
				f := udpFlow()
				_, err = ParseFlow(v.body[:n:n], &f)
				zero = f == (flow.Flow{})
			case isExpectation(v.header.Type):
				e := flow.Expectation{Timeout: 1}
				_, err = ParseExpectation(v.body[:n:n], &e)
				zero = e == (flow.Expectation{})
			}
			want := cut(v.body, n)
			if want != nil && !errors.Is(err, want) || want == nil && errors.Is(err, ErrLength) {
				t.Fatalf("%s cut to %d: %v, want %v", v.place, n, err, want)
			}
			if (err != nil) != zero {
				t.Fatalf("%s cut to %d: %v, zero %v", v.place, n, err, zero)
			}
		}
	}
}

// TestAttributeOrder shuffles the attributes of every captured message: the entry is the same in any order.
func TestAttributeOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	_, all := vectors(t)
	for _, v := range all {
		var parts [][]byte
		for b := v.body; len(b) > 4; {
			n := (int(binary.BigEndian.Uint16(b)) + 3) &^ 3
			parts, b = append(parts, b[:n]), b[n:]
		}
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		mixed := bytes.Join(parts, nil)
		switch {
		case v.header.Type.IsFlow():
			var want, got flow.Flow
			_, wantErr := ParseFlow(v.body, &want)
			_, err := ParseFlow(mixed, &got)
			if got != want || err != wantErr {
				t.Errorf("%s: %v\n%s", v.place, err, cmp.Diff(want, got))
			}
		case isExpectation(v.header.Type):
			var want, got flow.Expectation
			_, wantErr := ParseExpectation(v.body, &want)
			_, err := ParseExpectation(mixed, &got)
			if got != want || err != wantErr {
				t.Errorf("%s: %v\n%s", v.place, err, cmp.Diff(want, got))
			}
		}
	}
}
