package core_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// statistics are what a core counts.
func statistics(c *core.Core) (s control.Statistics) {
	c.Statistics(&s)
	return s
}

// onClock gives a core a clock that the test moves.
func onClock(clock *int64) func(*core.Options) {
	return func(o *core.Options) { o.Now = func() int64 { return *clock } }
}

// cycle lets flows begin, change and end, a block at a time.
func cycle() []*ctnetlink.Block {
	return []*ctnetlink.Block{
		coretest.Block(ctnetlink.EventNew, 1), coretest.Block(ctnetlink.EventUpdate, 1), coretest.Block(ctnetlink.EventDestroy, 1),
	}
}

// flowTo is a UDP flow to a port.
func flowTo(port uint16) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.UDP, Src: flow.Addr{10}, Dst: flow.Addr{192, 0, 2, 1}, SrcPort: 1024, DstPort: port,
		},
		Has: flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark, Status: flow.StatusConfirmed, Timeout: 100,
		Mark: uint32(port),
	}
	f.Reply = f.Orig.Inverse()
	return f
}

// TestHotPathDoesNotAllocate drives flows from their first event to their last through two cores: from the event to the
// peer's cache and back as an acknowledgement.
func TestHotPathDoesNotAllocate(t *testing.T) {
	p := coretest.NewPair(t)
	p.A.ReadAt(1) // so that one is followed
	blocks := cycle()
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
		t.Errorf("%v allocations for %d flows from their beginning to their end", n, ctnetlink.BlockSize)
	}
	if statistics(p.A).Times.EventAcknowledged.Count == 0 {
		t.Error("no event was followed to the peer and back")
	}
	got, own := p.B.Peer.External.Stats(), p.A.Own.Internal.Stats()
	if got.Created == 0 || got.Created != own.Created || got.Active != 0 {
		t.Errorf("peer's cache: %+v, own %+v", got, own)
	}
}

func TestEventsReachThePeer(t *testing.T) {
	p := coretest.NewPair(t)
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.Exchange()
	if n := p.B.Peer.External.Len(); n != ctnetlink.BlockSize {
		t.Fatalf("%d flows at the peer, want %d", n, ctnetlink.BlockSize)
	}
	p.A.Apply(coretest.Block(ctnetlink.EventDestroy, 1))
	p.A.Transmit()
	p.LA.Drop() // lost by the network
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 100))
	for range 3 {
		p.Exchange()
	}
	if n := p.B.Peer.External.Len(); n != ctnetlink.BlockSize {
		t.Errorf("%d flows at the peer after a loss, want %d", n, ctnetlink.BlockSize)
	}
}

// bulk sends the table of one core of a pair to the other.
func bulk(p *coretest.Pair, from *core.Core) {
	b := from.BeginBulk()
	for next, more := cache.Ref(0), true; more; more = next != 0 {
		next, _ = from.AnnounceFrom(next, 100)
	}
	for end := from.Own.Internal.Tail(); !from.Own.Internal.Passed(end); {
		p.Exchange()
	}
	b.End(from)
	for range 3 {
		p.Exchange()
	}
}

// TestBulkIsTheAnswer: the peer asks for the table, gets all of it and then knows what it no longer needs.
func TestBulkIsTheAnswer(t *testing.T) {
	clock := int64(time.Hour)
	p := coretest.NewPair(t, onClock(&clock))
	p.A.Apply(coretest.Block(ctnetlink.EventNew, 1))
	p.Exchange()
	const ended = 3
	for i := range uint16(ended) { // without a word of the peer
		f := flowTo(i)
		if err := p.B.Peer.External.New(&f, clock); err != nil {
			t.Fatal(err)
		}
	}
	if p.B.HasTable() {
		t.Error("the peer's table has come before it was sent")
	}
	p.B.RequestResync()
	for range 3 {
		clock += int64(100 * time.Millisecond)
		p.Exchange()
	}
	bulk(p, p.A)
	clock += int64(time.Second)
	p.Exchange()
	p.Exchange()
	if !p.B.HasTable() || p.A.PeerIsNew() || p.A.AwaitsRequest() {
		t.Fatalf("table %v, peer is new %v, awaits request %v", p.B.HasTable(), p.A.PeerIsNew(), p.A.AwaitsRequest())
	}
	next, removed := p.B.SweepFrom(0, 1<<20)
	if next != 0 || removed != ended || p.B.Peer.External.Len() != p.A.Own.Internal.Len() {
		t.Errorf("%d removed, want %d; %d are left", removed, ended, p.B.Peer.External.Len())
	}
	if _, again := p.B.SweepFrom(0, 1<<20); again != 0 || statistics(p.B).Kernel.Swept != ended {
		t.Errorf("%d removed by a second sweep, %d counted", again, statistics(p.B).Kernel.Swept)
	}
}

// TestAbsenceOfAnEarlierFlow: what the kernel says of an entry that a commit made, which has no ID, does not end the
// flow that began under its tuple meanwhile.
func TestAbsenceOfAnEarlierFlow(t *testing.T) {
	c := coretest.New()
	f := flowTo(1)
	if err := c.Own.Internal.Update(&f, c.Now()); err != nil {
		t.Fatal(err)
	}
	key, found, errs := []flow.Flow{f}, make([]flow.Flow, 1), []unix.Errno{unix.ENOENT}
	later := f
	later.ID, later.Has = 77, later.Has|flow.HasID
	if err := c.Own.Internal.New(&later, c.Now()); err != nil {
		t.Fatal(err)
	}
	if c.Settle(key, found, errs); c.Own.Internal.Len() != 1 {
		t.Error("the flow that began is ended")
	}
	key[0] = later
	if c.Settle(key, found, errs); c.Own.Internal.Len() != 0 {
		t.Error("a flow that the kernel does not have stays")
	}
}

// TestCompareCounts: the first comparison fills the cache, later ones count what they repair, and one that was
// overtaken by lost events proves nothing.
func TestCompareCounts(t *testing.T) {
	c := coretest.New()
	compare := func(during func(), kernel ...flow.Flow) uint64 {
		c.BeginCompare()
		during()
		c.Merge(kernel)
		stale := make([]cache.Entry, 10)
		n, _ := c.StaleFrom(0, 100, stale)
		keys, errs := make([]flow.Flow, n), make([]unix.Errno, n)
		for i := range keys {
			keys[i], errs[i] = stale[i].Flow, unix.ENOENT
		}
		c.Settle(keys, make([]flow.Flow, n), errs)
		return c.EndCompare(nil)
	}
	nothing := func() {}
	if n := compare(nothing, flowTo(1), flowTo(2)); n != 0 || c.Own.Internal.Len() != 2 {
		t.Errorf("the first: %d differences, %d flows", n, c.Own.Internal.Len())
	}
	select {
	case <-c.Compared:
	default:
		t.Error("the first comparison is not announced")
	}
	if n := compare(nothing, flowTo(1), flowTo(3)); n != 2 || c.Own.Internal.Len() != 2 {
		t.Errorf("one flow more and one less: %d differences, %d flows", n, c.Own.Internal.Len())
	}
	suspect := func() bool {
		for _, why := range c.Why() {
			if why == "the internal cache may miss changes until it has been compared with the kernel's table" {
				return true
			}
		}
		return false
	}
	if compare(c.Overrun, flowTo(1), flowTo(3)); !suspect() {
		t.Error("a comparison that events were lost in proves that the cache is complete")
	}
	if compare(nothing, flowTo(1), flowTo(3)); suspect() {
		t.Error("the next one does not")
	}
	if s := statistics(c).Kernel; s.Repairs != 4 || s.Repaired != 2 {
		t.Errorf("%d comparisons, %d differences", s.Repairs, s.Repaired)
	}
}

// TestReconfigure: what changed asks for what must follow.
func TestReconfigure(t *testing.T) {
	for _, tt := range []struct {
		name                             string
		before, after                    func(*config.Config)
		withdraw, expect, bulk, injected bool
	}{
		{"nothing", func(*config.Config) {}, func(*config.Config) {}, false, false, false, false},
		{"window scales wanted", func(*config.Config) {}, func(c *config.Config) { c.TCPWindowTracking = true }, false, false, true, false},
		{"window scales not wanted", func(c *config.Config) { c.TCPWindowTracking = true }, func(*config.Config) {}, false, false, false, false},
		{"injection on", func(*config.Config) {}, func(c *config.Config) { c.DisableExternalCache = true }, false, false, false, true},
		{"injection off", func(c *config.Config) { c.DisableExternalCache = true }, func(*config.Config) {}, true, false, false, false},
		{"helpers", func(*config.Config) {}, func(c *config.Config) { c.ExpectSync = []string{"ftp"} }, false, true, false, false},
	} {
		cfg := *coretest.Options().Config
		tt.before(&cfg)
		c, l := coretest.NewOpen(func(o *core.Options) { o.Config = &cfg })
		coretest.NewPeer(t, c, l).Say(wire.CTNew, flowTo(1))
		c.BeginBulk() // the one that the peer asked for
		signalled := func(ch chan struct{}) bool {
			select {
			case <-ch:
				return true
			default:
				return false
			}
		}
		signalled(c.Want.Inject)
		after := *coretest.Options().Config
		tt.after(&after)
		ch := c.Reconfigure(&after, 1<<20, 1<<10)
		bulk, injected := signalled(c.Want.Bulk), signalled(c.Want.Inject)
		if ch.Withdraw != tt.withdraw || ch.Expect != tt.expect || bulk != tt.bulk || injected != tt.injected {
			t.Errorf("%s: %+v, bulk %v, injection %v", tt.name, ch, bulk, injected)
		}
	}
}

// BenchmarkLife is a flow's NEW, UPDATE and DESTROY from the event block to the peer's cache and back as
// acknowledgements, both ends together, without kernel and sockets.
func BenchmarkLife(b *testing.B) {
	p, blocks := coretest.NewPair(b), cycle()
	b.ReportAllocs()
	for b.Loop() {
		for _, blk := range blocks {
			p.A.Apply(blk)
			p.Exchange()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3*ctnetlink.BlockSize), "ns/event")
}

func reportEvents(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*ctnetlink.BlockSize), "ns/event")
}

// BenchmarkEvents is half of BenchmarkLife: a block of events until its messages are ready for the link.
func BenchmarkEvents(b *testing.B) {
	p, blocks := coretest.NewPair(b), cycle()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.A.Apply(blocks[i%len(blocks)])
		p.A.Transmit()
		b.StopTimer()
		p.Exchange() // and acknowledged
		p.Exchange()
		b.StartTimer()
	}
	reportEvents(b)
}

// BenchmarkDatagrams is the other half: the messages of a block of events, from the datagrams to the external cache.
func BenchmarkDatagrams(b *testing.B) {
	p, blocks := coretest.NewPair(b), cycle()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		p.A.Apply(blocks[i%len(blocks)])
		p.A.Transmit()
		b.StartTimer()
		p.LA.Each(func(d []byte) { p.B.Receive(p.B.Links.Channels()[0], coretest.AddrA, d) })
		b.StopTimer()
		p.Exchange()
		p.Exchange()
		b.StartTimer()
	}
	reportEvents(b)
}
