package core

import (
	"ctsync/daemon/cache"
	"ctsync/daemon/lifetime"
)

// SweepFrom removes what the peer did not mention in the bulk that has come last, looking at most records from a position
// on. It returns the position to go on from and how many it removed. A new request of the peer's table ends the sweep:
// another one ends with its own bulk.
func (c *Core) SweepFrom(from cache.Ref, most int) (next cache.Ref, removed int) {
	if !c.Peer.sweepDue {
		return 0, 0
	}
	if from == 0 {
		removed = c.Peer.Expect.Sweep()
	}
	n, next := c.Peer.External.Sweep(from, most)
	removed += n
	c.Peer.sweepDue = next != 0
	c.Peer.swept += uint64(removed)
	if removed > 0 && c.Injecting() {
		c.AskInjection()
	}
	return next, removed
}

// ExpireFrom removes external entries that cannot be alive any more, looking at most entries from a position on. It
// returns the position to go on from and how many it removed. refs is scratch memory.
func (c *Core) ExpireFrom(from cache.Ref, most int, refs *[]cache.Ref) (next cache.Ref, removed int) {
	now, heard := c.now(), c.PeerHeard()
	*refs = (*refs)[:0]
	next = c.Peer.External.Scan(from, most, func(e *cache.Entry) bool {
		if lifetime.Expired(&e.Flow, e.Updated, heard, now) {
			*refs = append(*refs, e.Ref)
		}
		return true
	})
	for _, r := range *refs {
		c.Peer.External.Forget(r)
	}
	removed = len(*refs)
	if next == 0 {
		removed += c.expireExpectations()
		c.askForRefused()
	}
	return next, removed
}

// askForRefused asks for the peer's table when there is room again for what was refused.
func (c *Core) askForRefused() {
	roomAgain := func(n, limit int) bool { return n < limit*9/10 }
	if c.Peer.full && roomAgain(c.Peer.External.Len(), c.Peer.External.Limit()) &&
		roomAgain(c.Peer.Expect.Len(), c.Peer.Expect.Limit()) {
		c.RequestResync()
	}
}
