package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/transport"
)

// channel is a dedicated link as the core loop knows it, whether it is open or not. It lives as long as its interface is
// configured. Its fields belong to the loop.
type channel struct {
	cfg     transport.Config
	index   int  // in core.links
	gone    bool // no longer configured
	open    link // nil while it cannot be used
	state   string
	trouble string          // why it is not open
	before  transport.Stats // of its sockets that are gone, so that counters never run backwards
	peer    netip.Addr      // the peer's address on this link, once it has been heard here
	foreign uint64          // datagrams from a second sender
	token   int32           // that the poller reports its socket by, while it is open
	ready   bool            // datagrams may be waiting
	failed  chan<- error    // why open cannot be read any more
}

func newChannel() *channel { return &channel{state: "DOWN"} }

func (ch *channel) name() string    { return ch.cfg.Interface }
func (ch *channel) multicast() bool { return !ch.cfg.Peer.IsValid() }
func (ch *channel) usable() bool    { return ch.open != nil && ch.state == stateRunning && !ch.gone }

// stateRunning is what transport.Link.Up says of an interface that carries traffic.
const stateRunning = "RUNNING"

// wrong says what is wrong with a link that is not usable.
func (ch *channel) wrong() string {
	if ch.open == nil && ch.trouble != "" {
		return ch.trouble
	}
	return ch.name() + " is " + ch.state
}

func (ch *channel) transport() string {
	if ch.multicast() {
		return control.TransportMulticast
	}
	return control.TransportUDP
}

// sending is the link that sends now.
func (c *core) sending() *channel { return c.links[c.choice.active] }

// setLinks takes over the configured links: the channels in the order of the file, each with what it is to be. Those
// whose configuration changes must not be open. When nothing of what was known of the peer holds any more, the
// conversation begins anew.
func (c *core) setLinks(links []*channel, cfgs []transport.Config) {
	same, first, was := !c.peer.addr.IsValid(), len(c.links) == 0, ""
	if !first {
		was = c.sending().name()
	}
	names, from := make([]string, len(links)), make([]int, len(links))
	for i, ch := range links {
		from[i] = slices.Index(c.links, ch)
		same = c.samePeer(ch, from[i] >= 0, cfgs[i]) || same
		ch.cfg = cfgs[i]
		names[i] = ch.name()
	}
	for _, ch := range c.links {
		ch.gone = true
	}
	for i, ch := range links {
		ch.gone, ch.index = false, i
	}
	c.links = links
	if why := c.choice.relist(names, from, c.now()); !first {
		c.chose(was, why)
	}
	c.fitDatagrams()
	if !same {
		c.log.Info("another peer is configured", "was", c.peer.addr)
		c.forgetPeer()
		if c.session != nil {
			c.newSession()
		}
	}
}

// samePeer reports whether a link that is to become cfg leads, for all that is known, to the router that we talk with,
// and forgets the address that the peer has there if not. A multicast link does: who speaks there will show.
func (c *core) samePeer(ch *channel, exists bool, cfg transport.Config) bool {
	old := ch.peer.WithZone("")
	switch {
	case !cfg.Peer.IsValid():
		return true
	case exists && ch.cfg.Peer == cfg.Peer, exists && ch.multicast() && old == cfg.Peer:
		return true
	case !cfg.Peer.IsLinkLocalUnicast() && c.peer.addr == cfg.Peer: // the same router by an interface of another name
		return true
	}
	ch.peer = netip.Addr{}
	return false
}

// watchSocket has the poller report what arrives on a link that is to be opened. Why it cannot be read any more, one day,
// is sent to failed, which has room for it.
func (c *core) watchSocket(ch *channel, l link, failed chan<- error) error {
	c.tokens++
	ch.token, ch.failed = c.tokens, failed
	return c.in.poller.add(l.FD(), c.tokens)
}

// linkOpened puts an open link into service. The first one begins the conversation.
func (c *core) linkOpened(ch *channel, l link) {
	ch.open, ch.trouble = l, ""
	c.fitDatagrams()
	if c.session == nil {
		c.newSession()
	}
	_, state := l.Up()
	c.linkIs(ch, l, state)
}

// linkIs takes note of the state of a link's interface.
func (c *core) linkIs(ch *channel, l link, state string) {
	if ch.open != l || ch.gone {
		return // it was closed meanwhile
	}
	ch.state = state
	c.setUsable(ch)
}

// linkFailed takes note that a link cannot be opened, or was closed because of err.
func (c *core) linkFailed(ch *channel, err error) {
	c.linkClosed(ch)
	ch.trouble = err.Error()
	if !ch.gone {
		c.setUsable(ch)
	}
}

// linkClosed keeps the counters of a link that is gone.
func (c *core) linkClosed(ch *channel) {
	if ch.open == nil {
		return
	}
	ch.before = ch.before.Add(ch.open.Stats())
	ch.open, ch.state = nil, "DOWN"
	ch.ready, ch.token = false, eventToken
	c.fitDatagrams()
}

func (c *core) setUsable(ch *channel) {
	was := c.sending().name()
	c.chose(was, c.choice.set(ch.index, ch.usable(), ch.wrong(), c.now()))
}

// chose carries out a change of the link that sends, if why is not empty. What was on its way by the link before may be
// lost; the peer, once it hears us on this one, sees the gap and asks for it.
func (c *core) chose(was, why string) {
	if why == "" {
		return
	}
	c.counts.linkChanges++
	c.chosen = chosen{at: time.Now(), why: why}
	if c.choice.worthSaying() {
		c.log.Info("another link sends", "was", was, "is", c.sending().name(), "reason", why, "changes", c.counts.linkChanges)
	}
	if c.session != nil {
		c.session.Speak()
	}
}

// chosen is the last change of the link that sends.
type chosen struct {
	at  time.Time
	why string
}

// fitDatagrams keeps the datagrams of the session to the size that every open link carries: any of them may be the next
// to send.
func (c *core) fitDatagrams() {
	least := 0
	for _, ch := range c.links {
		if ch.open != nil && (least == 0 || ch.open.MaxPayload() < least) {
			least = ch.open.MaxPayload()
		}
	}
	if least == 0 {
		return
	}
	c.datagramSize = least
	if c.session != nil {
		c.session.SetMaxDatagram(least)
	}
}

// linkReview is how often the silence of the peer is looked at.
const linkReview = int64(500 * time.Millisecond)

// reviewLinks lets the choice look at the silence of the peer.
func (c *core) reviewLinks(now int64) {
	if len(c.links) < 2 || c.session == nil || now-c.reviewed < linkReview {
		return
	}
	c.reviewed = now
	c.chose(c.sending().name(), c.choice.tick(c.peerDeaf(now), now))
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
func (c *core) peerDeaf(now int64) bool {
	if now-c.choice.heard >= linkSilence {
		return false
	}
	st := c.session.State()
	if !st.Established || st.PeerHello {
		return true // the choice waits long enough for it to end
	}
	age := now - st.OldestUnacked
	return st.OldestUnacked != 0 && (age >= deafIdle || age >= deafBusy && st.Seq-st.AckedSeq > deafMessages)
}

// linkNames are the names of all links, in the order of the file.
func (c *core) linkNames() string {
	var names []string
	for _, ch := range c.links {
		names = append(names, ch.name())
	}
	return strings.Join(names, ", ")
}
