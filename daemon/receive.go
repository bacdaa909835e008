package daemon

import (
	"net/netip"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// peerSilence is how long the peer must have been silent before another sender on a multicast link may take its place.
// Protocol v1 has one sequence space per receiver: two senders heard at once would look like endless loss.
const peerSilence = int64(10 * time.Second)

// peer is whom the session talks with: the first sender heard on the link.
type peer struct {
	addr  netip.Addr
	heard int64 // when it last spoke; 0 = never
}

// syncState is what is known about being in step with the peer beyond the session's own state.
type syncState struct {
	bulkWanted bool // the peer asked for our table and the bulk has not begun
	sweepDue   bool // a bulk has come completely, and what it left out is still to be removed
	table      bool // a bulk has come completely since the start
	reconciled bool // the internal cache has been compared with the kernel since the start
	suspect    bool // events were lost and the comparison is not finished

	internalFull bool // a flow was refused since the last comparison with the kernel began
	externalFull bool // a flow of the peer was refused since its table was last asked for
	emptied      bool // the external cache was flushed by hand since
}

// newSession starts a conversation: the peer is assumed to know nothing of us, and we nothing of it.
func (c *core) newSession(maxDatagram int) {
	c.session = session.New(session.Config{
		AckWindow:   ackWindow,
		MaxDatagram: maxDatagram,
		Seq:         c.seq(),
	}, session.Handler{
		Flow:            c.peerFlow,
		Expectation:     c.peerExpectation,
		Dirty:           c.dirty,
		Acked:           c.acked,
		Lost:            c.lost,
		ResyncRequested: c.resyncRequested,
		PeerRestarted:   c.peerRestarted,
		Established:     c.peerEstablished,
		ResyncSent:      c.resyncSent,
		BulkReceived:    c.bulkReceived,
	}, c.now())
	c.internal.PeerForgot()
	c.expect.internal.PeerForgot()
	if c.cfg.StartupResync {
		c.requestResync()
	}
}

// dirty returns how many messages of state wait to be sent.
func (c *core) dirty() int { return c.internal.Dirty() + c.expect.internal.Dirty() }

// ackWindow is after how many messages the receiver acknowledges: conntrackd's default.
const ackWindow = 300

// receive handles a batch of datagrams from the link.
func (c *core) receive(b *transport.Batch) {
	if c.session == nil || c.link == nil { // read before the link was lost
		return
	}
	b.Each(c.datagram)
	if len(c.watchers) > 0 {
		c.publish(false)
	}
}

func (c *core) datagram(src netip.AddrPort, d []byte) {
	now := c.now()
	if c.acceptPeer(src.Addr(), now) {
		c.session.Receive(now, d)
	}
}

// acceptPeer reports whether the sender is the peer. A new address becomes the peer when the old one has been silent.
func (c *core) acceptPeer(addr netip.Addr, now int64) bool {
	if addr == c.peer.addr {
		c.peer.heard = now
		return true
	}
	if c.peer.addr.IsValid() && now-c.peer.heard < peerSilence {
		c.counts.foreign++
		if n := c.counts.foreign; n&(n-1) == 0 {
			c.log.Warn("another sender on the sync link is ignored: a pair has two members", "peer", c.peer.addr, "sender", addr, "datagrams", n)
		}
		return false
	}
	if c.peer.addr.IsValid() {
		c.log.Info("peer has a new address", "was", c.peer.addr, "peer", addr)
		c.newSession(c.link.MaxPayload())
	}
	c.peer = peer{addr: addr, heard: now}
	c.log.Info("peer heard", "peer", addr)
	return true
}

// peerFlow applies one message of the peer to the external cache.
func (c *core) peerFlow(t wire.Type, f *flow.Flow) {
	if len(c.watchers) > 0 {
		c.tapPeer(t, f)
	}
	now := c.now()
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
	signal(c.wantBulk)
	c.requestResync()
}

func (c *core) peerEstablished() {
	c.log.Info("peer answers", "peer", c.peer.addr)
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
