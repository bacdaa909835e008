package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/transport"
)

// TestPairConverges runs two whole cores, caches and sessions as they are, over two links that lose, go down at either
// end and are cut unseen, and restarts either, under changing flows and on a clock of its own. In the end each external cache must equal the other
// side's internal one.
func TestPairConverges(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		s := newSim(t, seed)
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type sim struct {
	t     *testing.T
	rnd   *rand.Rand
	clock int64
	nodes [2]*simNode
	loss  int // percent
	cut   [2]bool
}

type simNode struct {
	core   *core
	links  [2]*memLink
	addr   [2]netip.AddrPort // on each
	kernel map[flow.Tuple]flow.Flow
	expect map[flow.Tuple]flow.Expectation // by master: one each
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), clock: int64(time.Second)}
	s.loss = []int{0, 1, 5, 20}[s.rnd.IntN(4)]
	for i := range s.nodes {
		s.nodes[i] = &simNode{addr: linkAddresses(i), kernel: map[flow.Tuple]flow.Flow{}, expect: map[flow.Tuple]flow.Expectation{}}
		s.restart(s.nodes[i])
	}
	return s
}

// join gives a node its two links and begins a conversation on the simulated clock.
func (s *sim) join(n *simNode) {
	n.links[1] = &memLink{}
	n.core.links, n.core.choice = nil, newChoice(s.clock, s.rnd.Uint32)
	n.core.setLinks([]*channel{newChannel(), newChannel()}, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}})
	for i, ch := range n.core.links {
		n.links[i].local = n.addr[i].Addr()
		n.core.linkOpened(ch, n.links[i])
	}
	n.core.newSession()
}

// linkAddresses are the addresses of node i on the two links.
func linkAddresses(i int) [2]netip.AddrPort {
	first := addrs[i]
	return [2]netip.AddrPort{first, netip.AddrPortFrom(first.Addr().Next().Next(), first.Port())}
}

// restart gives a node a new life: it knows what its kernel has, and nothing else.
func (s *sim) restart(n *simNode) {
	n.core, n.links[0] = newTestCore()
	n.core.now, n.core.seq = func() int64 { return s.clock }, s.rnd.Uint32
	n.core.cfg.ExpectSync = []string{"all"}
	s.join(n)
	n.core.internal.BeginReconcile()
	for _, k := range slices.SortedFunc(maps.Keys(n.kernel), func(a, b flow.Tuple) int { return a.Compare(&b) }) {
		f := n.kernel[k]
		if _, err := n.core.internal.Reconcile(&f, s.clock); err != nil {
			s.t.Fatal(err)
		}
	}
	n.core.internal.EndReconcile()
	n.core.expect.internal.BeginReconcile()
	for _, k := range slices.SortedFunc(maps.Keys(n.expect), func(a, b flow.Tuple) int { return a.Compare(&b) }) {
		n.core.reconcileExpectSlice([]flow.Expectation{n.expect[k]})
	}
	n.core.expect.internal.EndReconcile(true)
}

func (s *sim) run() {
	for range 300 {
		s.clock += int64(s.rnd.IntN(30)) * int64(time.Millisecond)
		for _, n := range s.nodes {
			for range s.rnd.IntN(8) {
				s.change(n)
			}
		}
		switch s.rnd.IntN(100) {
		case 0:
			n := s.nodes[s.rnd.IntN(2)]
			if s.rnd.IntN(2) == 0 {
				clear(n.kernel) // its table emptied while nobody listened
				clear(n.expect)
			}
			s.restart(n)
		case 1:
			i := s.rnd.IntN(2)
			s.cut[i] = !s.cut[i]
		case 2, 3:
			s.nodes[s.rnd.IntN(2)].setLink(s.rnd.IntN(2), s.rnd.IntN(2) == 0)
		}
		s.step()
	}
	s.cut, s.loss = [2]bool{}, 0
	for _, n := range s.nodes {
		n.setLink(0, true)
		n.setLink(1, true)
	}
	for range 600 {
		s.clock += int64(50 * time.Millisecond)
		s.step()
	}
	if a, b := s.nodes[0].core, s.nodes[1].core; a.choice.active != b.choice.active {
		s.t.Errorf("one sends by link %d, the other by %d", a.choice.active, b.choice.active)
	}
	s.compare(s.nodes[0], s.nodes[1])
	s.compare(s.nodes[1], s.nodes[0])
}

// change makes, changes or ends a flow in a node's kernel, and tells the node.
func (s *sim) change(n *simNode) {
	var b ctnetlink.Block
	b.N = 1
	f := &b.Flow[0]
	*f = flow.Flow{
		Orig: flow.Tuple{Family: flow.IPv4, Proto: flow.UDP, SrcPort: uint16(s.rnd.IntN(200)), DstPort: 53, Src: flow.Addr{10}, Dst: flow.Addr{11}},
		Has:  flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark | flow.HasID, Timeout: 100000, Mark: s.rnd.Uint32(), ID: s.rnd.Uint32(),
	}
	f.Reply = f.Orig.Inverse()
	old, exists := n.kernel[f.Orig]
	switch {
	case !exists:
		b.Kind[0] = ctnetlink.EventNew
		n.kernel[f.Orig] = *f
	case s.rnd.IntN(2) == 0:
		b.Kind[0], f.ID = ctnetlink.EventDestroy, old.ID
		delete(n.kernel, f.Orig)
		s.unexpect(n, f.Orig)
	default:
		b.Kind[0], f.ID = ctnetlink.EventUpdate, old.ID
		n.kernel[f.Orig] = *f
	}
	n.core.applyEvents(&b)
	if _, lives := n.kernel[f.Orig]; lives && s.rnd.IntN(4) == 0 {
		s.unexpect(n, f.Orig)
		if s.rnd.IntN(3) > 0 {
			s.expect(n, f.Orig)
		}
	}
}

// expect makes the one expectation of a flow in a node's kernel, unexpect ends it.
func (s *sim) expect(n *simNode, master flow.Tuple) {
	e := flow.Expectation{
		Master: master, Expect: master, Mask: flow.Tuple{Family: flow.IPv4, Proto: flow.UDP},
		Has:     flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasClass | flow.HasHelper | flow.HasID,
		Timeout: 100000, Class: s.rnd.Uint32N(3), ID: s.rnd.Uint32(), Helper: [16]byte{'s', 'i', 'p'},
	}
	n.expect[master] = e
	n.core.applyEvents(expectEvent(ctnetlink.EventExpectNew, &e))
}

func (s *sim) unexpect(n *simNode, master flow.Tuple) {
	if e, ok := n.expect[master]; ok {
		delete(n.expect, master)
		n.core.applyEvents(expectEvent(ctnetlink.EventExpectDestroy, &e))
	}
}

func expectEvent(kind ctnetlink.Kind, e *flow.Expectation) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	b.N, b.NExpect, b.Kind[0], b.Expect[0] = 1, 1, kind, *e
	return b
}

// step lets both speak, carries what they said, and does the work of the bulk and sweep goroutines.
func (s *sim) step() {
	for i, n := range s.nodes {
		c := n.core
		c.transmit()
		c.session.Tick(c.now())
		c.flushOutput()
		c.reviewLinks(c.now())
		for k, l := range n.links {
			s.carry(n, s.nodes[1-i], k, l)
		}
		s.work(c)
	}
}

// carry takes what a node said by link k to the other one.
func (s *sim) carry(from, to *simNode, k int, l *memLink) {
	at := 0
	for _, e := range l.ends {
		up := from.core.links[k].usable() && to.core.links[k].usable()
		if up && !s.cut[k] && s.rnd.IntN(100) >= s.loss {
			to.core.datagram(to.core.links[k], from.addr[k], l.buf[at:e])
		}
		at = e
	}
	l.buf, l.ends = l.buf[:0], l.ends[:0]
}

// setLink changes the carrier of a node's link.
func (n *simNode) setLink(k int, up bool) {
	state := "NO-CARRIER"
	if up {
		state = stateRunning
	}
	n.core.linkIs(n.core.links[k], n.links[k], state)
}

func (s *sim) work(c *core) {
	select {
	case <-c.wantBulk:
		answer := c.sync.bulkWanted
		if answer {
			c.sync.bulkWanted = false
			c.session.BulkStarted()
		}
		c.internal.Scan(0, 1<<20, func(e *cache.Entry) bool { return c.internal.Announce(e.Ref) })
		c.expect.internal.Announce()
		for c.dirty() > 0 && c.session.Room() > 0 {
			c.transmit()
		}
		if answer && c.dirty() == 0 {
			c.session.BulkSent()
		} else if answer {
			c.sync.bulkWanted = true
			signal(c.wantBulk)
		}
	default:
	}
	select {
	case <-c.wantSweep:
		if c.sync.sweepDue {
			c.external.Sweep(0, 1<<20)
			c.expect.external.Sweep()
			c.sync.sweepDue = false
		}
	default:
	}
}

func (s *sim) compare(from, to *simNode) {
	have := map[flow.Tuple]uint32{}
	to.core.external.Scan(0, 1<<20, func(e *cache.Entry) bool {
		have[e.Flow.Orig] = e.Flow.Mark
		return true
	})
	for k, f := range from.kernel {
		if mark, ok := have[k]; !ok || mark != f.Mark {
			s.t.Errorf("%v: mark %d, present %v at the peer, want mark %d", k.Source(), mark, ok, f.Mark)
		}
		delete(have, k)
	}
	if len(have) > 0 {
		s.t.Errorf("the peer keeps %d flows that are gone, e.g. %s", len(have), first(have))
	}
	held := 0
	to.core.expect.external.Scan(0, 1<<20, func(x *cache.ExpectEntry) {
		held++
		if e, ok := from.expect[x.Expectation.Master]; !ok || e.Class != x.Expectation.Class {
			s.t.Errorf("the peer keeps an expectation that is gone: %+v", x.Expectation)
		}
	})
	if held != len(from.expect) {
		s.t.Errorf("the peer has %d of %d expectations", held, len(from.expect))
	}
}

func first(m map[flow.Tuple]uint32) string {
	for k := range m {
		return fmt.Sprint(k.Source())
	}
	return ""
}
