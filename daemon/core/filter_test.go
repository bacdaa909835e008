package core_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// ignoring is a filter that does not let 192.0.2.0/24 pass, to which flowTo leads.
func ignoring() flow.Filter {
	return flow.NewFilter(flow.Rules{Ignore: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
}

// passingTo is a UDP flow to a port that ignoring lets pass.
func passingTo(port uint16) flow.Flow {
	f := flowTo(port)
	f.Orig.Dst = flow.Addr{11}
	f.Reply = f.Orig.Inverse()
	return f
}

// messages are those of flows that a core has sent.
type messages struct{ begun, changed, ended uint64 }

func sent(c *core.Core) messages {
	m := statistics(c).Session.Sent
	return messages{m["new"], m["update"], m["destroy"]}
}

// TestFilterChangesUnderway follows flows that a filter lets pass and then not any more: what the peer was sent of them
// ends there, whether the kernel says so first or the filter; what it was not sent is never mentioned.
func TestFilterChangesUnderway(t *testing.T) {
	p := coretest.NewPair(t)
	known, ended, pending, passing := flowTo(1), flowTo(2), flowTo(3), passingTo(4)
	p.A.Apply(coretest.Events(ctnetlink.EventNew, known, ended, passing))
	p.Exchange()
	p.Exchange()
	if n := p.B.Peer.External.Len(); n != 3 {
		t.Fatalf("the peer has %d flows, want 3", n)
	}
	p.A.Apply(coretest.Events(ctnetlink.EventNew, pending)) // dirty when the filter changes
	p.A.Apply(coretest.Events(ctnetlink.EventUpdate, known))
	p.A.SetFilter(ignoring())
	before := sent(p.A)
	ended.Packets, ended.Bytes = [2]uint64{5, 5}, [2]uint64{500, 500}
	p.A.Apply(coretest.Events(ctnetlink.EventNew, known, pending))
	p.A.Apply(coretest.Events(ctnetlink.EventDestroy, ended))
	p.Exchange()
	p.Exchange()
	if now := sent(p.A); now != (messages{before.begun, before.changed, before.ended + 1}) {
		t.Errorf("sent %+v, before %+v: want one DESTROY more", now, before)
	}
	if n := p.B.Peer.External.Len(); n != 2 {
		t.Errorf("the peer has %d flows after the kernel ended one, want 2", n)
	}
	evicted := 0
	for from, more := cache.Ref(0), true; more; more = from != 0 {
		var n int
		from, n = p.A.EvictFrom(from, 2)
		evicted += n
	}
	if evicted != 2 {
		t.Errorf("%d flows evicted, want 2", evicted)
	}
	for range 3 {
		p.Exchange()
	}
	if a, b := p.A.Own.Internal.Len(), p.B.Peer.External.Len(); a != 1 || b != 1 || !p.A.Own.Internal.Has(&passing.Orig) {
		t.Errorf("internal %d, external %d, want the one that passes", a, b)
	}
	if now := sent(p.A); now != (messages{before.begun, before.changed, before.ended + 2}) {
		t.Errorf("sent %+v, before %+v: want two DESTROYs more", now, before)
	}
	s := statistics(p.A)
	if s.Kernel.Filtered != 3 || s.Kernel.Evicted != 2 || s.Traffic.Packets != 0 {
		t.Errorf("filtered %d, evicted %d, traffic of %d packets", s.Kernel.Filtered, s.Kernel.Evicted, s.Traffic.Packets)
	}
}

// TestFilterEndsExpectations: they go with their masters.
func TestFilterEndsExpectations(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.A.Apply(expectBlock(ctnetlink.EventExpectNew, 16))
	p.settle()
	p.A.SetFilter(flow.NewFilter(flow.Rules{Ignore: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}}))
	p.A.EvictFrom(0, 1<<20)
	p.settle()
	if f, x := p.B.Peer.External.Len(), p.B.Peer.Expect.Len(); f != 0 || x != 0 {
		t.Errorf("%d flows and %d expectations are left at the peer", f, x)
	}
}

// TestFilterComparesWithKernel: a dump brings in nothing that does not pass.
func TestFilterComparesWithKernel(t *testing.T) {
	c := coretest.New()
	c.SetFilter(ignoring())
	c.BeginCompare()
	c.Merge([]flow.Flow{flowTo(1), passingTo(4)})
	if n := c.Own.Internal.Len(); n != 1 {
		t.Errorf("%d flows, want 1", n)
	}
}

// TestFilterEndsWhatAFlushHid: readers see nothing of a flow that was flushed, but the peer still has it.
func TestFilterEndsWhatAFlushHid(t *testing.T) {
	p := coretest.NewPair(t)
	ignored, passing := flowTo(1), passingTo(4)
	p.A.Apply(coretest.Events(ctnetlink.EventNew, ignored, passing))
	p.Exchange()
	if n := p.A.FlushInternal(); n != 2 {
		t.Errorf("%d entries flushed, want 2", n)
	}
	p.A.SetFilter(ignoring())
	p.A.BeginCompare()
	stale := make([]cache.Entry, 10)
	n, next := p.A.StaleFrom(0, 100, stale)
	if n != 1 || next != 0 || stale[0].Flow.Orig != passing.Orig {
		t.Fatalf("the kernel is asked about %d flows, the first %+v", n, stale[0].Flow.Orig)
	}
	keys := []flow.Flow{stale[0].Flow}
	if !p.A.Settle(keys, keys, make([]unix.Errno, 1)) {
		t.Error("the kernel's answer is not taken")
	}
	p.A.EndCompare(nil)
	for range 3 {
		p.Exchange()
	}
	internal, external, evicted := p.A.Own.Internal.Len(), p.B.Peer.External.Len(), statistics(p.A).Kernel.Evicted
	if internal != 1 || external != 1 || evicted != 1 {
		t.Errorf("internal %d, external %d, evicted %d, want 1 each", internal, external, evicted)
	}
}

// TestFilterDoesNotLookAtThePeer: what the peer sends is kept, as with conntrackd, and shown. A commit leaves it out.
func TestFilterDoesNotLookAtThePeer(t *testing.T) {
	c, l := coretest.NewOpen()
	c.SetFilter(ignoring())
	coretest.NewPeer(t, c, l).Say(wire.CTNew, flowTo(1), passingTo(4))
	if n := c.Peer.External.Len(); n != 2 {
		t.Errorf("%d flows in the external cache, want 2", n)
	}
}
