package daemon

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/transport"
)

// memLink is a link that keeps what is sent until the test delivers it.
type memLink struct {
	buf   []byte
	ends  []int
	local netip.Addr
}

func (l *memLink) Send(buf []byte, ends []int) error {
	base := len(l.buf)
	l.buf = append(l.buf, buf[:ends[len(ends)-1]]...)
	for _, e := range ends {
		l.ends = append(l.ends, base+e)
	}
	return nil
}
func (l *memLink) FD() int                             { return -1 }
func (l *memLink) Read(*transport.Batch) (bool, error) { return false, io.EOF }
func (l *memLink) MaxPayload() int                     { return 1468 }
func (l *memLink) Local() netip.Addr                   { return l.local }
func (l *memLink) Stats() transport.Stats              { return transport.Stats{} }
func (l *memLink) Up() (bool, string)                  { return true, "RUNNING" }
func (l *memLink) Valid() error                        { return nil }
func (l *memLink) Close() error                        { return nil }

func newTestCore() (*core, *memLink) {
	cfg := config.Default()
	cfg.Interfaces = []config.Interface{{Name: "sync0", Port: config.DefaultPort}}
	l := &memLink{}
	start := time.Now()
	c := &core{
		log: slog.New(slog.DiscardHandler), now: func() int64 { return int64(time.Since(start)) }, seq: rand.Uint32, cfg: cfg,
		internal: cache.NewInternal(1 << 20), external: cache.NewExternal(1 << 20),
		complained: map[string]int64{}, wantReconcile: make(chan struct{}, 1), wantBulk: make(chan struct{}, 1), wantSweep: make(chan struct{}, 1), wantReread: make(chan struct{}, 1), wantInject: make(chan struct{}, 1),
	}
	c.expect = newExpectations(1<<10, c.internal)
	c.choice = newChoice(0, rand.Uint32)
	c.setLinks([]*channel{newChannel()}, linkConfigs(cfg))
	c.linkOpened(c.links[0], l)
	return c, l
}

// deliver hands what left through from to the other core.
func deliver(from *memLink, to *core, src netip.AddrPort) {
	at := 0
	for _, e := range from.ends {
		to.datagram(to.links[0], src, from.buf[at:e])
		at = e
	}
	from.buf, from.ends = from.buf[:0], from.ends[:0]
}

// testPair is two cores whose links are memory.
type testPair struct {
	a, b   *core
	la, lb *memLink
}

var addrA, addrB = netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")

var addrs = [2]netip.AddrPort{addrA, addrB}

func newTestPair(t testing.TB) *testPair {
	t.Helper()
	p := &testPair{}
	p.a, p.la = newTestCore()
	p.b, p.lb = newTestCore()
	for range 10 {
		p.exchange()
	}
	if p.a.session.Room() == 0 || p.b.session.Room() == 0 {
		t.Fatal("the two do not find each other")
	}
	return p
}

// exchange lets both say what they have to say.
func (p *testPair) exchange() {
	for _, c := range []*core{p.a, p.b} {
		c.transmit()
		c.session.Tick(c.now())
		c.flushOutput()
	}
	deliver(p.la, p.b, addrA)
	deliver(p.lb, p.a, addrB)
}

func block(kind ctnetlink.Kind, from int) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	b.N = ctnetlink.BlockSize
	for i := range b.N {
		f := flow.Flow{
			Orig: flow.Tuple{
				Family: flow.IPv4, Proto: flow.TCP, DstPort: 443, SrcPort: uint16(from + i),
				Src: flow.Addr{10, byte((from + i) >> 16), 0, 1}, Dst: flow.Addr{10, 2, 0, 1},
			},
			Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasID,
			Status: flow.StatusConfirmed, Timeout: 120, TCPState: flow.TCPSynSent, ID: uint32(from + i),
		}
		f.Reply = f.Orig.Inverse()
		f.Reply.Dst = flow.Addr{192, 0, 2, 1}
		b.Kind[i], b.Flow[i] = kind, f
	}
	return b
}

// TestHotPathDoesNotAllocate drives a flow's whole life through two cores: from the event to the peer's cache and back
// as an acknowledgement.
func TestHotPathDoesNotAllocate(t *testing.T) {
	p := newTestPair(t)
	p.a.readAt = 1 // so that one is followed
	life := []*ctnetlink.Block{block(ctnetlink.EventNew, 1), block(ctnetlink.EventUpdate, 1), block(ctnetlink.EventDestroy, 1)}
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
		t.Errorf("%v allocations for the life of %d flows", n, ctnetlink.BlockSize)
	}
	if p.a.took.acked.snapshot().Count == 0 {
		t.Error("no event was followed on its way")
	}
	if got := p.b.external.Stats(); got.Created == 0 || got.Created != p.a.internal.Stats().Created || got.Active != 0 {
		t.Errorf("peer's cache: %+v", got)
	}
}

func TestEventsReachThePeer(t *testing.T) {
	p := newTestPair(t)
	p.a.applyEvents(block(ctnetlink.EventNew, 1))
	p.exchange()
	if n := p.b.external.Len(); n != ctnetlink.BlockSize {
		t.Fatalf("%d flows at the peer, want %d", n, ctnetlink.BlockSize)
	}
	p.la.buf, p.la.ends = nil, nil
	p.a.applyEvents(block(ctnetlink.EventDestroy, 1))
	p.a.transmit()
	p.la.buf, p.la.ends = nil, nil // lost on the way
	p.a.applyEvents(block(ctnetlink.EventNew, 100))
	for range 3 {
		p.exchange()
	}
	if n := p.b.external.Len(); n != ctnetlink.BlockSize {
		t.Errorf("%d flows at the peer after a loss, want %d", n, ctnetlink.BlockSize)
	}
}

// BenchmarkLife is a flow's NEW, UPDATE and DESTROY from the event block to the peer's cache and back as
// acknowledgements, both ends together, without kernel and sockets.
func BenchmarkLife(b *testing.B) {
	p := newTestPair(b)
	life := []*ctnetlink.Block{block(ctnetlink.EventNew, 1), block(ctnetlink.EventUpdate, 1), block(ctnetlink.EventDestroy, 1)}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for _, blk := range life {
			p.a.applyEvents(blk)
			p.exchange()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3*ctnetlink.BlockSize), "ns/event")
}

// TestAbsenceOfAnEarlierLife: what the kernel says of an entry that a commit made, which has no ID, does not end the flow
// that began under its tuple meanwhile.
func TestAbsenceOfAnEarlierLife(t *testing.T) {
	c, _ := newTestCore()
	f := someFlow(1)
	f.Has &^= flow.HasID
	if err := c.internal.Update(&f, c.now()); err != nil {
		t.Fatal(err)
	}
	s := &staleReader{keys: []flow.Flow{f}, found: make([]flow.Flow, 1), errs: []unix.Errno{unix.ENOENT}}
	anew := f
	anew.ID, anew.Has = 77, anew.Has|flow.HasID
	if err := c.internal.New(&anew, c.now()); err != nil {
		t.Fatal(err)
	}
	if c.settleStale(s, 1); c.internal.Len() != 1 {
		t.Error("the flow that began is ended")
	}
	s.keys[0] = anew
	if c.settleStale(s, 1); c.internal.Len() != 0 {
		t.Error("a flow that the kernel does not have stays")
	}
}
