package core

import (
	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
)

// Own is this router's side: what its kernel reports.
type Own struct {
	Internal *cache.Internal
	Expect   *cache.InternalExpect // there also while expect-sync is off: the peer's copies are then still to be ended
	Filter   flow.Filter           // in force; see SetFilter

	orphans []orphan     // expectations whose master is not in Internal yet
	partial []flow.Tuple // flows to be read again; see Partial

	reconciled bool // the internal cache has been compared with the kernel since the start
	suspect    bool // events were lost, and the comparison is not finished
	full       bool // a flow was refused since the last comparison with the kernel began
	counts     ownCounts
	before     ownCounts // as they were when the present or the last comparison began
}

// ownCounts are numbers that no other part keeps.
type ownCounts struct {
	filtered       uint64 // events of flows that the filter does not let pass
	evicted        uint64 // flows that left the internal cache because the filter changed
	overruns       uint64 // event blocks before which the kernel dropped events
	orphans        uint64 // expectations whose master is not replicated
	repairs        uint64 // completed comparisons with the kernel
	repaired       uint64 // differences they found
	malformed      uint64 // comparisons that met a record which could not be read
	purges         uint64 // times that the timers of the other router's flows were shortened
	trafficBytes   uint64 // of flows that ended, where the kernel counts
	trafficPackets uint64
}

// SetFilter puts another filter in force. Flows of the internal cache that it does not let pass stay until EvictFrom.
func (c *Core) SetFilter(f flow.Filter) {
	c.Own.Filter = f
	if c.Injecting() { // the kernel is offered what it does not have: the new filter may let it pass
		c.Peer.External.Retry(true)
		c.AskInjection()
	}
}

// EvictFrom ends at most most flows of the internal cache, from a position on, if the filter does not let them pass. It
// returns the position to go on from, 0 at the end, and how many it ended.
func (c *Core) EvictFrom(from cache.Ref, most int) (next cache.Ref, evicted int) {
	next = c.Own.Internal.Scan(from, most, func(e *cache.Entry) bool {
		if c.evicts(e) {
			evicted++
		}
		return true
	})
	if next == 0 {
		c.retainExpectations()
	}
	return next, evicted
}

// evicts ends an entry of the internal cache if the filter does not let it pass.
func (c *Core) evicts(e *cache.Entry) bool {
	if c.Own.Filter.Pass(&e.Flow) {
		return false
	}
	c.Own.Internal.Destroy(&e.Flow, c.now())
	c.Own.counts.evicted++
	return true
}

// FlushInternal hides everything of the internal cache until the comparison with the kernel, which it asks for. The
// peer keeps what it has. It returns how many entries there were.
func (c *Core) FlushInternal() int {
	n := c.Own.Internal.Len() + c.Own.Expect.Len()
	c.Own.Internal.Flush()
	c.Own.Expect.Flush()
	c.Own.suspect = true // until the comparison that must follow
	c.wantCompare()
	return n
}

// Purged counts a shortening of kernel timers.
func (c *Core) Purged() { c.Own.counts.purges++ }
