package daemon

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// A commit puts the external cache into the kernel: most valuable flows first, in blocks of commitBlock creates per
// request. It runs in a goroutine of its own; only reading the cache and noting the outcome happen in the core loop. What
// is done with a block is the same where the peer's flows go into the kernel at once; see inject.go.

// commitBlock is how many flows travel in one request: beyond it the kernel gains nothing.
const commitBlock = 500

// catchUp is how long a commit waits at most until the internal cache knows what has happened in the kernel.
const catchUp = time.Second

// commitment is a commit in progress. Its arrays are reused for every block.
type commitment struct {
	d      *Daemon
	k      kernel
	take   bool // what is dealt with leaves the cache
	beside bool // this kernel serves connections too: what it knows better than the peer stands
	result control.CommitResult

	from  []planned // where each of flows comes from, and its way
	flows []flow.Flow
	errs  []unix.Errno

	waiting []planned // flows that the kernel refused for want of their master, which may come in a later block
	last    bool      // no master will come any more

	// The subset of a block that needs a second look.
	sub     []flow.Flow
	at      []int // index in flows of each of sub
	found   []flow.Flow
	subErrs []unix.Errno

	removed []flow.Flow // entries of the kernel that the block deleted: their end raises no event here
}

// commit restores the flows of the external cache in the kernel and tells what became of each. With take, those that it
// dealt with leave the cache. progress may be nil.
func (d *Daemon) commit(ctx context.Context, take bool, progress func(done, total int)) (control.CommitResult, error) {
	k, err := d.committer.take(ctx)
	if err != nil {
		return control.CommitResult{}, err
	}
	defer d.committer.give(k)
	report, end := d.jobs.start("commit", progress)
	defer end()
	began := time.Now()
	m := newCommitment(d, k)
	m.take = take
	if err := d.do(ctx, func(c *core) { k.SetLiberal(!c.cfg.TCPWindowTracking) }); err != nil {
		return m.result, err
	}
	// The end of an earlier flow, told late, would be taken for the end of one that is restored in its place.
	if done, err := d.caughtUp(ctx, catchUp); err != nil {
		return m.result, err
	} else if !done {
		d.log.Warn("events come faster than they are handled: committing before the internal cache has caught up")
	}
	plan, err := d.commitPlan(ctx)
	m.result.Total = uint64(len(plan))
	if err == nil {
		err = m.all(ctx, plan, report)
	}
	if err == nil {
		err = m.expectations(ctx)
	}
	if err != nil {
		d.log.Warn("commit cut short", "err", err)
		signal(d.core.wantReconcile) // what the last block did is not known
	}
	m.result.Duration = control.Duration(time.Since(began))
	if e := d.do(context.WithoutCancel(ctx), func(c *core) {
		c.totals.Add(&m.result)
		if err == nil {
			c.took.commit.observe(int64(m.result.Duration))
		}
	}); err == nil {
		err = e
	}
	d.log.Info("external cache committed", "flows", m.result.Total, "created", m.result.Created, "updated", m.result.Updated,
		"replaced", m.result.Replaced, "expired", m.result.Expired, "filtered", m.result.Filtered, "failed", m.result.Failed, "why", m.result.Errors, "took", m.result.Duration)
	if x := m.result.Expect; x != nil && x.Total > 0 {
		d.log.Info("expectations committed", "expectations", x.Total, "created", x.Created, "updated", x.Updated,
			"replaced", x.Replaced, "expired", x.Expired, "failed", x.Failed, "why", x.Errors)
	}
	return m.result, err
}

func newCommitment(d *Daemon, k kernel) *commitment {
	return &commitment{
		d: d, k: k, result: control.CommitResult{Errors: control.Reasons{}},
		from:    make([]planned, 0, commitBlock),
		flows:   make([]flow.Flow, 0, commitBlock),
		errs:    make([]unix.Errno, commitBlock),
		sub:     make([]flow.Flow, 0, commitBlock),
		at:      make([]int, 0, commitBlock),
		found:   make([]flow.Flow, commitBlock),
		subErrs: make([]unix.Errno, commitBlock),
	}
}

// all restores what is planned. Flows whose master is not there yet come again when the others are done, and once more as
// long as that helps: a master may itself be an expected flow (H.323 has chains of four).
func (m *commitment) all(ctx context.Context, plan []planned, report func(done, total int)) error {
	total := len(plan)
	for len(plan) > 0 {
		for from := 0; from < len(plan); from += commitBlock {
			to := min(from+commitBlock, len(plan))
			if err := m.block(ctx, plan[from:to]); err != nil {
				return err
			}
			report(total-len(plan)+to-len(m.waiting), total)
		}
		m.last = len(m.waiting) == len(plan)
		plan, m.waiting = m.waiting, nil
	}
	return nil
}

// block restores one block.
func (m *commitment) block(ctx context.Context, plan []planned) error {
	m.flows, m.from, m.removed = m.flows[:0], m.from[:0], m.removed[:0]
	if err := m.d.do(ctx, func(c *core) { m.load(c, plan) }); err != nil {
		return err
	}
	if len(m.flows) == 0 {
		return nil
	}
	errs, err := m.place(ctx)
	if err != nil {
		return err
	}
	return m.d.do(context.WithoutCancel(ctx), func(c *core) { // it has happened, and no event tells of it
		now := c.now()
		for i := range m.removed {
			c.internal.Destroy(&m.removed[i], now)
		}
		for i := range m.flows {
			if i%cache.PrefetchMost == 0 {
				c.internal.Prefetch(m.flows[i:])
				c.external.Prefetch(m.flows[i:])
			}
			m.leave(c, i)
			if errs[i] != 0 {
				continue
			}
			if err := c.internal.Restored(&m.flows[i], now); err != nil {
				c.refused("internal", &c.sync.internalFull, err)
			}
		}
	})
}

// settle deals with what the kernel refused of the block: errs says why. It returns the outcomes of the flows that are
// still in the block, in their order.
func (m *commitment) settle(ctx context.Context, errs []unix.Errno) ([]unix.Errno, error) {
	if !m.last {
		errs = m.postpone(errs)
	}
	for range 2 { // a flow may lack its helper and its master
		if err := m.degrade(errs); err != nil {
			return errs, err
		}
	}
	if err := m.conflicts(ctx, errs); err != nil {
		return errs, err
	}
	m.failures(errs)
	return errs, nil
}

// load fills the block from the cache. An entry that went away since the plan was made is no longer wanted.
func (m *commitment) load(c *core, plan []planned) {
	now := c.now()
	var e, known cache.Entry
	for _, p := range plan {
		if !c.external.Load(p.ref(), &e) {
			m.result.Total--
			continue
		}
		if !c.filter.Pass(&e.Flow.Orig) {
			m.result.Filtered++
			m.drop(c, p)
			continue
		}
		if reason := wire.Uncarried(&e.Flow); reason != "" {
			m.lost(&e.Flow, reason)
			m.drop(c, p)
			continue
		}
		if lifetime.Expired(&e.Flow, e.Updated, c.peer.heard, now) {
			m.result.Expired++
			m.drop(c, p)
			continue
		}
		c.prepare(&e.Flow, e.Updated, now)
		way := m.way(c, &e.Flow, &known)
		m.flows, m.from = append(m.flows, e.Flow), append(m.from, way|planned(p.ref()))
	}
}

// prepare makes what the peer told of a flow at updated what the kernel is to get.
func (c *core) prepare(f *flow.Flow, updated, now int64) {
	lifetime.Restore(f, updated, now)
	if !c.cfg.RestoreLabels {
		f.Has &^= flow.HasLabels
	}
}

// leave removes from the cache what the block's i-th flow came from, unless it ended meanwhile and another flow, which
// nobody has restored yet, has its place.
func (m *commitment) leave(c *core, i int) {
	var e cache.Entry
	if m.take && c.external.Load(m.from[i].ref(), &e) && e.Flow.Orig == m.flows[i].Orig {
		m.drop(c, m.from[i])
	}
}

func (m *commitment) drop(c *core, p planned) {
	if m.take {
		c.external.Remove(p.ref())
	}
}

// postpone takes the flows whose master is missing out of the block, and returns the outcomes of the others.
func (m *commitment) postpone(errs []unix.Errno) []unix.Errno {
	kept := 0
	for i, e := range errs {
		if e == unix.ENOENT && m.flows[i].Has.Is(flow.HasMaster) {
			m.waiting = append(m.waiting, m.from[i])
			continue
		}
		if kept != i {
			m.flows[kept], m.from[kept], errs[kept] = m.flows[i], m.from[i], e
		}
		kept++
	}
	m.flows, m.from = m.flows[:kept], m.from[:kept]
	return errs[:kept]
}
