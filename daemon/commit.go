package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// A commit puts the external cache into the kernel: most valuable flows first, in blocks of commitBlock creates per
// request. It runs in a goroutine of its own; only reading the cache and noting the outcome happen in the core loop.

// commitBlock is how many flows travel in one request: beyond it the kernel gains nothing.
const commitBlock = 500

// namedLosses bounds how many flows a commit result names.
const namedLosses = 20

// commitment is a commit in progress. Its arrays are reused for every block.
type commitment struct {
	d      *Daemon
	k      kernel
	take   bool // what is dealt with leaves the cache
	result control.CommitResult

	from  []planned // where each of flows comes from
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
	plan, err := d.commitPlan(ctx)
	m.result.Total = uint64(len(plan))
	if err == nil {
		err = m.all(ctx, plan, report)
	}
	if err == nil {
		err = m.expectations(ctx)
	}
	if err != nil {
		signal(d.core.wantReconcile) // what the last block did is not known
	}
	m.result.Duration = control.Duration(time.Since(began))
	if e := d.do(context.WithoutCancel(ctx), func(c *core) { addCommit(&c.totals, &m.result) }); err == nil {
		err = e
	}
	d.log.Info("external cache committed", "flows", m.result.Total, "created", m.result.Created, "updated", m.result.Updated,
		"replaced", m.result.Replaced, "expired", m.result.Expired, "filtered", m.result.Filtered, "failed", m.result.Failed, "took", m.result.Duration)
	if x := m.result.Expect; x != nil && x.Total > 0 {
		d.log.Info("expectations committed", "expectations", x.Total, "created", x.Created, "updated", x.Updated,
			"replaced", x.Replaced, "expired", x.Expired, "failed", x.Failed, "why", x.Errors)
	}
	return m.result, err
}

func newCommitment(d *Daemon, k kernel) *commitment {
	return &commitment{
		d: d, k: k, result: control.CommitResult{Errors: map[string]uint64{}},
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

// planned is one external entry in commit order: its worth in the high half, its reference in the low half, so that
// sorting descends by worth.
type planned uint64

func (p planned) ref() cache.Ref { return cache.Ref(uint32(p)) }

// commitPlan lists the external cache in the order of commit.
func (d *Daemon) commitPlan(ctx context.Context) ([]planned, error) {
	var plan []planned
	for from, more := cache.Ref(0), true; more; {
		if err := d.do(ctx, func(c *core) {
			if plan == nil {
				plan = make([]planned, 0, c.external.Len())
			}
			from = c.external.Scan(from, sliceSize, func(e *cache.Entry) bool {
				plan = append(plan, planned(uint64(worth(e))<<32|uint64(e.Ref)))
				return true
			})
			more = from != 0
		}); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(plan, func(a, b planned) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return plan, nil
}

// worth orders entries for commit: the class in the three high bits, then how recently the flow was busy (seconds).
// Flows with a master come last whatever they are worth, because the kernel wants the master first.
func worth(e *cache.Entry) uint32 {
	f := &e.Flow
	established := f.Has.Is(flow.HasTCPState) && f.TCPState == flow.TCPEstablished
	translated := f.SNAT() || f.DNAT()
	class := uint32(1)
	switch {
	case f.Has.Is(flow.HasMaster):
		class = 0
	case established && translated:
		class = 5
	case established:
		class = 4
	case f.Status&flow.StatusAssured != 0 && translated:
		class = 3
	case f.Status&flow.StatusAssured != 0:
		class = 2
	}
	return class<<29 | uint32(e.Updated/int64(time.Second))&(1<<29-1)
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
	errs := m.errs[:len(m.flows)]
	if err := m.k.Create(m.flows, errs); err != nil {
		return fmt.Errorf("create conntrack entries: %w", err)
	}
	for _, e := range errs {
		if e == 0 {
			m.result.Created++
		}
	}
	if !m.last {
		errs = m.postpone(errs)
	}
	for range 2 { // a flow may lack its helper and its master
		if err := m.degrade(errs); err != nil {
			return err
		}
	}
	if err := m.conflicts(errs); err != nil {
		return err
	}
	m.failures(errs)
	return m.d.do(context.WithoutCancel(ctx), func(c *core) { // it has happened, and no event tells of it
		now := c.now()
		for i := range m.removed {
			c.internal.Destroy(&m.removed[i], now)
		}
		for i := range m.flows {
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

// load fills the block from the cache. An entry that went away since the plan was made is no longer wanted.
func (m *commitment) load(c *core, plan []planned) {
	now := c.now()
	var e cache.Entry
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
		if reason := uncarried(&e.Flow); reason != "" {
			m.lost(&e.Flow, reason)
			m.drop(c, p)
			continue
		}
		if expired(&e.Flow, e.Updated, c.peer.heard, now) {
			m.result.Expired++
			m.drop(c, p)
			continue
		}
		restoreTimeout(&e.Flow, e.Updated, now)
		m.flows, m.from = append(m.flows, e.Flow), append(m.from, p)
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

// uncarried says why a flow cannot be restored exactly because protocol v1 does not carry its key, or "".
func uncarried(f *flow.Flow) string {
	switch {
	case f.Orig.Proto == flow.GRE && f.Orig.SrcPort == 0 && f.Orig.DstPort == 0:
		return "GRE keys not carried by protocol v1"
	case f.Orig.Proto == flow.UDPLite && f.Orig.SrcPort == 0 && f.Orig.DstPort == 0:
		return "UDP-Lite ports not carried by protocol v1"
	}
	return ""
}

// degrade tries once more, without it, the flows that failed for something this router does not have: the helper
// module, or the master flow. Better a connection without its helper than none.
func (m *commitment) degrade(errs []unix.Errno) error {
	m.sub, m.at = m.sub[:0], m.at[:0]
	for i, e := range errs {
		f := &m.flows[i]
		switch {
		case e == unix.EOPNOTSUPP && f.Has.Is(flow.HasHelper):
			m.degraded(f, "helper "+flow.CString(f.Helper[:]))
			f.Has &^= flow.HasHelper
		case e == unix.ENOENT && f.Has.Is(flow.HasMaster):
			m.degraded(f, "master")
			f.Has &^= flow.HasMaster
		default:
			continue
		}
		m.sub, m.at = append(m.sub, *f), append(m.at, i)
	}
	return m.retry(errs, &m.result.Created)
}

// retry creates the flows of m.sub, writes their outcome to errs and counts successes in n.
func (m *commitment) retry(errs []unix.Errno, n *uint64) error {
	if len(m.sub) == 0 {
		return nil
	}
	if err := m.k.Create(m.sub, m.subErrs[:len(m.sub)]); err != nil {
		return fmt.Errorf("create conntrack entries: %w", err)
	}
	for j, i := range m.at {
		errs[i] = m.subErrs[j]
		if errs[i] == 0 {
			*n++
		}
	}
	return nil
}

// failures counts what is left by errno.
func (m *commitment) failures(errs []unix.Errno) {
	for i, e := range errs {
		if e != 0 {
			m.lost(&m.flows[i], unix.ErrnoName(e))
		}
	}
}

func (m *commitment) lost(f *flow.Flow, why string) {
	m.result.Failed++
	m.result.Errors[why]++
	m.name(f, "not restored: "+why)
}

func (m *commitment) degraded(f *flow.Flow, without string) {
	if m.result.Degraded == nil {
		m.result.Degraded = map[string]uint64{}
	}
	m.result.Degraded[without]++
	m.name(f, "restored without its "+without+", which this kernel does not have")
}

func (m *commitment) name(f *flow.Flow, what string) {
	if len(m.result.Named) < namedLosses {
		m.result.Named = append(m.result.Named, flowName(f)+": "+what)
	}
}

// flowName names a flow for people: protocol, source, destination.
func flowName(f *flow.Flow) string {
	b := append([]byte(f.Orig.Proto.String()), ' ')
	b = append(f.Orig.AppendSource(b), " > "...)
	return string(f.Orig.AppendDestination(b))
}

// addResult adds another round of the same takeover to t.
func addResult(t, r *control.CommitResult) {
	t.Total += r.Total
	t.Created += r.Created
	t.Updated += r.Updated
	t.Replaced += r.Replaced
	t.Expired += r.Expired
	t.Filtered += r.Filtered
	t.Failed += r.Failed
	t.Errors = addCounts(t.Errors, r.Errors)
	t.Degraded = addCounts(t.Degraded, r.Degraded)
	t.Named = append(t.Named, r.Named[:min(len(r.Named), namedLosses-len(t.Named))]...)
	t.Expect = addExpect(t.Expect, r.Expect)
	t.Duration += r.Duration
}

func addCounts(t, r map[string]uint64) map[string]uint64 {
	for name, n := range r {
		if t == nil {
			t = map[string]uint64{}
		}
		t[name] += n
	}
	return t
}

// addCommit adds a commit to the totals.
func addCommit(t *control.CommitStatistics, r *control.CommitResult) {
	t.Commits++
	t.Created += r.Created
	t.Updated += r.Updated
	t.Replaced += r.Replaced
	t.Expired += r.Expired
	t.Filtered += r.Filtered
	t.Failed += r.Failed
	t.Errors = addCounts(t.Errors, r.Errors)
	if t.Expect = addExpect(t.Expect, r.Expect); t.Expect != nil {
		t.Expect.Named = nil
	}
}
