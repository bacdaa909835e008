package daemon

import (
	"testing"
	"time"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// newExpectPair is newTestPair with expect-sync on at both ends, on a clock that the test moves.
func newExpectPair(t testing.TB) (p *testPair, clock *int64) {
	t.Helper()
	p = newTestPair(t)
	p.a.cfg.ExpectSync, p.b.cfg.ExpectSync = []string{"ftp"}, []string{"all"}
	clock = new(int64)
	*clock = p.a.now()
	for _, c := range []*core{p.a, p.b} {
		c.now = func() int64 { return *clock }
	}
	return p, clock
}

// expectBlock is an event of kind for each of the first n masters of block(_, 1).
func expectBlock(kind ctnetlink.Kind, n int) *ctnetlink.Block {
	masters := block(ctnetlink.EventNew, 1)
	b := &ctnetlink.Block{}
	b.N, b.NExpect = n, n
	for i := range n {
		b.Kind[i] = kind
		e := &b.Expect[i]
		e.Master, e.Expect = masters.Flow[i].Orig, masters.Flow[i].Orig
		e.Expect.SrcPort = 0
		e.Mask = flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, DstPort: 0xffff}
		e.Has, e.Timeout, e.ID = flow.HasMaster|flow.HasMask|flow.HasTimeout|flow.HasHelper|flow.HasID, 300, uint32(i)
		copy(e.Helper[:], "ftp")
	}
	return b
}

// settle lets both say what they have to say, and acknowledge it.
func (p *testPair) settle(clock *int64) {
	for range 6 {
		p.exchange()
		*clock += int64(100 * time.Millisecond)
	}
}

func TestExpectationsReachThePeer(t *testing.T) {
	p, clock := newExpectPair(t)
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectNew, 16))
	*clock += int64(100 * time.Second)
	p.settle(clock)
	if got := p.b.expect.external.Stats(); got.Active != 16 || got.Created != 16 || p.b.external.Len() != ctnetlink.BlockSize {
		t.Fatalf("peer's cache: %+v", got)
	}
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectDestroy, 10))
	p.settle(clock)
	if got := p.b.expect.external.Stats(); got.Active != 6 || p.a.expect.internal.Stats().Objects != 6 {
		t.Errorf("peer's cache: %+v, own %+v", got, p.a.expect.internal.Stats())
	}
}

// TestExpectationBeforeItsMaster: some helpers expect something upon the first packet, before the connection is confirmed.
func TestExpectationBeforeItsMaster(t *testing.T) {
	p, clock := newExpectPair(t)
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectNew, 8))
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectDestroy, 1))
	if n := p.a.expect.internal.Len(); n != 0 {
		t.Errorf("%d kept without their masters", n)
	}
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	p.settle(clock)
	if n := p.b.expect.external.Len(); n != 7 {
		t.Errorf("%d at the peer, want the 7 that have not ended", n)
	}
	far := expectBlock(ctnetlink.EventExpectNew, 3)
	for i := range far.NExpect {
		far.Expect[i].Master.Zone = 9 // no master ever
	}
	p.a.applyEvents(far)
	*clock += 2 * int64(time.Second)
	p.a.applyEvents(block(ctnetlink.EventUpdate, 1))
	if p.a.counts.orphans != 3 || len(p.a.expect.orphans) != 0 {
		t.Errorf("%d counted, %d wait", p.a.counts.orphans, len(p.a.expect.orphans))
	}
}

func TestExpectationsNotReplicated(t *testing.T) {
	p, clock := newExpectPair(t)
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	b := expectBlock(ctnetlink.EventExpectNew, 4)
	b.Expect[0].Helper = [16]byte{'s', 'i', 'p'} // not in the list
	b.Expect[1].Expect.Zone = 3                  // what a later kernel may tell
	b.Expect[2].Has |= flow.HasNAT
	b.Expect[2].NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, Src: flow.Addr{0xfd}}
	b.Expect[3].Has |= flow.HasNAT
	b.Expect[3].NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, SrcPort: 9} // the port alone is carried
	filtered := p.a.counts.filtered
	p.a.applyEvents(b)
	p.settle(clock)
	c := &p.a.counts
	if c.filtered != filtered+1 || c.lacks[wire.LackExpectZone] != 1 || c.lacks[wire.LackExpectNAT] != 1 || p.b.expect.external.Len() != 1 {
		t.Errorf("%+v, %d at the peer", c, p.b.expect.external.Len())
	}
	p.b.cfg.ExpectSync = nil
	p.b.followExpectSync()
	if p.b.expect.external.Len() != 0 {
		t.Error("kept while expect-sync is off")
	}
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectNew, 4))
	p.settle(clock)
	if p.b.counts.expectations == 0 || p.b.expect.external.Len() != 0 {
		t.Errorf("%d counted, %d kept", p.b.counts.expectations, p.b.expect.external.Len())
	}
	p.a.cfg.ExpectSync = nil
	p.a.followExpectSync()
	p.settle(clock)
	if st := p.a.expect.internal.Stats(); st.Active != 0 || st.Objects != 0 {
		t.Errorf("after expect-sync was turned off: %+v", st)
	}
}

// TestExpectationsKeepTheirPlace: an expectation is sent behind the flows that were dirty before it, and before those
// that became dirty later, so that the acknowledgement of a request for lost messages means what it says.
func TestExpectationsKeepTheirPlace(t *testing.T) {
	p, _ := newExpectPair(t)
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	p.a.applyEvents(expectBlock(ctnetlink.EventExpectNew, 1))
	p.a.applyEvents(block(ctnetlink.EventNew, 1000))
	first := p.a.session.State().Seq
	p.a.transmit()
	ref := p.a.expect.outgoing.Ref
	if p.a.dirty() != 0 || ref == 0 {
		t.Fatalf("%d dirty", p.a.dirty())
	}
	for seq := first; seq < first+2*ctnetlink.BlockSize+1; seq++ {
		p.a.lost(session.Ref(ref), seq)
		if p.a.dirty() > 0 {
			if seq != first+ctnetlink.BlockSize {
				t.Errorf("sent as number %d after the first, want %d", seq-first, ctnetlink.BlockSize)
			}
			return
		}
	}
	t.Error("not among what was sent")
}

func TestExpectationsDoNotAllocate(t *testing.T) {
	p, _ := newExpectPair(t)
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	life := []*ctnetlink.Block{expectBlock(ctnetlink.EventExpectNew, 16), expectBlock(ctnetlink.EventExpectDestroy, 16)}
	once := func() {
		for _, b := range life {
			p.a.applyEvents(b)
			p.exchange()
			p.exchange()
		}
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations for the life of 16 expectations", n)
	}
}
