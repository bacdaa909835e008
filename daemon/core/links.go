package core

import "ctsync/daemon/link"

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
		// What was sent by the link before may be lost. The peer, once it hears us on this one, sees the gap and asks.
		c.Peer.session.Move(c.Links.Sending().Path())
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
	c.reportLacks()
	c.ignoring.See(c.Peer.ignored, now)
	if n, tries := c.Peer.session.Repeated(); n > 0 {
		c.log.Warn("messages do not arrive and are sent again: look for loss on the sync link", "messages", n, "times", tries)
	}
	c.Links.Review(!c.Links.Silent(now) && c.Peer.session.Deaf(now), now) // a silent peer is no proof
	c.followLinks()
}
