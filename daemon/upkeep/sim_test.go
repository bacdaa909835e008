package upkeep_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// TestPairConverges runs two whole cores, caches and sessions as they are, over two links that lose, go down at either
// end and are cut unseen, and restarts either, under changing flows. In the end each external cache must equal the
// other side's internal one.
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
	*coretest.Sim
	kernels [2]table
	took    [2]bool // the node became master
}

// table is what the kernel of a node has.
type table struct {
	flows  map[flow.Tuple]flow.Flow
	expect map[flow.Tuple]flow.Expectation // by master: one each
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{Sim: coretest.NewSim(t, seed, 1)}
	for i := range s.Nodes {
		s.kernels[i] = table{map[flow.Tuple]flow.Flow{}, map[flow.Tuple]flow.Expectation{}}
		s.restart(i)
	}
	return s
}

func inOrder[V any](m map[flow.Tuple]V) []flow.Tuple {
	return slices.SortedFunc(maps.Keys(m), func(a, b flow.Tuple) int { return a.Compare(&b) })
}

// restart starts a node's daemon again: it knows what its kernel has, and nothing else.
func (s *sim) restart(i int) {
	n, k := s.Nodes[i], &s.kernels[i]
	cfg := config.Default()
	cfg.ExpectSync = []string{"all"}
	s.Start(n, func(o *core.Options) { o.Config = cfg })
	n.Core.BeginCompare()
	for _, key := range inOrder(k.flows) {
		n.Core.Merge([]flow.Flow{k.flows[key]})
	}
	n.Core.BeginCompareExpectations()
	for _, key := range inOrder(k.expect) {
		n.Core.MergeExpectations([]flow.Expectation{k.expect[key]})
	}
	n.Core.EndCompareExpectations(true)
	n.Core.EndCompare(nil)
}

func (s *sim) run() {
	for range 300 {
		s.Clock += int64(s.Rnd.IntN(30)) * int64(time.Millisecond)
		for i := range s.Nodes {
			for range s.Rnd.IntN(8) {
				s.change(i)
			}
		}
		switch s.Rnd.IntN(100) {
		case 0:
			i := s.Rnd.IntN(2)
			if s.Rnd.IntN(2) == 0 { // its table emptied while nobody listened
				clear(s.kernels[i].flows)
				clear(s.kernels[i].expect)
			}
			s.restart(i)
		case 1:
			i := s.Rnd.IntN(2)
			s.Cut[i] = !s.Cut[i]
		case 2, 3:
			s.Nodes[s.Rnd.IntN(2)].SetLink(s.Rnd.IntN(2), s.Rnd.IntN(2) == 0)
		case 4:
			s.takeover(s.Rnd.IntN(2))
		}
		s.Step()
	}
	s.Heal()
	for i, took := range s.took {
		if took { // its external cache lacks what it took, which the peer has all the same
			s.Nodes[i].Core.RequestResync()
		}
	}
	for range 600 {
		s.Clock += int64(50 * time.Millisecond)
		s.Step()
	}
	if a, b := s.sending(0), s.sending(1); a != b {
		s.T.Errorf("one sends by %s, the other by %s", a, b)
	}
	for i, n := range s.Nodes {
		if !n.Core.HasTable() {
			s.T.Errorf("node %d waits for the table that it asked for", i)
		}
	}
	s.compare(0, 1)
	s.compare(1, 0)
}

func (s *sim) sending(i int) string { return s.Nodes[i].Core.Links.Sending().Name() }

// change makes, changes or ends a flow in a node's kernel, and reports it to the node.
func (s *sim) change(i int) {
	k, c := &s.kernels[i], s.Nodes[i].Core
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.UDP, SrcPort: uint16(s.Rnd.IntN(200)), DstPort: 53,
			Src: flow.Addr{10}, Dst: flow.Addr{11},
		},
		Has:     flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark | flow.HasID,
		Timeout: 100000, Mark: s.Rnd.Uint32(), ID: s.Rnd.Uint32(),
	}
	f.Reply = f.Orig.Inverse()
	kind := ctnetlink.EventUpdate
	old, exists := k.flows[f.Orig]
	switch {
	case !exists:
		kind = ctnetlink.EventNew
		k.flows[f.Orig] = f
	case s.Rnd.IntN(2) == 0:
		kind, f.ID = ctnetlink.EventDestroy, old.ID
		delete(k.flows, f.Orig)
		s.unexpect(i, f.Orig)
	default:
		f.ID = old.ID
		k.flows[f.Orig] = f
	}
	c.Apply(coretest.Events(kind, f))
	if _, exists := k.flows[f.Orig]; exists && s.Rnd.IntN(4) == 0 {
		s.unexpect(i, f.Orig)
		if s.Rnd.IntN(3) > 0 {
			s.expect(i, f.Orig)
		}
	}
}

// takeover makes a node master: it puts the peer's flows into its kernel, and into its internal cache without an event,
// as a commit does, while packets make and end some of them. A bulk follows.
func (s *sim) takeover(i int) {
	s.took[i] = true
	k, c := &s.kernels[i], s.Nodes[i].Core
	c.BecomeRole(control.StateMaster)
	var plan []cache.Entry
	c.Peer.External.Scan(0, 1<<20, func(e *cache.Entry) bool { plan = append(plan, *e); return true })
	for _, e := range plan {
		if s.Rnd.IntN(4) == 0 {
			s.change(i)
			s.Step()
		}
		if !c.Peer.External.Load(e.Ref, &e) {
			continue
		}
		f := e.Flow
		if err := c.Own.Internal.Restored(&f, s.Clock); err != nil {
			s.T.Fatal(err)
		}
		c.Peer.External.Remove(e.Ref)
		f.Has, f.ID = f.Has|flow.HasID, s.Rnd.Uint32()
		if have, ok := k.flows[f.Orig]; ok {
			f.ID = have.ID
		}
		k.flows[f.Orig] = f
	}
	loop.Signal(c.Want.Bulk)
}

// expect makes the one expectation of a flow in a node's kernel, unexpect ends it.
func (s *sim) expect(i int, master flow.Tuple) {
	e := flow.Expectation{
		Master: master, Expect: master, Mask: flow.Tuple{Family: flow.IPv4, Proto: flow.UDP},
		Has:     flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasClass | flow.HasHelper | flow.HasID,
		Timeout: 100000, Class: s.Rnd.Uint32N(3), ID: s.Rnd.Uint32(), Helper: [16]byte{'s', 'i', 'p'},
	}
	s.kernels[i].expect[master] = e
	s.Nodes[i].Core.Apply(coretest.ExpectEvent(ctnetlink.EventExpectNew, &e))
}

func (s *sim) unexpect(i int, master flow.Tuple) {
	if e, ok := s.kernels[i].expect[master]; ok {
		delete(s.kernels[i].expect, master)
		s.Nodes[i].Core.Apply(coretest.ExpectEvent(ctnetlink.EventExpectDestroy, &e))
	}
}

func (s *sim) compare(from, to int) {
	k, c := &s.kernels[from], s.Nodes[to].Core
	have := map[flow.Tuple]uint32{}
	c.Peer.External.Scan(0, 1<<20, func(e *cache.Entry) bool {
		have[e.Flow.Orig] = e.Flow.Mark
		return true
	})
	for key, f := range k.flows {
		if mark, ok := have[key]; !ok || mark != f.Mark {
			s.T.Errorf("%v: mark %d, present %v at the peer, want mark %d", key.Source(), mark, ok, f.Mark)
		}
		delete(have, key)
	}
	if len(have) > 0 {
		s.T.Errorf("the peer keeps %d flows that are gone, e.g. %s", len(have), first(have))
	}
	held := 0
	c.Peer.Expect.Scan(0, 1<<20, func(x *cache.ExpectEntry) {
		held++
		if e, ok := k.expect[x.Expectation.Master]; !ok || e.Class != x.Expectation.Class {
			s.T.Errorf("the peer keeps an expectation that is gone: %+v", x.Expectation)
		}
	})
	if held != len(k.expect) {
		s.T.Errorf("the peer has %d of %d expectations", held, len(k.expect))
	}
}

func first(m map[flow.Tuple]uint32) string {
	for k := range m {
		return fmt.Sprint(k.Source())
	}
	return ""
}
