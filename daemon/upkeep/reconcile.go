package upkeep

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// A comparison reads the kernel's table and repairs what differs in the internal cache. It runs at the start, after
// lost events, and every sweep-interval, because some changes raise no event at all: the end of a flow older than its
// first listener (nf_conntrack_events = 2), sequence adjustments by a NAT helper, and everything when
// nf_conntrack_events = 0.

// pollInterval is how often the kernel is compared while it raises no events.
const pollInterval = 2 * time.Second

// What periodic comparisons may cost: one that took d is followed by at least sweepRest*d of rest, or pollRest*d where
// polling is all there is.
const (
	sweepRest = 200
	pollRest  = 20
)

// RunCompare compares on demand and periodically until ctx ends.
func (u *Upkeep) RunCompare(ctx context.Context, wanted <-chan struct{}) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wanted:
		case <-timer.C:
		}
		began := time.Now()
		if err := u.Compare(ctx); err != nil && ctx.Err() == nil {
			u.Log.Error("comparing the internal cache with the kernel failed, trying again", "err", err)
			timer.Reset(pollInterval)
			continue
		}
		timer.Reset(u.pause(time.Since(began)))
	}
}

// pause returns the time until the next periodic comparison and complains when the kernel raises no events.
func (u *Upkeep) pause(took time.Duration) time.Duration {
	off := kernel.Sysctl("nf_conntrack_events") == 0
	if off != u.eventsOff.Swap(off) {
		if off {
			u.Log.Error("the kernel raises no conntrack events: set net.netfilter.nf_conntrack_events to 1 or 2; "+
				"until then its table is polled", "interval", pollInterval)
		} else {
			u.Log.Info("the kernel raises conntrack events again")
		}
	}
	if off {
		return max(pollInterval, pollRest*took)
	}
	return max(u.Interval(), sweepRest*took)
}

// Compare does one comparison.
func (u *Upkeep) Compare(ctx context.Context) error {
	return u.Kernel.With(ctx, func(k kernel.Table) error {
		_, end := u.Jobs.Start("compare with kernel", nil)
		defer end()
		return u.compare(ctx, k)
	})
}

func (u *Upkeep) compare(ctx context.Context, k kernel.Table) error {
	if err := u.Loop.Do(ctx, func(c *core.Core) {
		c.SetLimits(u.Limits()) // nf_conntrack_max may have changed
		c.BeginCompare()
	}); err != nil {
		return err
	}
	err := u.mergeDump(ctx, k)
	if err == nil {
		err = u.settleStale(ctx, k)
	}
	if err == nil {
		err = u.compareExpectations(ctx, k)
	}
	repaired := uint64(0)
	if e := u.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { repaired = c.EndCompare(err) }); e != nil {
		return e
	}
	if repaired > 0 {
		u.Log.Info("internal cache repaired from the kernel's table", "differences", repaired)
	}
	return err
}

// mergeDump merges a whole dump into the internal cache, a slice at a time. While the loop merges one slice, the next
// one is read from the kernel.
func (u *Upkeep) mergeDump(ctx context.Context, k kernel.Table) error {
	m := merger{u: u, ctx: ctx, slice: newSlice(), spare: newSlice(), merged: make(chan error, 1)}
	m.merged <- nil // no slice is with the loop yet
	for range 3 {   // a dump interrupted by a resize of the kernel's hash may have missed entries
		interrupted, err := k.Dump(0, m.add)
		if err == nil {
			err = m.flush()
		}
		if e := m.wait(); err == nil {
			err = e
		}
		if err != nil {
			return fmt.Errorf("dump conntrack table: %w", err)
		}
		if !interrupted {
			return nil
		}
	}
	u.Log.Warn("the kernel's table changed its size during each dump, comparing again")
	return u.Loop.Do(ctx, func(c *core.Core) { loop.Signal(c.Want.Reconcile) })
}

// merger hands slices of a dump to the loop. One is with the loop while another is filled.
type merger struct {
	u            *Upkeep
	ctx          context.Context // of the one comparison that it serves
	slice, spare []flow.Flow
	merged       chan error // what came of the slice that is with the loop
}

func newSlice() []flow.Flow { return make([]flow.Flow, 0, loop.SliceSize) }

// add takes a flow of the dump.
func (m *merger) add(f *flow.Flow) error {
	if m.slice = append(m.slice, *f); len(m.slice) < cap(m.slice) {
		return nil
	}
	return m.flush()
}

// flush hands the slice to the loop when that is done with the one before.
func (m *merger) flush() error {
	if err := <-m.merged; err != nil {
		m.merged <- nil // for wait
		return err
	}
	full := m.slice
	m.slice, m.spare = m.spare[:0], full
	go func() { m.merged <- m.u.Loop.Do(m.ctx, func(c *core.Core) { c.Merge(full) }) }()
	return nil
}

// wait returns when the loop has merged everything, and what came of the last slice.
func (m *merger) wait() error {
	err := <-m.merged
	m.merged <- nil
	return err
}

// stalePasses bounds how often entries are looked up that events and look-ups disagree about while they change.
const stalePasses = 5

// settleStale asks the kernel for each flow that was in the cache but not in the dump, and ends those it does not have:
// a dump alone is no proof of absence. What it does have is taken as it is now; where an event contradicts that
// meanwhile, the kernel is asked again.
func (u *Upkeep) settleStale(ctx context.Context, k kernel.Table) error {
	const n = loop.SliceSize / 4
	s := &stale{
		entries: make([]cache.Entry, n), keys: make([]flow.Flow, n), found: make([]flow.Flow, n), errs: make([]unix.Errno, n),
	}
	for range stalePasses {
		again, err := u.stalePass(ctx, k, s)
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// stale holds a slice of stale entries and what the kernel says of them.
type stale struct {
	entries     []cache.Entry
	keys, found []flow.Flow
	errs        []unix.Errno
}

// stalePass looks up every stale entry once. again says that the kernel had some of them.
func (u *Upkeep) stalePass(ctx context.Context, k kernel.Table, s *stale) (again bool, err error) {
	n := 0
	err = loop.SlicesThen(ctx, u.Loop, func(c *core.Core, from cache.Ref) (next cache.Ref) {
		n, next = c.StaleFrom(from, loop.SliceSize, s.entries)
		return next
	}, func() error {
		if n == 0 {
			return nil
		}
		for i := range n {
			s.keys[i] = s.entries[i].Flow
		}
		if err := k.GetBatch(s.keys[:n], s.found[:n], s.errs[:n]); err != nil {
			return fmt.Errorf("look up conntrack entries: %w", err)
		}
		return u.Loop.Do(ctx, func(c *core.Core) { again = c.Settle(s.keys[:n], s.found[:n], s.errs[:n]) || again })
	})
	return again, err
}
