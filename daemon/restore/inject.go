package restore

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// injector puts blocks of the ledger into the kernel; see core's owner.go for whose is what.
type injector struct {
	placer
	block   *block
	waiting []planned // flows whose master is not in the kernel yet
	rest    int       // flows that waited and are in one of the next blocks
	taken   int       // records of the block, also those that need nothing
	now     int64     // when the block was taken
	ends    ends
	own     *kernel.Timeouts

	withdrawn withdrawn // by Withdraw
}

// ends are flows that leave the kernel.
type ends struct {
	items   []cache.Item
	kept    []flow.Flow  // what the kernel has of those that packets keep alive here
	deleted []flow.Flow  // the others that it had
	errs    []unix.Errno // what came of deleting each
}

func (e *ends) reset() { *e = ends{items: e.items[:0], kept: e.kept[:0], deleted: e.deleted[:0]} }

func (r *Restorer) newInjector() *injector {
	return &injector{
		placer: placer{Restorer: r, beside: true, scratch: newScratch()}, block: newBlock(),
		ends: ends{items: make([]cache.Item, 0, blockSize)}, own: kernel.ReadTimeouts(),
	}
}

// turn borrows the kernel for work.
func (in *injector) turn(ctx context.Context, work func(context.Context) error) error {
	return in.Kernel.With(ctx, func(k kernel.Table) error {
		in.k = k
		return work(ctx)
	})
}

// drain injects until nothing waits any more. Flows whose master is not there yet come again when the others are done;
// when that does not help any more they go without.
func (in *injector) drain(ctx context.Context) error {
	stuck := false
	for {
		n, err := in.inject(ctx, nil)
		if err != nil {
			return err
		}
		if n > 0 && len(in.waiting) < blockSize {
			stuck = false
			continue
		}
		plan := in.waiting
		if len(plan) == 0 {
			return nil
		}
		in.waiting, in.last = nil, stuck
		for from := 0; from < len(plan) && err == nil; from += blockSize {
			to := min(from+blockSize, len(plan))
			in.rest = len(plan) - to
			if _, err = in.inject(ctx, plan[from:to]); err != nil {
				in.waiting = append(in.waiting, plan[from:]...)
			}
		}
		in.rest, in.last, stuck = 0, false, len(in.waiting) >= len(plan)
		if err != nil {
			return err
		}
	}
}

// inject puts one block into the kernel: the flows of plan, or what is pending when plan is nil, and returns how many
// records it held. After an error all of them are pending again.
func (in *injector) inject(ctx context.Context, plan []planned) (n int, err error) {
	if err := in.Loop.Do(ctx, func(c *core.Core) { in.load(c, plan) }); err != nil {
		return 0, err
	}
	if len(in.block.flows)+len(in.ends.items) == 0 {
		return in.taken, nil
	}
	err = in.place(ctx, in.block)
	if err == nil {
		err = in.remove()
	}
	if e := in.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { in.note(c, err) }); err == nil {
		err = e
	}
	return in.taken, err
}

// load takes a block from the ledger.
func (in *injector) load(c *core.Core, plan []planned) {
	in.block.reset()
	in.ends.reset()
	in.now, in.taken = c.Now(), 0
	take := func(it *cache.Item) { in.take(c, it) }
	if plan == nil {
		c.Peer.External.Take(blockSize, take)
	}
	for _, p := range plan {
		c.Peer.External.TakeEntry(p.ref(), take)
	}
	c.Inject.Add(&in.block.result) // of those that need no request
	in.block.result = control.CommitResult{}
	c.BeginInjection(len(in.waiting)+in.rest, len(in.block.flows)+len(in.ends.items) > 0)
}

// take puts one record of the ledger into the block, or decides that the kernel need not be asked.
func (in *injector) take(c *core.Core, it *cache.Item) {
	in.taken++
	b, f, x := in.block, &it.Flow, c.Peer.External
	ours := c.Own.Internal.Has(&f.Orig) && !c.Yields(&f.Orig)
	if !it.Ended {
		c.Disown(&f.Orig)
		in.own.Fill(f)
	}
	switch {
	case it.Ended && ours:
		c.Inject.Counts.KeptOwn++
		x.Gone(it.Ref, &f.Orig)
		return
	case it.Ended:
		in.ends.items = append(in.ends.items, *it)
		return
	case !c.Own.Filter.PassTuples(f), !it.Settled && !c.Own.Filter.Pass(f): // what the kernel has is kept up to date
		b.result.Filtered++
		x.Unplaced(it.Ref, &f.Orig)
		return
	case wire.Uncarried(f) != "":
		b.fail(f, wire.Uncarried(f))
		c.Inject.Counts.CreateFailed++
		x.Unplaced(it.Ref, &f.Orig)
		return
	case lifetime.Expired(f, it.Updated, c.HeardOf(it.Updated), in.now):
		b.result.Expired++
		x.Rest(it.Ref, &f.Orig)
		return
	}
	prepare(c, f, it.Updated, in.now)
	if !lifetime.RunsOut(f) {
		f.Timeout = max(f.Timeout, keptAliveFloor)
	}
	first := create
	if ours {
		first = meet
	} else if it.Settled {
		first = update
	}
	b.add(f, it.Ref, first)
}

// remove deletes from the kernel what the peer ended, but not an entry that somebody else made or that packets of this
// router keep alive.
func (in *injector) remove() error {
	e := &in.ends
	if len(e.items) == 0 {
		return nil
	}
	keys, found := make([]flow.Flow, len(e.items)), make([]flow.Flow, len(e.items))
	errs := make([]unix.Errno, len(e.items))
	for i := range e.items {
		keys[i] = e.items[i].Flow
	}
	if err := in.k.GetBatch(keys, found, errs); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	for i := range e.items {
		have, it := &found[i], &e.items[i]
		switch {
		case errs[i] != 0, !have.Same(&it.Flow): // gone already, or another one
		case busy(have, it, in.now):
			e.kept = append(e.kept, *have)
		default:
			e.deleted = append(e.deleted, *have)
		}
	}
	e.errs = errs[:len(e.deleted)]
	if err := in.k.Delete(e.deleted, e.errs); err != nil {
		return fmt.Errorf("delete conntrack entries: %w", err)
	}
	return nil
}

// timerSlack is by how many seconds a timer may differ from what we set it to, for times are kept in whole seconds.
const timerSlack = 2

// longestTimer is a timer, in seconds, that every kernel sets as it was asked to: longer ones are cut to INT_MAX
// jiffies.
const longestTimer = 2_000_000

// busy reports whether the timer of a kernel's entry is not where it would be had nobody but us set it: packets pass.
func busy(have *flow.Flow, it *cache.Item, now int64) bool {
	off := int64(have.Timeout) - seconds(it, now)
	return it.Timer != 0 && it.Timer <= longestTimer && (off > timerSlack || off < -timerSlack)
}

// seconds is how long a timer of the kernel still runs that was set to it.Timer seconds at it.Set.
func seconds(it *cache.Item, now int64) int64 {
	return int64(it.Timer) - (now-it.Set)/1e9
}

// note puts what came of the block into the ledger and the counters; broken ended it all.
func (in *injector) note(c *core.Core, broken error) {
	b, x := in.block, c.Peer.External
	noteEnded(c, b.removed) // strangers that conflicted: no event reports their end
	if broken != nil {      // what was done of it is not known
		for i := range b.flows {
			x.Again(b.items[i].ref, &b.flows[i].Orig)
		}
		for i := range in.ends.items {
			x.Again(in.ends.items[i].Ref, &in.ends.items[i].Flow.Orig)
		}
		c.EndInjection(len(in.waiting)+in.rest, broken)
		return
	}
	now := c.Now()
	for i := range b.items {
		it, f := &b.items[i], &b.flows[i]
		switch {
		case it.outcome == postponed:
			in.waiting = append(in.waiting, planned(it.ref))
			continue
		case it.outcome.restored():
			x.Placed(it.ref, &f.Orig, f.Timeout, now)
			alsoOurs(c, f, now)
			continue
		case it.path == update:
			c.Inject.Counts.UpdateFailed++
		default:
			c.Inject.Counts.CreateFailed++
		}
		if it.noRoom() {
			b.fail(f, unix.ErrnoName(it.errno))
		}
		x.Refused(it.ref, &f.Orig)
	}
	in.noteEnds(c)
	c.Inject.Add(&b.result)
	if r := &b.result; r.Failed > 0 {
		c.Log().Error("flows of the peer are not in the kernel, see ctsync show statistics --detail",
			"failed", r.Failed, "why", r.Errors, "example", strings.Join(r.Named[:min(1, len(r.Named))], ""))
	}
	c.EndInjection(len(in.waiting)+in.rest, nil)
}

// alsoOurs puts what the kernel was given of a flow into the internal cache if that has it, because no event does: what
// we announce of it must not be older than what the peer announced.
func alsoOurs(c *core.Core, f *flow.Flow, now int64) {
	if _, ok := c.Own.Internal.Lookup(&f.Orig); ok {
		noteHas(c, f, now)
	}
}

func (in *injector) noteEnds(c *core.Core) {
	e := &in.ends
	for i := range e.items {
		c.Peer.External.Gone(e.items[i].Ref, &e.items[i].Flow.Orig)
	}
	c.Inject.Counts.KeptBusy += uint64(len(e.kept))
	c.Merge(e.kept) // they are ours from now on
	for i, errno := range e.errs {
		switch errno {
		case 0:
			c.Inject.Counts.Destroyed++
			noteEnded(c, e.deleted[i:i+1]) // a comparison that goes on may have seen it
		case unix.ENOENT: // ended by itself
		default:
			c.Inject.Counts.DestroyFailed++
			c.Inject.Counts.Errors.Count("not deleted: "+unix.ErrnoName(errno), 1)
		}
	}
}
