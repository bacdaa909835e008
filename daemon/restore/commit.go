package restore

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// A commit puts the external cache into the kernel, most valuable flows first. It runs in goroutines of its own; only
// reading the cache and noting the outcome happen in the loop. While the kernel is busy with one block, the loop notes
// the one before and loads the next.

// catchUp is how long a commit waits at most until the internal cache knows what has happened in the kernel.
const catchUp = time.Second

// commit is a commit in progress.
type commit struct {
	placer
	take    bool // what is dealt with leaves the cache
	again   bool // only what an earlier commit left for want of room; see Offer
	own     *kernel.Timeouts
	untimed int // flows for which the peer told no timeout
	result  control.CommitResult
	left    []flow.Tuple // for which the kernel had no room
	waiting []planned    // flows whose master may come in a later block
	planned int          // flows
	done    int          // of them, without those that wait
	home    flow.Home
	report  func(done, total int)
}

// Commit restores the flows of the external cache in the kernel and reports what became of each. With take, those that
// it dealt with leave the cache; those for which the kernel had no room stay, see Offer. progress may be nil.
func (r *Restorer) Commit(
	ctx context.Context, take bool, progress func(done, total int),
) (result control.CommitResult, err error) {
	began, err := r.commit(ctx, &commit{take: take}, &result, progress)
	if began {
		r.logCommit(&result)
	}
	return result, err
}

// Offer puts the flows into the kernel for which it had no room at a Commit, and says what became of them. This router
// serves connections meanwhile: what its kernel knows better than the peer stands.
func (r *Restorer) Offer(ctx context.Context) (result control.CommitResult, err error) {
	m := &commit{take: true, again: true}
	m.beside = true
	_, err = r.commit(ctx, m, &result, nil)
	return result, err
}

// commit runs m. began is false when ctx ended before the kernel was free.
func (r *Restorer) commit(
	ctx context.Context, m *commit, result *control.CommitResult, progress func(done, total int),
) (began bool, err error) {
	liberal := false
	if err := r.Loop.Do(ctx, func(c *core.Core) {
		c.BeginCommit() // before the kernel is waited for: nobody may empty the cache meanwhile
		liberal = !c.Config.TCPWindowTracking
	}); err != nil {
		return false, err
	}
	if r.Home != nil {
		if m.home, err = r.Home(); err != nil {
			r.Log.Error("committing without a look at this router's addresses", "err", err)
		}
	}
	report, end := r.Jobs.Start("commit", progress)
	defer end()
	defer func() {
		whole := err == nil
		if e := r.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) {
			c.EndCommit(whole || !began)
			if whole && m.take { // else some were not offered, and what waited before waits on
				c.WaitForRoom(m.left)
			}
			if began {
				c.Committed(result, m.again, whole)
			}
		}); whole {
			err = e
		}
	}()
	err = r.Kernel.With(ctx, func(k kernel.Table) error {
		began = true
		k.SetLiberal(liberal)
		m.Restorer, m.k, m.scratch, m.report = r, k, newScratch(), report
		m.result.Errors, m.own = control.Reasons{}, kernel.ReadTimeouts()
		start := time.Now()
		err := m.run(ctx)
		if m.untimed > 0 {
			r.Log.Warn("the peer told no timeout of some flows, they get this kernel's own: "+
				"take CommitTimeout out of its conntrackd.conf", "flows", m.untimed)
		}
		m.result.Duration = control.Duration(time.Since(start))
		*result = m.result
		return err
	})
	if began && err != nil {
		r.Log.Warn("commit cut short", "err", err)
	}
	return began, err
}

func (r *Restorer) logCommit(result *control.CommitResult) {
	if result.Total == 0 {
		r.Log.Warn("the commit found nothing: the external cache is empty. If the peer had flows, ctsync show status and " +
			"the log before this line say why they did not come")
		return
	}
	for _, to := range slices.Sorted(maps.Keys(result.ForeignNAT)) {
		r.Log.Warn("flows of the peer cannot work here: translate to a virtual address",
			"flows", result.ForeignNAT[to], "translated-to", to, "left-out", result.LeftOut > 0)
	}
	r.Log.Info("external cache committed", "flows", result.Total, "created", result.Created, "updated", result.Updated,
		"replaced", result.Replaced, "expired", result.Expired, "filtered", result.Filtered, "failed", result.Failed,
		"why", result.Errors, "took", result.Duration)
	if x := result.Expect; x != nil && x.Total > 0 {
		r.Log.Info("expectations committed", "expectations", x.Total, "created", x.Created, "updated", x.Updated,
			"replaced", x.Replaced, "expired", x.Expired, "failed", x.Failed, "why", x.Errors)
	}
}

func (m *commit) run(ctx context.Context) error {
	// The end of an earlier flow, reported late, would be taken for the end of one that is restored in its place.
	if done, err := core.CaughtUp(ctx, m.Loop, catchUp); err != nil {
		return err
	} else if !done {
		m.Log.Warn("events come faster than they are handled: committing before the internal cache has caught up")
	}
	makePlan := m.plan
	if m.again {
		makePlan = m.planAgain
	}
	plan, err := makePlan(ctx)
	if err != nil {
		return err
	}
	if err := m.all(ctx, plan); err != nil || m.again {
		return err
	}
	return m.expectations(ctx)
}

// all restores what is planned. Flows whose master is not there yet come again when the others are done, and once more
// as long as that helps: a master may itself be an expected flow (H.323 has chains of four).
func (m *commit) all(ctx context.Context, plan []planned) error {
	m.planned = len(plan)
	cur, other := newBlock(), newBlock()
	for len(plan) > 0 {
		if err := m.pass(ctx, plan, cur, other); err != nil {
			return err
		}
		m.last = len(m.waiting) == len(plan)
		plan, m.waiting = m.waiting, nil
	}
	return nil
}

// pass restores every flow of a plan that does not have to wait. While the kernel is busy with cur, the loop notes what
// came of other, which was there before, and loads it again.
func (m *commit) pass(ctx context.Context, plan []planned, cur, other *block) error {
	cur.reset()
	other.reset()
	for more := true; more; {
		more = len(plan) > 0 && ctx.Err() == nil
		placed := make(chan error, 1)
		go func(b *block) { placed <- m.place(context.WithoutCancel(ctx), b) }(cur)
		// What was done is noted though ctx has ended: no event reports it.
		err := m.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) {
			m.note(c, other)
			other.reset()
			if more {
				n := min(blockSize, len(plan))
				m.load(c, other, plan[:n])
				plan = plan[n:]
			}
		})
		if e := <-placed; e != nil {
			m.untried(cur)
			m.untried(other)
			return e
		}
		if err != nil {
			return err
		}
		cur, other = other, cur
		m.report(m.done, m.planned)
	}
	if err := m.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { m.note(c, other) }); err != nil {
		return err
	}
	m.report(m.done, m.planned)
	return ctx.Err()
}

// load fills a block from the cache. An entry that went away since the plan was made is no longer wanted.
func (m *commit) load(c *core.Core, b *block, plan []planned) {
	now := c.Now()
	var e, known cache.Entry
	for _, p := range plan {
		if !c.Peer.External.Load(p.ref(), &e) {
			continue
		}
		b.result.Total++
		f := &e.Flow
		if !f.Has.Is(flow.HasTimeout) {
			m.untimed++
		}
		m.own.Fill(f)
		reason := wire.Uncarried(f)
		switch {
		case !c.Own.Filter.Pass(f):
			b.result.Filtered++
			m.drop(c, p.ref())
		case reason != "":
			b.fail(f, reason)
			m.drop(c, p.ref())
		case lifetime.Expired(f, e.Updated, c.HeardOf(e.Updated), now):
			b.result.Expired++
			m.drop(c, p.ref())
		case !c.Config.RestoreForeignNAT && m.strays(b, f):
			b.result.LeftOut++
			m.drop(c, p.ref())
		default:
			prepare(c, f, e.Updated, now)
			first := m.choose(c, b, f, &known)
			b.add(f, p.ref(), first)
		}
	}
}

// strays counts a flow that is translated to an address of another router, and reports whether it is.
func (m *commit) strays(b *block, f *flow.Flow) bool {
	at, device, foreign := m.home.Foreign(f)
	if foreign {
		b.result.ForeignNAT.Count(control.ForeignNAT(f, at, device), 1)
	}
	return foreign
}

// note puts what came of a block into the caches and the result.
func (m *commit) note(c *core.Core, b *block) {
	now := c.Now()
	noteEnded(c, b.removed)
	for i := range b.items {
		if i%cache.PrefetchMost == 0 {
			c.Own.Internal.Prefetch(b.flows[i:])
			c.Peer.External.Prefetch(b.flows[i:])
		}
		it, f := &b.items[i], &b.flows[i]
		if it.outcome == postponed {
			m.waiting = append(m.waiting, planned(it.ref))
			b.result.Total--
			continue
		}
		if it.noRoom() && m.take {
			b.result.NoRoom++ // it stays, and is offered again
			m.left = append(m.left, f.Orig)
			continue
		}
		if it.noRoom() {
			b.fail(f, unix.ErrnoName(it.errno))
		}
		m.leave(c, it.ref, f)
		if it.outcome.restored() {
			noteHas(c, f, now)
			m.strays(b, f)
		}
	}
	m.done += int(b.result.Total)
	m.result.Add(&b.result)
}

// untried counts what load decided about a block. What came of its flows is not known: they stay in the cache.
func (m *commit) untried(b *block) {
	r := &b.result
	m.result.Add(&control.CommitResult{
		Total: r.Total - uint64(len(b.items)), Filtered: r.Filtered, Expired: r.Expired, Failed: r.Failed,
		Errors: r.Errors, Named: r.Named, LeftOut: r.LeftOut, ForeignNAT: r.ForeignNAT,
	})
}

// leave removes the entry that f came from, unless it ended meanwhile and another flow, which nobody has restored yet,
// has its place.
func (m *commit) leave(c *core.Core, ref cache.Ref, f *flow.Flow) {
	var e cache.Entry
	if m.take && c.Peer.External.Load(ref, &e) && e.Flow.Orig == f.Orig {
		m.drop(c, ref)
	}
}

func (m *commit) drop(c *core.Core, ref cache.Ref) {
	if m.take {
		c.Peer.External.Remove(ref)
	}
}
