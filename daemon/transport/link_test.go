package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"ctsync/daemon/nstest"
)

// kinds are the links that have to work, from a's and from b's side.
var kinds = []struct {
	name string
	a, b Config
	from string // where b sees a's datagrams come from
}{
	{"multicast", Config{}, Config{}, "10.1.0.1"},
	{"multicast from an address", Config{Listen: []netip.Addr{addr("10.1.0.1")}}, Config{Listen: []netip.Addr{addr("10.1.0.2")}}, "10.1.0.1"},
	{"multicast another group and port", Config{Group: addr("239.9.8.7"), Port: 4001}, Config{Group: addr("239.9.8.7"), Port: 4001}, "10.1.0.1"},
	{"multicast IPv6 link-local", Config{Group: addr("ff02::c7")}, Config{Group: addr("ff02::c7")}, "fe80::1%sync0"},
	{"multicast IPv6 site-local", Config{Group: addr("ff15::c7")}, Config{Group: addr("ff15::c7")}, ""},
	{"multicast IPv6 from an address", Config{Group: addr("ff15::c7"), Listen: []netip.Addr{addr("2001:db8::1")}}, Config{Group: addr("ff15::c7")}, "2001:db8::1"},
	{"unicast", Config{Peer: addr("10.1.0.2")}, Config{Peer: addr("10.1.0.1")}, "10.1.0.1"},
	{
		"unicast from an address", Config{Peer: addr("10.1.0.2"), Listen: []netip.Addr{addr("10.1.0.1")}},
		Config{Peer: addr("10.1.0.1"), Listen: []netip.Addr{addr("10.1.0.2")}}, "10.1.0.1",
	},
	{"unicast IPv6", Config{Peer: addr("2001:db8::2")}, Config{Peer: addr("2001:db8::1")}, "2001:db8::1"},
	{"unicast IPv6 link-local", Config{Peer: addr("fe80::2")}, Config{Peer: addr("fe80::1%sync0")}, "fe80::1%sync0"},
}

func TestExchange(t *testing.T) {
	l := newLab(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			a, b := mustOpen(t, l.a, k.a), mustOpen(t, l.b, k.b)
			atA, atB := collect(t, a), collect(t, b)
			sendText(t, a, "one", "two", "six", "to", "", "seven")
			texts, sources := atB.wait(t, 6)
			for i, want := range []string{"one", "two", "six", "to", "", "seven"} {
				if texts[i] != want {
					t.Errorf("datagram %d: %q, want %q", i, texts[i], want)
				}
				src := sources[i]
				if k.from != "" && src.Addr() != addr(k.from) {
					t.Errorf("datagram %d from %v, want %v", i, src.Addr(), k.from)
				}
				if src.Port() == uint16(b.cfg.Port) {
					t.Error("sent from the port it listens on, conntrackd takes an ephemeral one")
				}
			}
			sendText(t, b, "back")
			_, sources = atA.wait(t, 1)
			if from := sources[0].Addr().WithZone(""); from != b.Local() {
				t.Errorf("b sends from %v and takes %v for its address", from, b.Local())
			}
			if n := atA.count(); n != 1 {
				t.Errorf("a received %d datagrams (its own?), want 1", n)
			}
			st := a.Stats()
			want := Stats{
				DatagramsSent: 6, BytesSent: 16, DatagramsRecv: 1, BytesRecv: 4,
				SendBuffer: st.SendBuffer, RecvBuffer: st.RecvBuffer,
			}
			if st != want {
				t.Errorf("a: %+v", st)
			}
			if err := a.Valid(); err != nil {
				t.Errorf("valid link: %v", err)
			}
		})
	}
}

// TestBurst sends datagrams of varying sizes and content over links of several MTUs and compares them all.
func TestBurst(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		mtu, group string
		gso        bool
		total      int
	}{
		{"1500", "225.0.0.50", true, 10_000},
		{"1500", "225.0.0.50", false, 2000},
		{"1500", "ff02::c7", true, 10_000},
		{"1500", "ff02::c7", false, 2000},
		{"1280", "225.0.0.50", true, 2000},
		{"1280", "ff02::c7", true, 2000},
		{"9000", "225.0.0.50", true, 2000},
		{"9000", "ff02::c7", true, 2000},
	} {
		t.Run(fmt.Sprintf("MTU %s group %s GSO %v", tt.mtu, tt.group, tt.gso), func(t *testing.T) {
			l.setMTU(t, tt.mtu)
			cfg := Config{Group: addr(tt.group), SendBuffer: 8 << 20, RecvBuffer: 256 << 20}
			a, b := mustOpen(t, l.a, cfg), mustOpen(t, l.b, cfg)
			a.send.gso.Store(tt.gso && a.send.gso.Load())
			atB := collect(t, b)
			want := burst(tt.total, a.MaxPayload())
			for part := range slices.Chunk(want, 100) {
				sendText(t, a, part...)
			}
			texts, _ := atB.wait(t, tt.total)
			for i, d := range texts {
				if d != want[i] {
					t.Fatalf("datagram %d of %d bytes differs from the %d bytes sent", i, len(d), len(want[i]))
				}
			}
			if n := atB.coalesced(); tt.gso != (n > tt.total/2) { // what left by UDP_SEGMENT arrives by UDP_GRO
				t.Errorf("%d of %d arrived by UDP_GRO", n, tt.total)
			}
			if st := a.Stats(); st.SendErrors != 0 || b.Stats().KernelDrops != 0 {
				t.Errorf("lost: %+v", st)
			}
		})
	}
}

// burst makes datagrams that differ: mostly full ones, every ninth shorter.
func burst(n, payload int) []string {
	out := make([]string, n)
	for i := range out {
		size := payload
		if i%9 == 8 {
			size = 1 + i%payload
		}
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(i + i>>8 + j)
		}
		out[i] = string(b)
	}
	return out
}

// TestMaxPayloadFits shows that a full datagram is one packet, in both families, and that the check would notice.
func TestMaxPayloadFits(t *testing.T) {
	l := newLab(t)
	created := func() string {
		return l.a.Run(t, "nstat", "-asz", "IpFragCreates", "Ip6FragCreates")
	}
	for _, mtu := range []string{"1280", "1500", "9000"} {
		l.setMTU(t, mtu)
		for _, group := range []string{"225.0.0.50", "ff02::c7"} {
			t.Run(mtu+" "+group, func(t *testing.T) {
				a, b := mustOpen(t, l.a, Config{Group: addr(group)}), mustOpen(t, l.b, Config{Group: addr(group)})
				atB := collect(t, b)
				before := created()
				full := string(make([]byte, a.MaxPayload()))
				sendText(t, a, full)
				sendText(t, a, full, full, full)
				atB.wait(t, 4)
				if after := created(); after != before {
					t.Errorf("full datagrams were fragmented:\n%s%s", before, after)
				}
				sendText(t, a, full+"12345")
				atB.wait(t, 5)
				if after := created(); after == before {
					t.Errorf("too large a datagram was not fragmented:\n%s", after)
				}
			})
		}
	}
}

// TestKernelDrops fills a small receive buffer that nobody reads.
func TestKernelDrops(t *testing.T) {
	const total = 500
	l := newLab(t)
	a, b := mustOpen(t, l.a, Config{}), mustOpen(t, l.b, Config{RecvBuffer: 16 << 10})
	for range total {
		sendText(t, a, string(make([]byte, 1000)))
	}
	nstest.Eventually(t, patience, func() bool { return b.Stats().KernelDrops > 0 },
		func() string { return "no drop was counted" })
	atB := collect(t, b)
	nstest.Eventually(t, patience, func() bool { return uint64(atB.count())+b.Stats().KernelDrops == total },
		func() string { return fmt.Sprintf("%d received, %d dropped", atB.count(), b.Stats().KernelDrops) })
}

// TestTruncated reads into slots that are too small, which real ones never are.
func TestTruncated(t *testing.T) {
	l := newLab(t)
	a, b := mustOpen(t, l.a, Config{}), mustOpen(t, l.b, Config{})
	sendText(t, a, "longer than eight bytes")
	sendText(t, a, "short")
	var batch Batch
	batch.prepare(8)
	readSome(t, b, &batch)
	if st := b.Stats(); st.Truncated != 1 || st.DatagramsRecv != 1 || string(batch.arrived[0].data) != "short" {
		t.Errorf("read %q, %+v", batch.arrived[0].data, st)
	}
}
