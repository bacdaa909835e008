package core

import "ctsync/daemon/cache"

// SweepFrom removes what the peer did not mention in the bulk that has come last, looking at most records from a
// position on. It returns the position to go on from and how many it removed. A new request of the peer's table ends
// the sweep: another one ends with its own bulk. What waits for room in the kernel's table puts it off: it is ours now.
// While another router stands in for the peer, what the peer itself announced is kept: it may be needed yet.
func (c *Core) SweepFrom(from cache.Ref, most int) (next cache.Ref, removed int) {
	if !c.Peer.sweepDue || len(c.Peer.NoRoom) > 0 {
		return 0, 0
	}
	absent, _ := c.Links.Absent()
	if from == 0 {
		removed = c.Peer.Expect.Sweep(absent.Left)
	}
	n, next := c.Peer.External.Sweep(from, most, absent.Left)
	removed += n
	c.Peer.sweepDue = next != 0
	c.Peer.swept += uint64(removed)
	if removed > 0 && c.Injecting() {
		c.AskInjection()
	}
	return next, removed
}

// AskForRefused asks for the peer's table when there is room again for what was refused.
func (c *Core) AskForRefused() {
	roomAgain := func(n, limit int) bool { return n < limit*9/10 }
	if c.Peer.full && roomAgain(c.Peer.External.Len(), c.Peer.External.Limit()) &&
		roomAgain(c.Peer.Expect.Len(), c.Peer.Expect.Limit()) {
		c.RequestResync()
	}
}
