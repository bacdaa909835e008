package core

import (
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// BeginCommit says that the external cache is being put into the kernel: it is not flushed until EndCommit.
func (c *Core) BeginCommit() { c.commits++ }

// EndCommit ends that. It asks for a comparison with the kernel when the commit was cut short: what its last block did is
// not known then.
func (c *Core) EndCommit(whole bool) {
	c.commits--
	if !whole {
		c.wantCompare()
	}
}

// Committing reports whether a commit is under way.
func (c *Core) Committing() bool { return c.commits > 0 }

// FlushExternal empties the external cache, which stays so until the peer's table is asked for, and returns how many
// entries it had. It does nothing and returns false while a commit reads the cache.
func (c *Core) FlushExternal() (n int, ok bool) {
	if c.Committing() {
		return 0, false
	}
	n = c.Peer.External.Len() + c.Peer.Expect.Len()
	c.DropExternal()
	c.Peer.emptied = true
	return n, true
}

// DropExternal empties the external cache, of which this router is the owner now, and gives its memory back.
func (c *Core) DropExternal() {
	c.Peer.noRoom = 0
	c.Peer.External.Reset()
	c.Peer.Expect.Reset()
}

// Committed adds a commit to the totals. whole says that it was not cut short.
func (c *Core) Committed(r *control.CommitResult, whole bool) {
	c.totals.Add(r)
	c.Peer.noRoom = r.NoRoom
	if r.NoRoom > 0 {
		c.log.Error("the kernel's table is full: flows of the peer wait in the external cache, raise net.netfilter.nf_conntrack_max",
			"flows", r.NoRoom)
	}
	if whole {
		c.Times.Commit.Observe(int64(r.Duration))
	}
}

// Restored puts into the internal cache what the kernel was given of a flow, because no event reports it.
func (c *Core) Restored(f *flow.Flow, now int64) {
	if err := c.Own.Internal.Restored(f, now); err != nil {
		c.Refused(InternalCache, err)
	}
}

// RestoredExpectation does the same for an expectation.
func (c *Core) RestoredExpectation(e *flow.Expectation, now int64) {
	if err := c.Own.Expect.Restored(e, now); err != nil {
		c.Refused(InternalExpect, err)
	}
}

// Removed ends flows in the internal cache that were deleted from the kernel without an event.
func (c *Core) Removed(flows []flow.Flow) {
	now := c.now()
	for i := range flows {
		c.Own.Internal.Destroy(&flows[i], now)
	}
}

// ClassKnown reports whether the class of e can be one of its master's helper. The kernel finds the policy of a class in
// a table of that helper, and not every version checks that the table is long enough: a class is taken only with the
// helper that the peer named for the master.
func (c *Core) ClassKnown(e *flow.Expectation) bool {
	if e.Class == 0 {
		return true
	}
	ref, ok := c.Own.Internal.Lookup(&e.Master)
	ok = ok && c.Own.Internal.Load(ref, &c.scratch)
	if !ok && c.Injecting() {
		ref, ok = c.Peer.External.Lookup(&e.Master)
		ok = ok && c.Peer.External.Load(ref, &c.scratch)
	}
	return ok && e.Has.Is(flow.HasHelper) && c.scratch.Flow.Helper == e.Helper
}
