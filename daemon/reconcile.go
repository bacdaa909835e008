package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// A reconcile compares the internal cache with a dump of the kernel's table and repairs the difference. It runs at the
// start, after lost events, and every sweep-interval, because some changes raise no event at all: the end of a flow
// older than its first listener (nf_conntrack_events = 2), sequence adjustments by a NAT helper, and everything when
// nf_conntrack_events = 0.

// pollInterval is how often the kernel is compared while it raises no events.
const pollInterval = 2 * time.Second

// What periodic comparisons may cost: one that took d is followed by at least sweepRest*d of rest, or pollRest*d where
// polling is all there is.
const (
	sweepRest = 200
	pollRest  = 20
)

// runReconciler is the task that compares on demand and periodically.
func (d *Daemon) runReconciler(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.core.wantReconcile:
		case <-timer.C:
		}
		began := time.Now()
		if err := d.reconcile(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("comparing the internal cache with the kernel failed, trying again", "err", err)
			timer.Reset(pollInterval)
			continue
		}
		timer.Reset(d.nextSweep(time.Since(began)))
	}
}

// nextSweep returns the pause until the next periodic comparison and complains when the kernel raises no events.
func (d *Daemon) nextSweep(took time.Duration) time.Duration {
	off := sysctl("nf_conntrack_events") == 0
	if off != d.eventsOff.Swap(off) {
		if off {
			d.log.Error("the kernel raises no conntrack events: set net.netfilter.nf_conntrack_events to 1 or 2; until then its table is polled", "interval", pollInterval)
		} else {
			d.log.Info("the kernel raises conntrack events again")
		}
	}
	if off {
		return max(pollInterval, pollRest*took)
	}
	return max(time.Duration(d.sweepInterval.Load()), sweepRest*took)
}

// reconcile does one comparison.
func (d *Daemon) reconcile(ctx context.Context) error {
	k, err := d.dumper.take(ctx)
	if err != nil {
		return err
	}
	defer d.dumper.give(k)
	_, end := d.jobs.start("compare with kernel", nil)
	defer end()
	var repaired, overruns uint64
	if err := d.do(ctx, func(c *core) {
		limit := cacheLimit(c.cfg) // nf_conntrack_max may have changed
		c.internal.SetLimit(limit)
		c.external.SetLimit(limit)
		c.expect.internal.SetLimit(expectLimit())
		c.expect.external.SetLimit(expectLimit())
		c.sync.internalFull = false
		c.internal.BeginReconcile()
		repaired, overruns = c.counts.repaired, c.counts.overruns
	}); err != nil {
		return err
	}
	err = d.reconcileDump(ctx, k)
	if err == nil {
		err = d.reconcileStale(ctx, k)
	}
	if err == nil {
		err = d.reconcileExpectations(ctx, k)
	}
	if e := d.do(context.WithoutCancel(ctx), func(c *core) {
		overflow := c.internal.EndReconcile()
		if errors.Is(err, ctnetlink.ErrMalformed) {
			c.counts.malformedRecords++
		}
		if err != nil {
			return
		}
		repaired = c.counts.repaired - repaired
		d.reconcileDone(c, overflow, overruns)
	}); e != nil {
		return e
	}
	if err == nil && repaired > 0 {
		d.log.Info("internal cache repaired from the kernel's table", "differences", repaired)
	}
	return err
}

// reconcileDone notes a complete comparison. One during which more flows ended than the cache can remember may have
// brought some of them back, so another one follows; one that was overtaken by an overrun proves nothing yet.
func (d *Daemon) reconcileDone(c *core, overflow bool, overruns uint64) {
	c.counts.repairs++
	if overflow {
		signal(c.wantReconcile)
	}
	c.sync.suspect = overflow || c.counts.overruns != overruns
	if !c.sync.reconciled {
		c.sync.reconciled = true
		close(d.reconciled)
	}
}

// reconcileDump merges a whole dump into the internal cache, a slice at a time.
func (d *Daemon) reconcileDump(ctx context.Context, k kernel) error {
	slice := make([]flow.Flow, 0, sliceSize/2)
	flush := func() error {
		err := d.do(ctx, func(c *core) { c.reconcileSlice(slice) })
		slice = slice[:0]
		return err
	}
	for range 3 { // a dump interrupted by a resize of the kernel's hash may have missed entries
		interrupted, err := k.Dump(0, func(f *flow.Flow) error {
			slice = append(slice, *f)
			if len(slice) == cap(slice) {
				return flush()
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("dump conntrack table: %w", err)
		}
		if err := flush(); err != nil {
			return err
		}
		if !interrupted {
			return nil
		}
	}
	d.log.Warn("the kernel's table changed its size during each dump, comparing again")
	signal(d.core.wantReconcile)
	return nil
}

func (c *core) reconcileSlice(flows []flow.Flow) {
	now := c.now()
	for i := range flows {
		if i%cache.PrefetchMost == 0 {
			c.internal.Prefetch(flows[i:])
		}
		f := &flows[i]
		if !c.filter.Pass(&f.Orig) || c.external.Injected(&f.Orig) && !c.internal.Has(&f.Orig) {
			continue
		}
		changed, err := c.internal.Reconcile(f, now)
		if err != nil {
			c.refused("internal", &c.sync.internalFull, err)
		}
		if changed && c.sync.reconciled {
			c.counts.repaired++
		}
	}
}

// stalePasses bounds how often entries are looked up that events and look-ups disagree about while they change.
const stalePasses = 5

// reconcileStale asks the kernel for each flow that was in the cache but not in the dump, and ends those it does not
// have: a dump alone is no proof of absence. What it does have is taken as it is now; where an event contradicts that
// meanwhile, the kernel is asked again.
func (d *Daemon) reconcileStale(ctx context.Context, k kernel) error {
	s := &staleReader{
		entries: make([]cache.Entry, sliceSize/4), keys: make([]flow.Flow, sliceSize/4),
		found: make([]flow.Flow, sliceSize/4), errs: make([]unix.Errno, sliceSize/4),
	}
	for range stalePasses {
		again, err := d.stalePass(ctx, k, s)
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// staleReader holds a slice of stale entries and what the kernel says of them.
type staleReader struct {
	entries     []cache.Entry
	keys, found []flow.Flow
	errs        []unix.Errno
}

// stalePass looks up every stale entry once. again says that the kernel had some of them.
func (d *Daemon) stalePass(ctx context.Context, k kernel, s *staleReader) (again bool, err error) {
	for from, more := cache.Ref(0), true; more; {
		n := 0
		if err := d.do(ctx, func(c *core) {
			n, from = c.internal.Stale(from, sliceSize, s.entries)
			n = c.evictStale(s.entries[:n])
			more = from != 0
		}); err != nil {
			return false, err
		}
		if n == 0 {
			continue
		}
		for i := range n {
			s.keys[i] = s.entries[i].Flow
		}
		if err := k.GetBatch(s.keys[:n], s.found[:n], s.errs[:n]); err != nil {
			return false, fmt.Errorf("look up conntrack entries: %w", err)
		}
		if err := d.do(ctx, func(c *core) { again = c.settleStale(s, n) || again }); err != nil {
			return false, err
		}
	}
	return again, nil
}

// renewed reports whether the cache has an entry that the kernel told of, in place of one without an ID, which a commit
// made: the kernel was asked about that one.
func (c *core) renewed(key *flow.Tuple) bool {
	ref, known := c.internal.Lookup(key)
	return known && c.internal.Load(ref, &c.scratch) && c.scratch.Flow.Has.Is(flow.HasID)
}

// settleStale puts what the kernel said of n stale entries into the cache and reports whether it had any of them.
func (c *core) settleStale(s *staleReader, n int) (had bool) {
	for i := range n {
		switch {
		case !s.keys[i].Has.Is(flow.HasID) && c.renewed(&s.keys[i].Orig):
		case s.errs[i] == unix.ENOENT, s.errs[i] == 0 && s.found[i].Orig != s.keys[i].Orig: // or only as another's reply tuple
			c.internal.Destroy(&s.keys[i], c.now())
			c.counts.repaired++
		case s.errs[i] == 0:
			c.reconcileSlice(s.found[i : i+1])
			had = true
		}
	}
	return had
}
