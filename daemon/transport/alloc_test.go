package transport

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

// TestAllocs sends and receives without allocating, over loopback and over veth with every kind of address.
func TestAllocs(t *testing.T) {
	l := newLab(t)
	type ends struct {
		name     string
		from, to *nstest.NS
		a, b     Config
	}
	cases := []ends{{
		"loopback", l.a, l.a,
		Config{Interface: "lo", Listen: []netip.Addr{addr("127.0.0.2")}, Peer: addr("127.0.0.3")},
		Config{Interface: "lo", Listen: []netip.Addr{addr("127.0.0.3")}, Peer: addr("127.0.0.2")},
	}}
	for _, k := range kinds {
		cases = append(cases, ends{k.name, l.a, l.b, k.a, k.b})
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			a, b := mustOpen(t, tt.from, tt.a), mustOpen(t, tt.to, tt.b)
			buf, ends := fill(10, 1000)
			var batch Batch
			got := 0
			count := func(netip.AddrPort, []byte) { got++ }
			round := func() {
				if err := a.Send(buf, ends); err != nil {
					t.Error(err)
				}
				for before := got; got < before+len(ends); {
					readSome(t, b, &batch)
					batch.Each(count)
				}
			}
			for _, gso := range []bool{true, false} {
				a.send.gso.Store(gso)
				if n := testing.AllocsPerRun(200, round); n != 0 {
					t.Errorf("GSO %v: %v allocations for %d datagrams", gso, n, len(ends))
				}
			}
		})
	}
}

// fill makes n datagrams of one size.
func fill(n, size int) (buf []byte, ends []int) {
	for i := range n {
		ends = append(ends, (i+1)*size)
	}
	return make([]byte, n*size), ends
}

// BenchmarkLink is the cost of one full datagram, multicast over veth, in sends of 44. Sending includes the receive
// path of the other end's kernel, which runs in the same call; reading is the cost of the other end's program.
func BenchmarkLink(b *testing.B) {
	l := newLab(b)
	for _, bm := range []struct {
		name     string
		gso, gro bool
	}{{"plain", false, false}, {"GSO", true, false}, {"GSO+GRO", true, true}} {
		b.Run(bm.name, func(b *testing.B) {
			cfg := Config{SendBuffer: 8 << 20, RecvBuffer: 8 << 20}
			from, to := mustOpen(b, l.a, cfg), mustOpen(b, l.b, cfg)
			from.send.gso.Store(bm.gso)
			if !bm.gro {
				if err := setInts(to.recv.fd, []intOption{{unix.IPPROTO_UDP, unix.UDP_GRO, 0, "UDP_GRO"}}); err != nil {
					b.Fatal(err)
				}
			}
			benchmarkLink(b, from, to)
		})
	}
}

func benchmarkLink(b *testing.B, from, to *Link) {
	const perSend = 44
	buf, ends := fill(perSend, from.MaxPayload())
	var batch Batch
	batch.prepare(slotBytes)
	got := 0
	count := func(netip.AddrPort, []byte) { got++ }
	var sending, reading time.Duration
	b.ReportAllocs()
	b.SetBytes(int64(from.MaxPayload()))
	sent := 0
	for ; b.Loop(); sent++ {
		if sent%perSend != 0 {
			continue // one iteration is one datagram
		}
		start := time.Now()
		if err := from.Send(buf, ends); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		for before := got; got < before+perSend; {
			readSome(b, to, &batch)
			batch.Each(count)
		}
		sending += middle.Sub(start)
		reading += time.Since(middle)
	}
	b.ReportMetric(float64(sending)/float64(got), "send-ns/op")
	b.ReportMetric(float64(reading)/float64(got), "read-ns/op")
}
