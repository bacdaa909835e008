package daemon

import (
	"net/netip"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// peerSilence is how long the peer must have been silent before another sender on a multicast link may take its place.
// Protocol v1 has one sequence space per receiver: two senders heard at once would look like endless loss.
const peerSilence = int64(10 * time.Second)

// peerMoves is how long the peer must have been silent, though it says something every second, before a sender on another
// link that goes on where it left off is taken for it.
const peerMoves = int64(1500 * time.Millisecond)

// peer is whom the session talks with: the first sender heard. It has an address on each link, see channel.
type peer struct {
	addr  netip.Addr // from which it last spoke
	at    *channel   // by which it last spoke
	heard int64      // when it last spoke; 0 = never
}

// syncState is what is known about being in step with the peer beyond the session's own state.
type syncState struct {
	bulkWanted bool // the peer asked for our table and the bulk has not begun
	peerIsNew  bool // the peer began anew and the bulk for it has not begun
	sweepDue   bool // a bulk has come completely, and what it left out is still to be removed
	table      bool // a bulk has come completely since the start
	reconciled bool // the internal cache has been compared with the kernel since the start
	suspect    bool // events were lost and the comparison is not finished

	internalFull bool // a flow was refused since the last comparison with the kernel began
	externalFull bool // a flow of the peer was refused since its table was last asked for
	emptied      bool // the external cache was flushed by hand since
}

// newSession starts a conversation: the peer is assumed to know nothing of us, and we nothing of it.
func (c *core) newSession() {
	c.session = session.New(session.Config{
		AckWindow:   ackWindow,
		MaxDatagram: c.datagramSize,
		Seq:         c.seq(),
	}, session.Handler{
		Flow:            c.tell,
		Expectation:     func(t wire.Type, e *flow.Expectation) { c.applyTold(); c.peerExpectation(t, e) },
		Dirty:           c.dirty,
		Acked:           c.acked,
		Lost:            c.lost,
		ResyncRequested: c.resyncRequested,
		PeerRestarted:   func() { c.applyTold(); c.peerRestarted() },
		Established:     c.peerEstablished,
		ResyncSent:      func() { c.applyTold(); c.resyncSent() },
		BulkReceived:    func() { c.applyTold(); c.bulkReceived() },
	}, c.now())
	c.internal.PeerForgot()
	c.probe.state = probeIdle
	if c.cfg.StartupResync {
		c.requestResync()
	}
}

// dirty returns how many messages of state wait to be sent.
func (c *core) dirty() int { return c.internal.Dirty() }

// ackWindow is after how many messages the receiver acknowledges: conntrackd's default.
const ackWindow = 300

// receive handles a batch of datagrams from a link.
func (c *core) receive(ch *channel, b *transport.Batch) {
	if c.session == nil || ch.gone {
		return
	}
	b.Each(func(src netip.AddrPort, d []byte) { c.datagram(ch, src, d) })
	if len(c.watchers) > 0 {
		c.publish(false)
	}
}

func (c *core) datagram(ch *channel, src netip.AddrPort, d []byte) {
	now := c.now()
	c.at = now
	if !c.acceptPeer(ch, src.Addr(), d, now) {
		return
	}
	news := c.session.Receive(now, d)
	c.applyTold()
	if c.session.Heard() == now { // rubbish is no sign of life
		c.peer.heard = now
	}
	if news {
		was := c.choice.active
		if why := c.choice.heardOn(ch.index, now); why != "" {
			c.chose(c.links[was].name(), why)
		}
	}
}

// acceptPeer reports whether the sender of datagram d on a link is the peer.
func (c *core) acceptPeer(ch *channel, addr netip.Addr, d []byte, now int64) bool {
	if addr != ch.peer {
		if !c.admit(ch, addr, d, now) {
			return false
		}
		ch.peer = addr
	}
	c.peer.addr, c.peer.at = addr, ch
	return true
}

// admit decides about a sender that has not been heard on a link before. On a unicast link it is the configured peer. On
// a multicast one it may be the peer, which sends by another link than before, or someone else; then it becomes the peer
// when the old one has been silent, and the conversation begins anew.
func (c *core) admit(ch *channel, addr netip.Addr, d []byte, now int64) bool {
	silent, known := now-c.peer.heard, c.peer.addr.IsValid()
	goesOn := c.session.Continues(d)
	switch {
	case !known:
		c.log.Info("peer heard", "peer", addr, "interface", ch.name())
	case !ch.multicast(), goesOn && ch != c.peer.at && (silent >= peerMoves || !c.peer.at.usable()):
		c.log.Info("peer heard on another link", "peer", addr, "interface", ch.name(), "was", c.peer.addr)
	case silent >= peerSilence:
		c.log.Info("peer has a new address", "was", c.peer.addr, "peer", addr, "interface", ch.name())
		c.forgetPeer()
		c.newSession()
	default:
		c.counts.foreign++
		ch.foreign++
		if n := c.counts.foreign; n&(n-1) == 0 && !(goesOn && ch != c.peer.at) {
			c.log.Warn("another sender on the sync link is ignored: a pair has two members", "interface", ch.name(), "peer", c.peer.addr, "sender", addr, "datagrams", n)
		}
		return false
	}
	return true
}

// forgetPeer forgets where the peer was heard.
func (c *core) forgetPeer() {
	c.peer = peer{}
	for _, ch := range c.links {
		ch.peer = netip.Addr{}
	}
}

// told are flows that the peer speaks of in one datagram, gathered so that the cache can look them up together. What else
// is in the datagram and has to do with them waits until they are applied.
type told struct {
	n     int
	types [cache.PrefetchMost]wire.Type
	flows [cache.PrefetchMost]flow.Flow
}

func (c *core) tell(t wire.Type, f *flow.Flow) {
	b := &c.told
	b.types[b.n], b.flows[b.n] = t, *f
	if b.n++; b.n == len(b.flows) {
		c.applyTold()
	}
}

func (c *core) applyTold() {
	b := &c.told
	c.external.Prefetch(b.flows[:b.n])
	for i := range b.n {
		c.peerFlow(b.types[i], &b.flows[i], c.at)
	}
	b.n = 0
}

// peerFlow applies one message of the peer, which came at now, to the external cache, from which it goes into the kernel
// with disable-external-cache.
func (c *core) peerFlow(t wire.Type, f *flow.Flow, now int64) {
	if len(c.watchers) > 0 {
		c.tapPeer(t, f)
	}
	var err error
	switch t {
	case wire.CTNew:
		err = c.external.New(f, now)
	case wire.CTUpdate:
		err = c.external.Update(f, now)
	case wire.CTDestroy:
		c.external.Destroy(&f.Orig, now)
	}
	if err != nil {
		c.refused("external", &c.sync.externalFull, err)
	}
	if c.injecting() {
		c.claimed(t, f, now)
	}
}

func (c *core) resyncRequested() {
	c.log.Info("peer asks for the whole table", "flows", c.internal.Len())
	c.sync.bulkWanted = true
	signal(c.wantBulk)
}

// peerRestarted is called on the peer's hello. It has lost what we told it, and may have missed the end of flows it
// told us of, so both directions start again: our table is announced, and its table asked for.
//
// What waits to be told of flows that ended is told all the same: the new life may have taken in their beginning before
// its hello came here, and an end too many does no harm.
func (c *core) peerRestarted() {
	c.log.Info("peer (re)started", "peer", c.peer.addr)
	c.probe.state = probeIdle // what the former life did not acknowledge reaches this one in a bulk
	c.sync.peerIsNew = true
	signal(c.wantBulk)
	c.requestResync()
}

func (c *core) peerEstablished() {
	c.log.Info("peer answers", "peer", c.peer.addr)
	c.inject.peerAnswered(c.now())
}

// requestResync asks the peer for its whole table.
func (c *core) requestResync() {
	if c.session == nil {
		return // the link is not open yet; when it is, startup-resync decides
	}
	c.sync.sweepDue = false
	c.session.RequestResync(c.now())
}

// resyncSent begins to watch what the peer mentions, and not before: what it said while it took us for our former life
// is not repeated to us when it ends.
func (c *core) resyncSent() {
	c.sync.sweepDue, c.sync.externalFull, c.sync.emptied = false, false, false
	c.external.BeginSweep()
	c.expect.external.BeginSweep()
}

// bulkReceived is called when everything that the peer had when we asked for it has arrived.
func (c *core) bulkReceived() {
	c.sync.table, c.sync.sweepDue = true, true
	c.log.Info("peer's table received", "flows", c.external.Len())
	signal(c.wantSweep)
}
