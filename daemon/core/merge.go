package core

import (
	"errors"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// BeginCompare begins a comparison of the internal cache with the kernel's table. What is not merged or settled until
// EndCompare, and not reported by an event, is stale.
func (c *Core) BeginCompare() {
	c.Own.full = false
	c.Own.Internal.BeginReconcile()
	c.Own.before = c.Own.counts
}

// EndCompare ends the comparison, with the error that cut it short if any, and returns how many differences it found.
//
// A comparison during which more flows ended than the cache can remember may have brought some of them back, so another
// one follows; one that was overtaken by an overrun proves nothing yet.
func (c *Core) EndCompare(err error) (repaired uint64) {
	overflow := c.Own.Internal.EndReconcile()
	if errors.Is(err, ctnetlink.ErrMalformed) {
		c.Own.counts.malformed++
	}
	if err != nil {
		return 0
	}
	c.Own.counts.repairs++
	if overflow {
		c.wantCompare()
	}
	c.Own.suspect = overflow || c.Own.counts.overruns != c.Own.before.overruns
	if !c.Own.reconciled {
		c.Own.reconciled = true
		close(c.Compared)
	}
	return c.Own.counts.repaired - c.Own.before.repaired
}

// Merge puts into the internal cache what the kernel has.
func (c *Core) Merge(flows []flow.Flow) {
	now := c.now()
	for i := range flows {
		if i%cache.PrefetchMost == 0 {
			c.Own.Internal.Prefetch(flows[i:])
		}
		f := &flows[i]
		if !c.Own.Filter.PassTuples(f) || c.Peer.External.Injected(&f.Orig) && !c.Own.Internal.Has(&f.Orig) {
			continue
		}
		if !c.Own.Filter.Pass(f) {
			c.Own.Internal.Confirm(f)
			continue
		}
		changed, err := c.Own.Internal.Reconcile(f, now)
		if err != nil {
			c.Refused(InternalCache, err)
		}
		if changed && c.Own.reconciled {
			c.Own.counts.repaired++
		}
	}
}

// StaleFrom copies stale entries into to, looking at no more than look records from a position on. It ends those that
// the filter does not let pass, flows that a flush hid among them. It returns how many it copied and the position to go
// on from, 0 at the end.
func (c *Core) StaleFrom(from cache.Ref, look int, to []cache.Entry) (n int, next cache.Ref) {
	n, next = c.Own.Internal.Stale(from, look, to)
	left := 0
	for i := range to[:n] {
		if !c.evicts(&to[i]) {
			if left != i {
				to[left] = to[i]
			}
			left++
		}
	}
	return left, next
}

// Settle puts into the cache what the kernel said of stale entries: found and errs are the answers for keys. It reports
// whether the kernel had any of them.
func (c *Core) Settle(keys, found []flow.Flow, errs []unix.Errno) (had bool) {
	for i := range keys {
		switch {
		case !keys[i].Has.Is(flow.HasID) && c.renewed(&keys[i].Orig):
		case errs[i] == unix.ENOENT, errs[i] == 0 && found[i].Orig != keys[i].Orig: // or only as another's reply tuple
			c.Own.Internal.Destroy(&keys[i], c.now())
			c.Own.counts.repaired++
		case errs[i] == 0:
			c.Merge(found[i : i+1])
			had = true
		}
	}
	return had
}

// renewed reports whether the cache has an entry that the kernel reported, in place of one without an ID, which a
// commit made: the kernel was asked about that one.
func (c *Core) renewed(key *flow.Tuple) bool {
	ref, known := c.Own.Internal.Lookup(key)
	return known && c.Own.Internal.Load(ref, &c.scratch) && c.scratch.Flow.Has.Is(flow.HasID)
}

// BeginCompareExpectations does for expectations what BeginCompare does for flows, if they are replicated. Flows come
// first: an expectation counts only with its master. limit is how many expectations the cache holds at most.
func (c *Core) BeginCompareExpectations() (on bool, limit int) {
	if !c.Expecting() {
		return false, 0
	}
	c.Own.Expect.BeginReconcile()
	return true, c.Own.Expect.Limit()
}

// MergeExpectations puts into the internal cache what the kernel has.
func (c *Core) MergeExpectations(list []flow.Expectation) {
	now := c.now()
	for i := range list {
		e := &list[i]
		if !expectsHelper(c.Config, e) || c.Peer.Expect.Injected(e) {
			continue
		}
		if _, ok := c.Own.Internal.Lookup(&e.Master); !ok {
			continue
		}
		changed, err := c.Own.Expect.Reconcile(e, now)
		if err != nil {
			c.Refused(InternalExpect, err)
		}
		if changed && c.Own.reconciled {
			c.Own.counts.repaired++
		}
	}
}

// EndCompareExpectations ends the comparison. complete says that the kernel's list was read to its end: then what it
// did not have has ended.
func (c *Core) EndCompareExpectations(complete bool) {
	ended, overflow := c.Own.Expect.EndReconcile(complete)
	c.Own.counts.repaired += uint64(ended)
	if overflow {
		c.wantCompare()
	}
}
