package wire

import (
	"bytes"
	"net/netip"
	"testing"

	"ctsync/daemon/flow"
)

func TestAppendFlow(t *testing.T) {
	with := func(f flow.Flow, change func(f *flow.Flow)) flow.Flow {
		change(&f)
		return f
	}
	withStatus := func(f flow.Flow, status uint32) flow.Flow {
		f.Status = status
		f.Has |= flow.HasStatus
		return f
	}
	ping := udpFlow()
	ping.Orig = testTuple(flow.ICMP, "10.0.1.2", 0x2211, "10.0.2.2", 8<<8)
	ping.Reply = ping.Orig.Inverse()
	translated := with(udpFlow(), func(f *flow.Flow) {
		other := flow.AddrFrom(netip.MustParseAddr("10.0.2.100"))
		f.Reply.Src, f.Reply.Dst, f.Reply.SrcPort, f.Reply.DstPort = other, other, 0x1234, 0x5678
	})
	const (
		snat = "0008000c 0a000264 "
		dnat = "0008000d 0a000264 "
		spat = "0006000e 78560000 "
		dpat = "0006000f 34120000 "
	)
	tests := []struct {
		name string
		flow flow.Flow
		want string
	}{
		{"least", udpFlow(), udp4},
		{"without reply", with(translated, func(f *flow.Flow) { f.Has = 0 }), udp4},
		{"no attribute without its bit", with(udpFlow(), func(f *flow.Flow) {
			f.Status, f.Timeout, f.Mark, f.Helper[0] = 1, 2, 3, 'a'
			f.Labels[0], f.Synproxy.ISN, f.SeqAdj[0].CorrectionPos = 5, 6, 7
			f.Master = f.Orig
		}), udp4},
		{"DYING is cleared", withStatus(udpFlow(), 0x20a), ip4 + "00080005 0000000a " + udp + port},
		{"helper of 11", with(udpFlow(), func(f *flow.Flow) { copy(f.Helper[:], "abcdefghijk"); f.Has |= flow.HasHelper }), udp4 + "0010001b 6162636465666768696a6b00"},
		{"helper of 2", with(udpFlow(), func(f *flow.Flow) { copy(f.Helper[:], "ab"); f.Has |= flow.HasHelper }), udp4 + "0007001b 61620000"},
		{"helper of 4", with(udpFlow(), func(f *flow.Flow) { copy(f.Helper[:], "abcd"); f.Has |= flow.HasHelper }), udp4 + "0009001b 61626364 00000000"},
		{"helper of 12 is left out", with(udpFlow(), func(f *flow.Flow) { copy(f.Helper[:], "abcdefghijkl"); f.Has |= flow.HasHelper }), udp4},
		{"helper without name is left out", with(udpFlow(), func(f *flow.Flow) { f.Has |= flow.HasHelper }), udp4},
		{"all-zero synproxy", with(udpFlow(), func(f *flow.Flow) { f.Has |= flow.HasSynproxy }), udp4 + "0010001f 00000000 00000000 00000000"},
		{"zone", with(udpFlow(), func(f *flow.Flow) { f.Orig.Zone, f.Reply.Zone = 7, 7 }), udp4 + "00060020 00070000"},
		{"zone of one direction", with(udpFlow(), func(f *flow.Flow) { f.Orig.Zone = 7 }), udp4},
		{"UDP-Lite", with(udpFlow(), func(f *flow.Flow) { f.Orig.Proto, f.Reply.Proto = flow.UDPLite, flow.UDPLite }), ip4 + "00050002 88000000"},
		{"TCP", with(udpFlow(), func(f *flow.Flow) {
			f.Orig.Proto, f.TCPState, f.TCPWScale = flow.TCP, 3, [2]uint8{7, 10}
			f.Has |= flow.HasTCPState | flow.HasTCPWScale
		}), ip4 + tcp + port + state + "00050019 07000000 0005001a 0a000000"},
		{"TCP state of a UDP flow", with(udpFlow(), func(f *flow.Flow) { f.TCPState = 3; f.Has |= flow.HasTCPState | flow.HasTCPWScale }), udp4},
		{"DCCP", with(udpFlow(), func(f *flow.Flow) {
			f.Orig.Proto, f.DCCPState, f.DCCPRole = flow.DCCP, 4, 1
			f.Has |= flow.HasDCCP
		}), ip4 + "00050002 21000000" + port + "00050014 04000000 00050015 01000000"},

		{"NAT in both directions", withStatus(translated, 0x180), ip4 + "00080005 00000180 " + udp + port + snat + dnat + spat + dpat},
		{"only the source is done", withStatus(translated, 0x80), ip4 + "00080005 00000080 " + udp + port + snat + spat},
		{"only the destination is done", withStatus(translated, 0x100), ip4 + "00080005 00000100 " + udp + port + dnat + dpat},
		{"nothing is done", withStatus(translated, 8), ip4 + "00080005 00000008 " + udp + port},
		{"NAT without status", translated, udp4 + snat + dnat + spat + dpat},

		{"ICMP", withStatus(ping, 0xe), ip4 + "00080005 0000000e " + icmp + echo},
		{"ICMP without status", ping, ip4 + icmp + echo},
		// Found by FuzzParseFlow: the address was lost together with the ports.
		{"ICMP with a translated source without status", with(ping, func(f *flow.Flow) {
			f.Reply.Dst = flow.AddrFrom(netip.MustParseAddr("10.0.2.100"))
		}), ip4 + icmp + echo + snat},
		{"ICMP with a translated id", withStatus(with(ping, func(f *flow.Flow) { f.Reply.SrcPort = 0x5678 }), 0x180),
			ip4 + "00080005 00000180 " + icmp + echo + spat + "0006000f 00000000"},
		{"ICMP with a translated id without status", with(ping, func(f *flow.Flow) { f.Reply.SrcPort = 0x5678 }), ip4 + icmp + echo + spat},
		{"ICMP that passed NAT hooks", withStatus(ping, 0x180), ip4 + "00080005 00000180 " + icmp + echo + "0006000e 00000000 0006000f 00000000"},
		{"ICMP that passed one", withStatus(ping, 0x100), ip4 + "00080005 00000100 " + icmp + echo + "0006000f 00000000"},
		{"ICMP whose id equals the other type and code", withStatus(with(ping, func(f *flow.Flow) {
			f.Orig.SrcPort, f.Reply.SrcPort = 0, 0 // the echo reply has type and code 0
		}), 0x180), ip4 + "00080005 00000180 " + icmp + "00050016 08000000 00050017 00000000 00060018 00000000" + "0006000f 00000000"},
		{"ICMP whose id equals its own type and code", withStatus(with(ping, func(f *flow.Flow) {
			f.Orig.SrcPort, f.Reply.SrcPort = 0x0800, 0x0800
		}), 0x180), ip4 + "00080005 00000180 " + icmp + "00050016 08000000 00050017 00000000 00060018 00080000" + "0006000e 00000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := unhex(t, tt.want)
			want := append([]byte("abc\x11\x20\x00"), byte(8+len(body)), 0, 0, 0, 7)
			want = append(want, body...)
			got := AppendFlow([]byte("abc"), CTUpdate, Hello, 7, &tt.flow)
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%x, want\n%x", got, want)
			}
		})
	}
}

func TestWithoutAllocation(t *testing.T) {
	_, all := vectors(t)
	buf := make([]byte, 0, 4096)
	var f flow.Flow
	var e flow.Expectation
	long := append(unhex(t, udp4), unhex(t, "00090006 00000000")...)
	n := testing.AllocsPerRun(10, func() {
		for i := range all {
			v := &all[i]
			h, body, _, _ := Next(v.whole)
			switch {
			case h.Type.IsFlow():
				_, _ = ParseFlow(body, &f)
				AppendFlow(buf, h.Type, h.Flags, h.Seq, &f)
			case h.Type <= ExpDestroy:
				_, _ = ParseExpectation(body, &e)
				AppendExpectation(buf, h.Type, h.Flags, h.Seq, &e)
			default:
				AppendControl(buf, h.Flags, h.Seq, h.From, h.To)
			}
		}
		_, _ = ParseFlow(long, &f)
		_, _ = ParseExpectation(long, &e)
	})
	if n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(all))
	}
}

func benchmarkFlow(b *testing.B, want string) (message []byte, f flow.Flow) {
	_, all := vectors(b)
	for _, v := range all {
		if v.place == want {
			if _, err := ParseFlow(v.body, &f); err != nil {
				b.Fatal(err)
			}
			return v.whole, f
		}
	}
	b.Fatalf("no %s", want)
	return nil, f
}

const (
	benchTCP4  = "01-ftfw-mcast-basic frame 6 message 0"
	benchSNAT4 = "02-ftfw-mcast-nat frame 22 message 0"
)

func BenchmarkParse(b *testing.B) {
	for _, place := range []string{benchTCP4, benchSNAT4} {
		b.Run(place, func(b *testing.B) {
			message, f := benchmarkFlow(b, place)
			b.ReportAllocs()
			for b.Loop() {
				_, body, _, _ := Next(message)
				if _, err := ParseFlow(body, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendFlow(b *testing.B) {
	for _, place := range []string{benchTCP4, benchSNAT4} {
		b.Run(place, func(b *testing.B) {
			_, f := benchmarkFlow(b, place)
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			for b.Loop() {
				AppendFlow(buf, CTUpdate, 0, 1, &f)
			}
		})
	}
}

func BenchmarkAppendControl(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		AppendControl(buf, Ack, 1, 2, 3)
	}
}
