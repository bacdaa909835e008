package core_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/loglimit"
	"ctsync/daemon/wire"
)

// reason returns what a core says against being in step that holds some words, "" if nothing does.
func reason(c *core.Core, words string) string {
	why := c.Why()
	if i := slices.IndexFunc(why, func(w string) bool { return strings.Contains(w, words) }); i >= 0 {
		return why[i]
	}
	return ""
}

// TestForgedMessageIsRepaired: an ALIVE with the peer's next number takes the place of a message with flows, which is
// lost for good. The true one proves it: the pair is not in step until the peer's table has come once more.
func TestForgedMessageIsRepaired(t *testing.T) {
	const words = "another sender speaks with the peer's numbers"
	clock := int64(time.Hour)
	p := coretest.NewPair(t, onClock(&clock))
	clock += int64(time.Minute)
	for range 3 {
		p.Exchange()
	}
	p.B.Receive(p.B.Links.Channels()[0], coretest.AddrA, alive(statistics(p.A).Session.Sequence))
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.Exchange()
	if n := p.B.Peer.External.Len(); n != ctnetlink.BlockSize-1 {
		t.Fatalf("%d flows, want one less than %d", n, ctnetlink.BlockSize)
	}
	if reason(p.B, words) == "" || statistics(p.B).Tracking.Contradicted != 1 {
		t.Errorf("in step in spite of it: %q", p.B.Why())
	}
	select {
	case <-p.B.Want.Bulk: // what was lost may have been a request of the peer
	default:
		t.Error("our table is not sent again")
	}
	for range 3 {
		clock += int64(100 * time.Millisecond)
		p.Exchange()
	}
	bulk(p, p.A)
	clock += int64(time.Second)
	p.Exchange()
	p.Exchange()
	if n, why := p.B.Peer.External.Len(), reason(p.B, words); n != ctnetlink.BlockSize || why != "" {
		t.Errorf("%d flows after the repair, %q", n, why)
	}
}

// TestFloodsAreQuiet: whatever a stranger or a forger says, and however often, the log gets a few lines a minute, which
// say how many were left out.
func TestFloodsAreQuiet(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(i uint32) (netip.Addr, []byte)
	}{
		{"forged hellos", func(i uint32) (netip.Addr, []byte) {
			return coretest.AddrA, wire.AppendControl(nil, wire.Alive|wire.Hello, i*10_000, 0, 0)
		}},
		{"forged answers and requests", func(i uint32) (netip.Addr, []byte) {
			return coretest.AddrA, wire.AppendControl(nil, wire.Resync|wire.Hello|wire.HelloBack, i*10_000, 0, 0)
		}},
		{"a stranger", func(i uint32) (netip.Addr, []byte) { return netip.MustParseAddr("10.0.0.9"), alive(i) }},
		{"ever other strangers", func(i uint32) (netip.Addr, []byte) {
			return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), alive(i)
		}},
		{"contradictions", func(i uint32) (netip.Addr, []byte) {
			return coretest.AddrA, wire.AppendControl(nil, wire.Ack, 101+i/2, i, i)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock, out := 1000*sec, bytes.Buffer{}
			h := loglimit.New(slog.NewTextHandler(&out, nil), func() time.Time { return time.Unix(0, clock) })
			c, l := coretest.NewOpen(onClock(&clock), func(o *core.Options) { o.Log = slog.New(h) })
			hello := wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0)
			c.Receive(c.Links.Channels()[0], coretest.AddrA, hello)
			out.Reset()
			const seconds = 120
			for i := range uint32(seconds * 1000) {
				clock += sec / 1000
				src, datagram := tt.say(i)
				c.Receive(c.Links.Channels()[0], src, datagram)
				if i%100 == 0 {
					c.Transmit()
					c.Tick()
					l.Drop()
					h.Flush()
				}
			}
			if n := strings.Count(out.String(), "\n"); n == 0 || n > seconds/4 {
				t.Errorf("%d lines in %d seconds:\n%.3000s", n, seconds, out.String())
			}
			if !strings.Contains(out.String(), "left-out=") && tt.name != "contradictions" {
				t.Errorf("nothing says how many were left out:\n%.3000s", out.String())
			}
		})
	}
}
