package core

import (
	"time"

	"ctsync/daemon/link"
)

// ChangeLinks lets f change the links, and has the rest of the core follow.
func (c *Core) ChangeLinks(f func(s *link.Set, now int64)) {
	f(&c.Links, c.now())
	c.followLinks()
}

// followLinks follows what changed in the links. The first one that is open begins the session.
func (c *Core) followLinks() {
	for _, ch := range c.Links.Channels() {
		if ch.Open != nil && ch.Token == 0 {
			c.watchLink(ch)
		}
	}
	news := c.Links.News()
	if c.Peer.session == nil {
		if news.Datagram > 0 {
			c.newSession()
		}
		return
	}
	if news.AnotherPeer {
		c.newSession()
	}
	if news.Moved {
		// What was on its way by the link before may be lost. The peer, once it hears us on this one, sees the gap and asks.
		c.Peer.session.Speak()
	}
	if news.Datagram > 0 {
		c.Peer.session.SetMaxDatagram(news.Datagram)
	}
}

// watchLink has the poller report what arrives on a link that was opened.
func (c *Core) watchLink(ch *link.Channel) {
	c.reader.tokens++
	ch.Token = c.reader.tokens
	if c.in == nil {
		return // a simulation delivers by itself
	}
	if err := c.in.Poller.Add(ch.Open.FD(), ch.Token); err != nil {
		ch.Fail(err)
	}
}

// reviewLinks lets the links look at the silence of the peer.
func (c *Core) reviewLinks(now int64) {
	if now-c.reader.reviewed < link.ReviewInterval {
		return
	}
	c.reader.reviewed = now
	c.Links.Review(c.peerDeaf(now), now)
	c.followLinks()
}

// When the peer counts as deaf. conntrackd acknowledges what it got after 300 messages or a second without anything to
// send: one that has much to send and hears little may take a minute for it.
const (
	deafMessages = 2 * ackWindow
	deafBusy     = int64(5 * time.Second)  // with so many messages not acknowledged
	deafIdle     = int64(90 * time.Second) // with any
)

// peerDeaf reports whether the peer is heard but shows no sign of hearing us: our hello goes unanswered, or nothing is
// acknowledged. It is how one direction that is broken shows with a conntrackd, which does not look for another link.
func (c *Core) peerDeaf(now int64) bool {
	if c.Links.Silent(now) {
		return false
	}
	st := c.Peer.session.State()
	if !st.Established || st.PeerHello {
		return true // the links wait long enough for it to end
	}
	age := now - st.OldestUnacked
	return st.OldestUnacked != 0 && (age >= deafIdle || age >= deafBusy && st.Seq-st.AckedSeq > deafMessages)
}
