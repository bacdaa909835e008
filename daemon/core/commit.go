package core

import (
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// BeginCommit says that the external cache is being put into the kernel: it is not flushed until EndCommit.
func (c *Core) BeginCommit() { c.commits++ }

// EndCommit ends that. It asks for a comparison with the kernel when the commit was cut short: what its last block did
// is not known then.
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
	c.Links.TakeStandIn() // there is nothing left to be kept for the peer
	c.Peer.emptied = true
	return n, true
}

// DropExternal empties the external cache, of which this router is the owner now, and gives its memory back.
func (c *Core) DropExternal() {
	c.WaitForRoom(nil)
	c.Peer.External.Reset()
	c.Peer.Expect.Reset()
}

// Committed adds a commit to the totals. again says that it is part of an earlier one, whole that it was not cut short.
func (c *Core) Committed(r *control.CommitResult, again, whole bool) {
	if again {
		c.totals.AddOutcomes(r)
		return
	}
	c.totals.Add(r)
	if whole {
		c.Times.Commit.Observe(int64(r.Duration))
	}
}

// WaitForRoom sets Peer.NoRoom, what the kernel's full table did not take of a takeover, the most valuable flows first.
// When nothing waits any more, a sweep that was put off is due.
func (c *Core) WaitForRoom(list []flow.Tuple) {
	if c.Peer.NoRoom, c.totals.NoRoom = list, uint64(len(list)); len(list) == 0 && c.Peer.sweepDue {
		loop.Signal(c.Want.Sweep)
	}
}
