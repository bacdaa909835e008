package daemon

import (
	"testing"

	"ctsync/daemon/ctnetlink"
)

// The two halves of BenchmarkLife: what the loop of either router does for an event, without kernel and sockets.

// cycle lets flows begin and end for ever, a block at a time.
func cycle() []*ctnetlink.Block {
	return []*ctnetlink.Block{block(ctnetlink.EventNew, 1), block(ctnetlink.EventUpdate, 1), block(ctnetlink.EventDestroy, 1)}
}

func reportEvents(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*ctnetlink.BlockSize), "ns/event")
}

// BenchmarkEvents is a block of events until its messages are ready for the link.
func BenchmarkEvents(b *testing.B) {
	p, life := newTestPair(b), cycle()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.a.applyEvents(life[i%len(life)])
		p.a.transmit()
		p.a.flushOutput()
		b.StopTimer()
		p.exchange() // and acknowledged
		p.exchange()
		b.StartTimer()
	}
	reportEvents(b)
}

// BenchmarkDatagrams is the messages of a block of events, from the datagrams to the external cache.
func BenchmarkDatagrams(b *testing.B) {
	p, life := newTestPair(b), cycle()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		p.a.applyEvents(life[i%len(life)])
		p.a.transmit()
		p.a.flushOutput()
		b.StartTimer()
		deliver(p.la, p.b, addrA)
		b.StopTimer()
		p.exchange()
		p.exchange()
		b.StartTimer()
	}
	reportEvents(b)
}
