package upkeep_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/job"
	"ctsync/daemon/loop"
	"ctsync/daemon/upkeep"
)

// TestBulkWaitsForThePeer: while the peer does not answer nothing is announced. A peer that restarted meanwhile gets
// the whole table, once; one that was merely not heard gets the rest.
func TestBulkWaitsForThePeer(t *testing.T) {
	const n = 5 * loop.SliceSize
	for _, restart := range []bool{true, false} {
		s := coretest.NewSim(t, 1, 2)
		s.Loss = 0
		a, b := s.Nodes[0], s.Nodes[1]
		cfg := config.Default()
		cfg.StartupResync = false
		quiet := func(o *core.Options) { o.Config = cfg }
		for _, node := range s.Nodes {
			s.Start(node, quiet)
			node.Core.BeginCompare()
			node.Core.EndCompare(nil)
		}
		run := func(steps int) {
			for range steps {
				s.Clock += int64(50 * time.Millisecond)
				s.Step()
			}
		}
		for i := range n {
			a.Core.Apply(coretest.Events(ctnetlink.EventNew, coretest.Flow(i)))
		}
		run(100)
		s.Cut = [2]bool{true, true}
		run(100)
		before := sent(a.Core) + sentUpdates(a.Core)
		a.Core.WantBulk()
		run(10)
		if got := a.Core.Own.Internal.Dirty(); got != 0 {
			t.Errorf("%d flows wait for a peer that does not answer", got)
		}
		if restart {
			s.Start(b, quiet)
		}
		s.Cut = [2]bool{}
		run(200)
		if got := b.Core.Peer.External.Len(); got != n {
			t.Errorf("restarted %v: the peer has %d of %d flows", restart, got, n)
		}
		if got := sent(a.Core) + sentUpdates(a.Core) - before; got != n {
			t.Errorf("restarted %v: %d flows were announced %d times", restart, n, got)
		}
	}
}

// TestBulkOfAPeerThatRestarts: a peer asks for our table and restarts while it is sent. It asks again, and is answered.
func TestBulkOfAPeerThatRestarts(t *testing.T) {
	const n = 20 * loop.SliceSize
	s := coretest.NewSim(t, 1, 3)
	s.Loss = 0
	a, b := s.Nodes[0], s.Nodes[1]
	for _, node := range s.Nodes {
		s.Start(node)
		node.Core.BeginCompare()
		node.Core.EndCompare(nil)
	}
	run := func(steps int) {
		for range steps {
			s.Clock += int64(50 * time.Millisecond)
			s.Step()
		}
	}
	run(100)
	for i := range n {
		a.Core.Apply(coretest.Events(ctnetlink.EventNew, coretest.Flow(i)))
	}
	run(100)
	restart := func() {
		s.Start(b)
		b.Core.BeginCompare()
		b.Core.EndCompare(nil)
	}
	restart()
	for a.Core.Own.Internal.Dirty() == 0 {
		run(1)
	}
	if got := b.Core.Peer.External.Len(); got == n || b.Core.HasTable() {
		t.Fatalf("the bulk is over: the peer has %d of %d flows", got, n)
	}
	restart()
	run(300)
	if got := b.Core.Peer.External.Len(); got != n || !b.Core.HasTable() {
		t.Errorf("the peer has %d of %d flows, its request is answered: %v", got, n, b.Core.HasTable())
	}
	if why := a.Core.Why(); len(why) > 0 {
		t.Errorf("not in step: %q", why)
	}
}

// TestBulkThatIsCutShort: an operator interrupts a bulk that was about to answer the peer. The peer gets its answer.
func TestBulkThatIsCutShort(t *testing.T) {
	const n = 20 * loop.SliceSize
	s := coretest.NewSim(t, 1, 4)
	s.Loss = 0
	a, b := s.Nodes[0], s.Nodes[1]
	var in *loop.Inbox[*core.Core]
	s.Start(a, coretest.Inbox(t), func(o *core.Options) { in = o.Inbox })
	s.Start(b)
	run := func(steps int) {
		for range steps {
			s.Clock += int64(50 * time.Millisecond)
			s.Step()
		}
	}
	a.Core.BeginCompare() // until the comparison has ended, a sends no bulk by itself
	for i := range n {
		a.Core.Apply(coretest.Events(ctnetlink.EventNew, coretest.Flow(i)))
	}
	run(100)
	ctx, interrupt := context.WithCancel(t.Context())
	u := &upkeep.Upkeep{Loop: in, Jobs: &job.List{}, Log: slog.New(slog.DiscardHandler)}
	err := coretest.Drive(a.Core, in, func() error { return u.Bulk(ctx, func(int, int) { interrupt() }) })
	if !errors.Is(err, context.Canceled) || b.Core.HasTable() {
		t.Fatalf("not cut short: %v", err)
	}
	a.Core.EndCompare(nil)
	run(300)
	if got := b.Core.Peer.External.Len(); got != n || !b.Core.HasTable() {
		t.Errorf("the peer has %d of %d flows, its request is answered: %v", got, n, b.Core.HasTable())
	}
}
