package core_test

import (
	"testing"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// orphaned is how expectations without a replicated master are counted.
const orphaned = "expectations: their connection is not replicated, or in a conntrack zone"

// expectPair is a pair that replicates expectations, on a clock that the test moves.
type expectPair struct {
	*coretest.Pair
	clock int64
}

func newExpectPair(t testing.TB) *expectPair {
	t.Helper()
	p := &expectPair{clock: int64(time.Hour)}
	p.Pair = coretest.NewPair(t, onClock(&p.clock), func(o *core.Options) { o.Config.ExpectSync = []string{"ftp"} })
	return p
}

// settle lets both say what they have to say, and acknowledge it.
func (p *expectPair) settle() {
	for range 6 {
		p.Exchange()
		p.clock += int64(100 * time.Millisecond)
	}
}

// expectSync changes expect-sync of one of the two.
func (p *expectPair) expectSync(c *core.Core, helpers ...string) {
	cfg := *c.Config
	cfg.ExpectSync = helpers
	c.Reconfigure(&cfg, 1<<20, 1<<10)
}

// expectBlock is an event of kind for each of the first n masters of coretest.Block(_, 1).
func expectBlock(kind ctnetlink.Kind, n int) *ctnetlink.Block {
	masters := coretest.Block(ctnetlink.EventNew, 1)
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

func TestExpectationsReachThePeer(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.A.Apply(expectBlock(ctnetlink.EventExpectNew, 16))
	p.clock += int64(100 * time.Second)
	p.settle()
	got := p.B.Peer.Expect.Stats()
	if got.Active != 16 || got.Created != 16 || p.B.Peer.External.Len() != ctnetlink.BlockSize {
		t.Fatalf("peer's cache: %+v", got)
	}
	p.A.Apply(expectBlock(ctnetlink.EventExpectDestroy, 10))
	p.settle()
	if got, own := p.B.Peer.Expect.Stats(), p.A.Own.Expect.Stats(); got.Active != 6 || own.Objects != 6 {
		t.Errorf("peer's cache: %+v, own %+v", got, own)
	}
}

// TestExpectationBeforeItsMaster: some helpers expect something upon the first packet, before the connection is
// confirmed.
func TestExpectationBeforeItsMaster(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(expectBlock(ctnetlink.EventExpectNew, 8))
	p.A.Apply(expectBlock(ctnetlink.EventExpectDestroy, 1))
	if n := p.A.Own.Expect.Len(); n != 0 {
		t.Errorf("%d kept without their masters", n)
	}
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.settle()
	if n := p.B.Peer.Expect.Len(); n != 7 {
		t.Errorf("%d at the peer, want the 7 that have not ended", n)
	}
	far := expectBlock(ctnetlink.EventExpectNew, 3)
	for i := range far.NExpect {
		far.Expect[i].Master.Zone = 9 // its master never comes
	}
	p.A.Apply(far)
	for range 2 { // counted once, and forgotten
		p.clock += 2 * int64(time.Second)
		p.A.Apply(coretest.Block(ctnetlink.EventUpdate, 1))
		if n := statistics(p.A).Unsupported[orphaned]; n != 3 {
			t.Errorf("%d counted, want 3", n)
		}
	}
}

func TestExpectationsNotReplicated(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	b := expectBlock(ctnetlink.EventExpectNew, 4)
	b.Expect[0].Helper = [16]byte{'s', 'i', 'p'} // not in the list
	b.Expect[1].Expect.Zone = 3                  // what a later kernel may report
	b.Expect[2].Has |= flow.HasNAT
	b.Expect[2].NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, Src: flow.Addr{0xfd}}
	b.Expect[3].Has |= flow.HasNAT
	b.Expect[3].NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, SrcPort: 9} // the port alone is carried
	p.A.Apply(b)
	p.settle()
	s := statistics(p.A)
	zone, nat := s.Unsupported[wire.LackExpectZone.String()], s.Unsupported[wire.LackExpectNAT.String()]
	if s.Kernel.Filtered != 1 || zone != 1 || nat != 1 || p.B.Peer.Expect.Len() != 1 {
		t.Errorf("filtered %d, without %v, %d at the peer", s.Kernel.Filtered, s.Unsupported, p.B.Peer.Expect.Len())
	}
	p.expectSync(p.B)
	if p.B.Peer.Expect.Len() != 0 {
		t.Error("kept while expect-sync is off")
	}
	p.A.Apply(expectBlock(ctnetlink.EventExpectNew, 4))
	p.settle()
	if n := statistics(p.B).ExpectationsIgnored; n == 0 || p.B.Peer.Expect.Len() != 0 {
		t.Errorf("%d counted, %d kept", n, p.B.Peer.Expect.Len())
	}
	p.expectSync(p.A)
	p.settle()
	if st := p.A.Own.Expect.Stats(); st.Active != 0 || st.Objects != 0 {
		t.Errorf("after expect-sync was turned off: %+v", st)
	}
}

// TestExpectSyncWhileRunning: other helpers ask for a comparison and the peer's table, the same ones do not.
func TestExpectSyncWhileRunning(t *testing.T) {
	p := newExpectPair(t)
	signalled := func() bool {
		select {
		case <-p.A.Want.Reconcile:
			return true
		default:
			return false
		}
	}
	for _, step := range []struct {
		helpers []string
		want    bool
	}{{[]string{"ftp"}, false}, {[]string{"ftp", "sip"}, true}, {nil, false}, {[]string{"all"}, true}} {
		before := statistics(p.A).Session.Sent["resync"]
		p.expectSync(p.A, step.helpers...)
		p.settle()
		asked := statistics(p.A).Session.Sent["resync"] > before
		if compares := signalled(); compares != step.want || asked != step.want {
			t.Errorf("expect-sync %v: a comparison is asked for: %v, the peer's table: %v", step.helpers, compares, asked)
		}
	}
}

// TestExpectationsKeepTheirPlace: an expectation is sent behind the flows that were dirty before it, and before those
// that became dirty later, so that the acknowledgement of a request for lost messages means what it says.
func TestExpectationsKeepTheirPlace(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.A.Apply(expectBlock(ctnetlink.EventExpectNew, 1))
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1000))
	p.LA.Drop()
	p.A.Transmit()
	var types []wire.Type
	p.LA.Each(func(d []byte) {
		for len(d) > 0 {
			h, _, rest, bad := wire.Next(d)
			if bad != wire.OK {
				t.Fatalf("malformed: %v", bad)
			}
			if d = rest; h.Type != wire.Control {
				types = append(types, h.Type)
			}
		}
	})
	if len(types) != 2*ctnetlink.BlockSize+1 {
		t.Fatalf("%d messages, want %d", len(types), 2*ctnetlink.BlockSize+1)
	}
	for i, typ := range types {
		if (typ == wire.ExpNew) != (i == ctnetlink.BlockSize) {
			t.Errorf("message %d has type %d", i, typ)
		}
	}
}

func TestExpectationsDoNotAllocate(t *testing.T) {
	p := newExpectPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	blocks := []*ctnetlink.Block{
		expectBlock(ctnetlink.EventExpectNew, 16), expectBlock(ctnetlink.EventExpectDestroy, 16),
	}
	once := func() {
		for _, b := range blocks {
			p.A.Apply(b)
			p.Exchange()
			p.Exchange()
		}
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations for 16 expectations from their beginning to their end", n)
	}
}

// TestNATExpectationHasItsMasterReadAgain: a helper that translates shifts sequence numbers, of which no event comes.
func TestNATExpectationHasItsMasterReadAgain(t *testing.T) {
	p := newExpectPair(t)
	masters := coretest.Block(ctnetlink.EventNew, 1)
	p.A.Apply(masters)
	b := expectBlock(ctnetlink.EventExpectNew, 1)
	b.Expect[0].Has |= flow.HasNAT
	p.A.Apply(b)
	select {
	case <-p.A.Want.Reread:
	default:
		t.Fatal("not asked for")
	}
	keys := p.A.Partial()
	if len(keys) != 1 || keys[0].Orig != masters.Flow[0].Orig || len(p.A.Partial()) != 0 {
		t.Fatalf("to be read: %+v", keys)
	}
	p.settle()
	read := masters.Flow[0]
	complete(t, p.A, &read) // nothing is shifted
	if n := p.A.Own.Internal.Dirty(); n != 0 {
		t.Errorf("%d changed flows wait to be sent, though nothing changed", n)
	}
	read.Has, read.SeqAdj[0].OffsetAfter = read.Has|flow.HasSeqAdj, 7
	complete(t, p.A, &read)
	if n := p.A.Own.Internal.Dirty(); n != 1 {
		t.Errorf("%d changed flows wait to be sent, want 1", n)
	}
}

func complete(t *testing.T, c *core.Core, f *flow.Flow) {
	t.Helper()
	if err := c.Own.Internal.Complete(f, c.Now()); err != nil {
		t.Fatal(err)
	}
}
