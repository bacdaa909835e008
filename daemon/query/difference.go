package query

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
)

// A comparison shows in which flows a cache and the kernel differ, and changes nothing. Both change meanwhile, so what
// looks different is looked at again until nothing moves: only what stayed different while the kernel's entry did not
// change is a difference.

const (
	compareSlice  = 500                    // flows per look: one request to the kernel, about a millisecond of the loop
	comparePool   = 16384                  // flows that look different and wait for the next look
	compareRounds = 4                      // looks at one of them
	comparePause  = 250 * time.Millisecond // before each: events take less to arrive here
	compareCatch  = 5 * time.Second        // for which a comparison waits until they are handled
)

// comparison is one in progress.
type comparison struct {
	*Reader
	q      control.FlowQuery
	fn     func(*control.Difference, control.Meta) error
	left   int // differences that may still be shown, negative: all
	counts control.DifferenceCounts

	dump, k kernel.Table // k looks up while dump is being read
	filter  flow.Filter
	home    flow.Home
	own     *kernel.Timeouts
	seen    []uint64 // refs of the internal cache that the dump has, as a bit set
	slice   []flow.Flow
	suspect []suspect
	again   []suspect

	keys, found []flow.Flow
	errs        []unix.Errno
	verdicts    []verdict
}

// suspect is a flow that looked different.
type suspect struct {
	flow    flow.Flow // the kernel's, or the cache's if the kernel has none
	kernel  bool      // the kernel has it
	checked bool      // the kernel has been asked, so that nothing changed if it says the same again
	ref     cache.Ref // of the external cache
}

// verdict is what became of a suspect.
type verdict struct {
	what       string // "" = no difference, or not yet
	attributes flow.Attr
	kernel     *flow.Flow  // the kernel's entry, nil = none
	entry      cache.Entry // Ref 0 = none
	now        moment
}

// Differences compares a cache with the kernel's table and calls fn for each difference that q asks for.
func (r *Reader) Differences(
	ctx context.Context, q control.FlowQuery, fn func(*control.Difference, control.Meta) error,
) (control.DifferenceCounts, error) {
	if err := r.hasTable(ctx, q.Table); err != nil {
		return control.DifferenceCounts{}, err
	}
	dump, err := r.Dial()
	if err != nil {
		return control.DifferenceCounts{}, fmt.Errorf("open a conntrack socket: %w", err)
	}
	defer dump.Close()
	k, err := r.Dial()
	if err != nil {
		return control.DifferenceCounts{}, fmt.Errorf("open a conntrack socket: %w", err)
	}
	defer k.Close()
	x := r.newComparison(q, fn, dump, k)
	if err := r.Loop.Do(ctx, func(c *core.Core) { x.filter = c.Own.Filter }); err != nil {
		return x.counts, err
	}
	if q.Table == control.TableExternal {
		if r.Home != nil {
			if x.home, err = r.Home(); err != nil {
				return x.counts, err
			}
		}
		err = x.external(ctx)
	} else {
		err = x.internal(ctx)
	}
	return x.counts, err
}

func (r *Reader) newComparison(
	q control.FlowQuery, fn func(*control.Difference, control.Meta) error, dump, k kernel.Table,
) *comparison {
	x := &comparison{
		Reader: r, q: q, fn: fn, left: q.Limit, counts: control.DifferenceCounts{Found: map[string]uint64{}},
		dump: dump, k: k, own: kernel.ReadTimeouts(), slice: make([]flow.Flow, 0, compareSlice),
		keys: make([]flow.Flow, compareSlice), found: make([]flow.Flow, compareSlice),
		errs: make([]unix.Errno, compareSlice), verdicts: make([]verdict, compareSlice),
	}
	if q.Limit == 0 {
		x.left = -1
	}
	return x
}

// internal compares the internal cache with the kernel: first the kernel's flows, then those that only the cache has.
func (x *comparison) internal(ctx context.Context) error {
	interrupted, err := x.dump.Dump(x.q.Family, func(f *flow.Flow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.counts.Compared++
		if !x.filter.PassTuples(f) {
			x.counts.Filtered++
			return nil
		}
		x.slice = append(x.slice, *f)
		if len(x.slice) == cap(x.slice) {
			return x.compareDumped(ctx)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump conntrack table: %w", err)
	}
	if interrupted {
		return errResized
	}
	if err := x.compareDumped(ctx); err != nil {
		return err
	}
	q := control.FlowQuery{Table: control.TableInternal}
	if err := copyOut(ctx, x.Reader, &q, wholeEntries, func(entries []cache.Entry, _ moment) error {
		for i := range entries {
			e := &entries[i]
			if x.q.Family != 0 && e.Flow.Orig.Family != x.q.Family || x.has(e.Ref) || !x.filter.Pass(&e.Flow) {
				continue
			}
			x.counts.Compared++
			x.suspect = append(x.suspect, suspect{flow: e.Flow})
		}
		return x.settleFull(ctx)
	}); err != nil {
		return err
	}
	return x.settle(ctx)
}

// compareDumped looks for a slice of the dump in the cache.
func (x *comparison) compareDumped(ctx context.Context) error {
	if err := x.Loop.Do(ctx, func(c *core.Core) {
		for i := range x.slice {
			ref, attributes := c.Own.Internal.Compare(&x.slice[i])
			if ref != 0 {
				x.note(ref)
			}
			switch {
			case !x.filter.Pass(&x.slice[i]), // the cache has it as it was when it passed, or not at all
				ref == 0 && c.Peer.External.Injected(&x.slice[i].Orig): // the peer's, put here at once
				x.counts.Filtered++
			case ref == 0 || attributes != 0:
				x.suspect = append(x.suspect, suspect{flow: x.slice[i], kernel: true, checked: true})
			}
		}
	}); err != nil {
		return err
	}
	x.slice = x.slice[:0]
	return x.settleFull(ctx)
}

// note enters a ref in seen.
func (x *comparison) note(r cache.Ref) {
	if need := int(r>>6) + 1; need > len(x.seen) {
		x.seen = append(x.seen, make([]uint64, need+need/4-len(x.seen))...)
	}
	x.seen[r>>6] |= 1 << (r & 63)
}

func (x *comparison) has(r cache.Ref) bool {
	return int(r>>6) < len(x.seen) && x.seen[r>>6]>>(r&63)&1 != 0
}

// settleFull settles when there are many suspects.
func (x *comparison) settleFull(ctx context.Context) error {
	if len(x.suspect) < comparePool {
		return nil
	}
	return x.settle(ctx)
}

// settle looks at the suspects again until each of them is a difference or none.
func (x *comparison) settle(ctx context.Context) error {
	for range compareRounds {
		if len(x.suspect) == 0 {
			return nil
		}
		if err := x.pause(ctx); err != nil {
			return err
		}
		x.again = x.again[:0]
		for from := 0; from < len(x.suspect); from += compareSlice {
			if err := x.look(ctx, x.suspect[from:min(from+compareSlice, len(x.suspect))]); err != nil {
				return err
			}
		}
		x.suspect, x.again = x.again, x.suspect
	}
	x.counts.Unsettled += uint64(len(x.suspect))
	x.suspect = x.suspect[:0]
	return nil
}

// pause waits until the events of what has happened so far are in the cache: some time, and until none waited any more.
func (x *comparison) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(comparePause):
	}
	if done, err := core.CaughtUp(ctx, x.Loop, compareCatch); err != nil || done {
		return err
	}
	return &control.Error{
		Code:    control.CodeBusy,
		Message: "events come faster than they are handled, so the internal cache is behind the kernel", Hint: "try again later",
	}
}

// look asks the kernel and the cache about a slice of suspects once more.
func (x *comparison) look(ctx context.Context, list []suspect) error {
	n := len(list)
	for i := range list {
		x.keys[i] = list[i].flow
	}
	if err := x.k.GetBatch(x.keys[:n], x.found[:n], x.errs[:n]); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	return x.decide(ctx, list, x.judge)
}

// decide asks judge about each suspect of a slice, with what the kernel said of it, and reports the differences.
func (x *comparison) decide(
	ctx context.Context, list []suspect, judge func(*core.Core, *suspect, *flow.Flow, unix.Errno) verdict,
) error {
	if err := x.Loop.Do(ctx, func(c *core.Core) {
		for i := range list {
			x.verdicts[i] = judge(c, &list[i], &x.found[i], x.errs[i])
		}
	}); err != nil {
		return err
	}
	for i := range list {
		if v := &x.verdicts[i]; v.what != "" {
			if err := x.report(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge decides about one suspect. One whose kernel entry changed since the last look must wait for another.
func (x *comparison) judge(c *core.Core, s *suspect, found *flow.Flow, errno unix.Errno) (v verdict) {
	if errno != 0 && errno != unix.ENOENT { // no answer
		s.checked = false
		x.again = append(x.again, *s)
		return v
	}
	there := errno == 0 && found.Orig == s.flow.Orig // else as the reply of another
	var ref cache.Ref
	if there {
		ref, v.attributes = c.Own.Internal.Compare(found)
	} else {
		ref, _ = c.Own.Internal.Lookup(&s.flow.Orig)
	}
	same := there && (ref != 0 && v.attributes == 0 || !x.filter.Pass(found)) || !there && ref == 0
	if same || ref == 0 && c.Peer.External.Injected(&s.flow.Orig) {
		return verdict{}
	}
	steady := s.checked && there == s.kernel &&
		(!there || found.ID == s.flow.ID && cache.Differences(found, &s.flow) == 0)
	if there {
		s.flow = *found
	}
	if s.kernel, s.checked = there, true; !steady {
		x.again = append(x.again, *s)
		return verdict{}
	}
	if ref != 0 {
		c.Own.Internal.Load(ref, &v.entry)
	}
	if there {
		v.kernel = &s.flow
	}
	v.now = momentOf(c)
	switch {
	case !there:
		v.what = control.CacheOnly
	case ref == 0:
		v.what, v.attributes = control.KernelOnly, 0
	default:
		v.what = control.Differs
	}
	return v
}

// report counts a difference and shows it, if it is one that is asked for.
func (x *comparison) report(v *verdict) error {
	diff := control.Difference{What: v.what, Attributes: v.attributes, Kernel: v.kernel}
	unknown := flow.Ages{Age: flow.Unknown, Idle: flow.Unknown}
	wanted := v.kernel != nil && x.q.Passes(v.kernel, unknown)
	var m control.Meta
	if v.entry.Ref != 0 {
		diff.Cache = &v.entry.Flow
		m = meta(&v.entry, v.now)
		ages := v.entry.At(v.now.cache)
		wanted = wanted || x.q.Passes(diff.Cache, ages)
	}
	if !wanted {
		return nil
	}
	if x.counts.Found[v.what]++; v.what == control.WouldStray {
		at, device, _ := x.home.Foreign(&v.entry.Flow)
		x.counts.ForeignNAT.Count(control.ForeignNAT(&v.entry.Flow, at, device), 1)
	}
	if x.left == 0 {
		return nil
	}
	x.left--
	return x.fn(&diff, m)
}
