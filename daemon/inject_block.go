package daemon

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// injector puts blocks of the ledger into the kernel; what it does with a block is a commit's work. Its arrays are reused.
type injector struct {
	*commitment
	taken   int          // records of the block, also those that need nothing
	ended   []cache.Item // that leave the kernel
	kept    []flow.Flow  // of them: what the kernel has of those that packets keep alive here
	deleted []unix.Errno // what came of the others
	now     int64        // when the block was taken
}

func newInjector(d *Daemon) *injector {
	in := &injector{commitment: newCommitment(d, nil), ended: make([]cache.Item, 0, commitBlock)}
	in.beside = true
	return in
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
		if n > 0 && len(in.waiting) < commitBlock {
			stuck = false
			continue
		}
		plan := in.waiting
		if len(plan) == 0 {
			return nil
		}
		in.waiting, in.last = nil, stuck
		for from := 0; from < len(plan) && err == nil; from += commitBlock {
			if _, err = in.inject(ctx, plan[from:min(from+commitBlock, len(plan))]); err != nil {
				in.waiting = append(in.waiting, plan[from:]...)
			}
		}
		in.last, stuck = false, len(in.waiting) >= len(plan)
		if err != nil {
			return err
		}
	}
}

// inject puts one block into the kernel: the flows of plan, or what is pending when plan is nil, and returns how many
// records it held. After an error all of them are pending again.
func (in *injector) inject(ctx context.Context, plan []planned) (n int, err error) {
	if err := in.d.do(ctx, func(c *core) { in.load(c, plan) }); err != nil {
		return 0, err
	}
	if len(in.flows)+len(in.ended) == 0 {
		return in.taken, nil
	}
	errs, err := in.place(ctx)
	if err == nil {
		err = in.remove()
	}
	if e := in.d.do(context.WithoutCancel(ctx), func(c *core) { in.note(c, errs, err) }); err == nil {
		err = e
	}
	return in.taken, err
}

// load takes a block from the ledger.
func (in *injector) load(c *core, plan []planned) {
	in.flows, in.from, in.removed = in.flows[:0], in.from[:0], in.removed[:0]
	in.ended, in.kept, in.deleted = in.ended[:0], in.kept[:0], nil
	clear(in.result.Errors)
	in.result = control.CommitResult{Errors: in.result.Errors}
	in.now, in.taken = c.now(), 0
	take := func(it *cache.Item) { in.take(c, it) }
	if plan == nil {
		c.external.Take(commitBlock, take)
	}
	for _, p := range plan {
		c.external.TakeEntry(p.ref(), take)
	}
	c.inject.addInjected(&in.result) // of those that need no request
	clear(in.result.Errors)
	in.result = control.CommitResult{Errors: in.result.Errors}
	c.inject.waiting = len(in.waiting)
	c.inject.busy = len(in.flows)+len(in.ended) > 0
	c.restInjection()
}

// take puts one record of the ledger into the block, or decides that the kernel need not be asked.
func (in *injector) take(c *core, it *cache.Item) {
	in.taken++
	f, x := &it.Flow, c.external
	ours := c.internal.Has(&f.Orig) && !c.yields(&f.Orig)
	if !it.Ended {
		c.disown(&f.Orig)
	}
	switch {
	case it.Ended && ours:
		c.inject.counts.KeptOwn++
		x.Gone(it.Ref, &f.Orig)
		return
	case it.Ended:
		in.ended = append(in.ended, *it)
		return
	case !c.filter.Pass(&f.Orig):
		in.result.Filtered++
		x.Unplaced(it.Ref, &f.Orig)
		return
	case wire.Uncarried(f) != "":
		in.lost(f, wire.Uncarried(f))
		c.inject.counts.CreateFailed++
		x.Unplaced(it.Ref, &f.Orig)
		return
	case lifetime.Expired(f, it.Updated, c.peer.heard, in.now):
		in.result.Expired++
		x.Rest(it.Ref, &f.Orig)
		return
	}
	c.prepare(f, it.Updated, in.now)
	if !lifetime.RunsOut(f) {
		f.Timeout = max(f.Timeout, keptAliveFloor)
	}
	way := wayCreate
	if ours {
		way = wayMeet
	} else if it.Settled {
		way = wayUpdate
	}
	in.flows, in.from = append(in.flows, *f), append(in.from, way|planned(it.Ref))
}

// remove deletes from the kernel what the peer ended, but not an entry that somebody else made or that packets of this
// router keep alive.
func (in *injector) remove() error {
	n := len(in.ended)
	if n == 0 {
		return nil
	}
	in.sub = in.sub[:0]
	for i := range in.ended {
		in.sub = append(in.sub, in.ended[i].Flow)
	}
	if err := in.k.GetBatch(in.sub, in.found[:n], in.subErrs[:n]); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	in.sub = in.sub[:0]
	for i := range in.ended {
		have, it := &in.found[i], &in.ended[i]
		switch {
		case in.subErrs[i] != 0, !have.Same(&it.Flow): // gone already, or another one
		case busy(have, it, in.now):
			in.kept = append(in.kept, *have)
		default:
			in.sub = append(in.sub, *have)
		}
	}
	in.deleted = in.subErrs[:len(in.sub)]
	if err := in.k.Delete(in.sub, in.deleted); err != nil {
		return fmt.Errorf("delete conntrack entries: %w", err)
	}
	return nil
}

// timerSlack is by how many seconds a timer may differ from what we set it to, for times are kept in whole seconds.
const timerSlack = 2

// longestTimer is a timer, in seconds, that every kernel sets as it was told: longer ones are cut to INT_MAX jiffies.
const longestTimer = 2_000_000

// busy reports whether the timer of a kernel's entry is not where it would be had nobody but us set it: packets pass.
func busy(have *flow.Flow, it *cache.Item, now int64) bool {
	off := int64(have.Timeout) - seconds(it, now)
	return it.Life != 0 && it.Life <= longestTimer && (off > timerSlack || off < -timerSlack)
}

// note puts what came of the block into the ledger and the counters. errs belongs to the flows, err ends it all.
func (in *injector) note(c *core, errs []unix.Errno, err error) {
	c.inject.busy, c.inject.waiting, c.inject.err = false, len(in.waiting), err
	now := c.now()
	for i := range in.removed { // strangers that were in the way: no event tells of their end
		c.internal.Destroy(&in.removed[i], now)
	}
	if err != nil { // what was done of it is not known
		for i := range in.flows {
			c.external.Again(in.from[i].ref(), &in.flows[i].Orig)
		}
		for i := range in.ended {
			c.external.Again(in.ended[i].Ref, &in.ended[i].Flow.Orig)
		}
		return
	}
	for i := range in.flows {
		ref, key := in.from[i].ref(), &in.flows[i].Orig
		switch {
		case errs[i] == 0:
			c.external.Placed(ref, key, in.flows[i].Timeout, now)
			c.alsoOurs(&in.flows[i], now)
			continue
		case in.from[i]&wayMask == wayUpdate:
			c.inject.counts.UpdateFailed++
		default:
			c.inject.counts.CreateFailed++
		}
		c.external.Refused(ref, key)
	}
	in.noteEnds(c)
	c.inject.addInjected(&in.result)
	if in.result.Failed > 0 {
		c.complainRefused(&in.result)
	}
	c.restInjection()
}

// alsoOurs puts what the kernel was told of a flow into the internal cache if that has it, because no event does: what we
// tell the peer of it must not be older than what it told us.
func (c *core) alsoOurs(f *flow.Flow, now int64) {
	if _, ok := c.internal.Lookup(&f.Orig); !ok {
		return
	}
	if err := c.internal.Restored(f, now); err != nil {
		c.refused("internal", &c.sync.internalFull, err)
	}
}

func (in *injector) noteEnds(c *core) {
	for i := range in.ended {
		c.external.Gone(in.ended[i].Ref, &in.ended[i].Flow.Orig)
	}
	c.inject.counts.KeptBusy += uint64(len(in.kept))
	c.reconcileSlice(in.kept) // they are ours from now on
	for i, e := range in.deleted {
		switch e {
		case 0:
			c.inject.counts.Destroyed++
			c.internal.Destroy(&in.sub[i], c.now()) // a comparison that goes on may have seen it
		case unix.ENOENT: // ended by itself
		default:
			c.inject.counts.DestroyFailed++
			c.inject.counts.Errors.Count("not deleted: "+unix.ErrnoName(e), 1)
		}
	}
}

// complainRefused says, not too often, that the kernel refuses flows of the peer.
func (c *core) complainRefused(r *control.CommitResult) {
	now := c.now()
	if at, before := c.complained["kernel"]; before && now-at < complainEvery {
		return
	}
	c.complained["kernel"] = now
	c.log.Error("flows of the peer are not in the kernel, see ctsync show statistics --detail", "failed", r.Failed, "why", r.Errors, "example", strings.Join(r.Named[:min(1, len(r.Named))], ""))
}
