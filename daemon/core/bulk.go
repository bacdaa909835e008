package core

import (
	"ctsync/daemon/cache"
	"ctsync/daemon/loop"
	"ctsync/daemon/session"
)

// Bulk is the sending of the whole internal cache that is under way. The zero value is one that nobody asked for.
type Bulk struct {
	answers *session.FTFW // the session in which the peer asked for it
	owed    bool          // the peer gets it whether an operator asks for it or not
}

// WantBulk asks for a bulk. What is sent from now on counts as sent by it.
func (c *Core) WantBulk() {
	c.beginAnnounce()
	loop.Signal(c.Want.Bulk)
}

func (c *Core) beginAnnounce() {
	c.Own.Internal.BeginAnnounce()
	c.Peer.announcing = true
}

// BeginBulk says that every entry of the internal cache that exists now will be announced until End.
func (c *Core) BeginBulk() (b Bulk) {
	select {
	case <-c.Want.Bulk: // this one is the answer
		b.owed = true
	default:
		b.owed = c.Peer.isNew
	}
	if !c.Peer.announcing { // nobody knows since when what was sent counts
		c.Own.Internal.BeginAnnounce()
	}
	c.Peer.isNew, c.Peer.announcing = false, false
	if c.Peer.bulkWanted { // a request that comes while we send is answered by another bulk
		c.Peer.bulkWanted, b.answers = false, c.Peer.session
		b.answers.BulkStarted()
	}
	return b
}

// End says that everything that was announced has left, or that the peer it was for has restarted. Until then the
// session keeps further requests of the peer.
func (b Bulk) End(c *Core) {
	if b.answers != nil && b.answers == c.Peer.session {
		b.answers.BulkSent()
	}
}

// Abandon says that the bulk was cut short: the peer gets another one if it was owed this one.
func (b Bulk) Abandon(c *Core) {
	asked := b.answers != nil && b.answers == c.Peer.session
	if c.Peer.bulkWanted = c.Peer.bulkWanted || asked; asked || b.owed {
		c.WantBulk()
	}
}

// AnnounceFrom queues at most most flows of the internal cache for the peer, from a position on, as far as they were
// not sent since the bulk was wanted. It returns the position to go on from, 0 at the end, and how many flows it
// passed. At the end it queues the expectations too.
func (c *Core) AnnounceFrom(from cache.Ref, most int) (next cache.Ref, passed int) {
	next = c.Own.Internal.Scan(from, most, func(e *cache.Entry) bool {
		c.Own.Internal.AnnounceRest(e.Ref)
		passed++
		return true
	})
	if next == 0 {
		passed += c.Own.Expect.Announce()
	}
	return next, passed
}

// PeerIsNew reports whether the peer restarted since the last bulk began: it has nothing of that one.
func (c *Core) PeerIsNew() bool { return c.Peer.isNew }

// AwaitsRequest reports whether the peer restarted and has not asked for our table yet, which it is sent in any case.
func (c *Core) AwaitsRequest() bool { return c.Peer.isNew && !c.Peer.bulkWanted }
