package core

import (
	"net/netip"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/link"
	"ctsync/daemon/loop"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// ackWindow is after how many messages the receiver acknowledges: conntrackd's default.
const ackWindow = 300

// Peer is the other router's side: what it announces, and how far the conversation has come.
type Peer struct {
	External *cache.External
	Expect   *cache.ExternalExpect
	NoRoom   []flow.Tuple // flows of External that wait for room in the kernel's table; see WaitForRoom

	session *session.FTFW // nil until the first link is open
	gather  gathered
	at      int64 // when the datagram at hand came: the clock is asked once for all of its messages

	bulkWanted bool // it asked for our table, and the bulk has not begun
	announcing bool // what is sent since the bulk was wanted counts as sent by it
	isNew      bool // it restarted, and the bulk for it has not begun
	sweepDue   bool // its bulk is complete, and what that left out is still to be removed
	table      bool // a bulk of it has been complete since the start
	full       bool // a flow of it was refused since its table was last asked for
	emptied    bool // its cache was flushed by hand since then

	swept   uint64 // entries that it no longer had, found after a bulk
	ignored uint64 // expectation messages received while expect-sync is off
}

// newSession starts a session: the peer is assumed to know nothing of us, and we nothing of it.
func (c *Core) newSession() {
	// The flows that the peer spoke of before come before what else it says.
	inOrder := func(f func()) func() { return func() { c.applyGathered(); f() } }
	c.Peer.session = session.New(session.Config{
		AckWindow:   ackWindow,
		MaxDatagram: c.Links.Datagram(),
		Seq:         c.seq(),
	}, session.Handler{
		Flow:            c.gatherFlow,
		Expectation:     func(t wire.Type, e *flow.Expectation) { c.applyGathered(); c.peerExpectation(t, e) },
		Dirty:           c.Own.Internal.Dirty,
		Acked:           c.acked,
		Lost:            c.lost,
		ResyncRequested: c.resyncRequested,
		PathLimited:     c.Links.PathLimited,
		PeerRestarted:   inOrder(c.peerRestarted),
		Established:     c.peerEstablished,
		ResyncSent:      inOrder(c.resyncSent),
		BulkReceived:    inOrder(c.bulkReceived),
		Contradicted:    c.contradicted,
	}, c.now())
	c.Peer.session.Move(c.Links.Sending().Path())
	c.Own.Internal.PeerForgot()
	c.Peer.announcing = false // what was sent before was not sent to this peer
	c.probe.state = probeIdle
	if c.Config.StartupResync {
		c.RequestResync()
	}
}

// Receive takes a datagram that came by a link. The session must have begun; see ChangeLinks.
func (c *Core) Receive(ch *link.Channel, src netip.Addr, datagram []byte) {
	now := c.now()
	c.Peer.at = now
	from := link.Sender{Addr: src}
	if !c.Links.Knows(ch, src) {
		from = c.sender(src, datagram)
	}
	verdict := c.Links.Admit(ch, from, now)
	if verdict == link.Stranger {
		return
	}
	if verdict == link.AnotherPeer {
		c.followLinks()
	}
	news := c.Peer.session.Receive(now, datagram)
	c.applyGathered()
	if c.Peer.session.Heard() == now { // only a datagram that can be read counts as heard
		c.Links.Heard(ch, news, now)
		c.followLinks()
	}
}

// sender says what is known of one that may not be the peer.
func (c *Core) sender(src netip.Addr, d []byte) link.Sender {
	return link.Sender{
		Addr: src, Readable: session.Readable(d), Hello: session.Greets(d), Continues: c.Peer.session.Continues(d),
	}
}

// gathered are flows that the peer speaks of in one datagram, so that the cache can look them up together. What else is
// in the datagram waits until they are applied.
type gathered struct {
	n     int
	types [cache.PrefetchMost]wire.Type
	flows [cache.PrefetchMost]flow.Flow
}

func (c *Core) gatherFlow(t wire.Type, f *flow.Flow) {
	b := &c.Peer.gather
	b.types[b.n], b.flows[b.n] = t, *f
	if b.n++; b.n == len(b.flows) {
		c.applyGathered()
	}
}

func (c *Core) applyGathered() {
	b := &c.Peer.gather
	c.Peer.External.Prefetch(b.flows[:b.n])
	for i := range b.n {
		c.peerFlow(b.types[i], &b.flows[i], c.Peer.at)
	}
	b.n = 0
}

// peerFlow applies one message of the peer, which came at now, to the external cache, from which it goes into the
// kernel with disable-external-cache.
func (c *Core) peerFlow(t wire.Type, f *flow.Flow, now int64) {
	if c.Tap.Watched() {
		c.tapFlow(control.EventKind(t), f, true) // the types of flows are numbered alike
	}
	var err error
	switch t {
	case wire.CTNew:
		err = c.Peer.External.New(f, now)
	case wire.CTUpdate:
		err = c.Peer.External.Update(f, now)
	case wire.CTDestroy:
		c.Peer.External.Destroy(&f.Orig, now)
	}
	if err != nil {
		c.Refused(ExternalCache, err)
	}
	if c.Injecting() {
		c.claimed(t, f)
	}
}

// peerExpectation applies one message of the peer to the external cache.
func (c *Core) peerExpectation(t wire.Type, e *flow.Expectation) {
	if !c.Expecting() {
		c.Peer.ignored++
		return
	}
	now := c.now()
	var err error
	switch t {
	case wire.ExpNew:
		err = c.Peer.Expect.New(e, now)
	case wire.ExpUpdate:
		err = c.Peer.Expect.Update(e, now)
	case wire.ExpDestroy:
		c.Peer.Expect.Destroy(e)
	}
	if err != nil {
		c.Refused(ExternalExpect, err)
	}
	if c.Injecting() {
		c.AskInjection()
	}
}

func (c *Core) resyncRequested() {
	if !c.Peer.bulkWanted { // it may ask again before the bulk has begun
		c.log.Info("peer asks for the whole table", "flows", c.Own.Internal.Len())
	}
	c.Peer.bulkWanted = true
	c.WantBulk()
}

// peerRestarted is called on the peer's hello. It has lost what we sent, and may have missed the end of flows that it
// announced, so both directions start again: our table is announced, and its table asked for.
//
// Ends of flows that wait to be sent are sent all the same: the restarted peer may have heard of their beginning before
// its hello came here, and an end too many does no harm.
func (c *Core) peerRestarted() {
	c.log.Info("peer (re)started", "peer", c.Links.Peer().Addr)
	c.probe.state = probeIdle // what the peer did not acknowledge before its restart reaches it in a bulk
	c.Peer.isNew = true
	c.WantBulk()
	c.RequestResync()
}

// contradicted is called when another one speaks with the peer's numbers: what either router was told may be missing
// here or there.
func (c *Core) contradicted() {
	c.log.Warn("another sender speaks with the peer's numbers, both tables are sent again: keep others off the sync link",
		"peer", c.Links.Peer().Addr, "messages", c.Peer.session.Stats().Contradicted)
	c.RequestResync()
	c.WantBulk()
}

func (c *Core) peerEstablished() {
	c.log.Info("peer answers", "peer", c.Links.Peer().Addr)
	c.Inject.peerAnswered(c.now())
}

// RequestResync asks the peer for its whole table. Before the first link is open it does nothing: startup-resync
// decides then.
func (c *Core) RequestResync() {
	if c.Peer.session == nil {
		return
	}
	c.Peer.sweepDue = false
	c.Peer.session.RequestResync(c.now())
}

// resyncSent begins to watch what the peer mentions, and not before: what it said while it took us for the daemon
// before our restart is not repeated to us when it ends.
func (c *Core) resyncSent() {
	c.Peer.sweepDue, c.Peer.full, c.Peer.emptied = false, false, false
	c.Peer.External.BeginSweep()
	c.Peer.Expect.BeginSweep()
}

// bulkReceived is called when everything that the peer had when we asked for it has arrived.
func (c *Core) bulkReceived() {
	c.Peer.table, c.Peer.sweepDue = true, true
	c.log.Info("peer's table received", "flows", c.Peer.External.Len())
	loop.Signal(c.Want.Sweep)
}

// HasTable reports whether the peer's table has come completely since the start, or will not be asked for.
func (c *Core) HasTable() bool { return c.Peer.table || !c.Config.StartupResync }

// PeerHeard returns when the peer last said something readable; 0 = never.
func (c *Core) PeerHeard() int64 { return c.Links.Peer().Heard }

// HeardOf returns when the router was last heard that spoke of a flow at updated: while another one stands in for the
// peer, who is heard says nothing of the flows from before.
func (c *Core) HeardOf(updated int64) int64 {
	if absent, standsIn := c.Links.Absent(); standsIn && updated < absent.Left {
		return absent.Heard
	}
	return c.PeerHeard()
}

// AppendInFlight appends the messages in flight. They are few enough to be copied in one visit to the loop.
func (c *Core) AppendInFlight(list []session.InFlight) []session.InFlight {
	if c.Peer.session == nil {
		return list
	}
	return c.Peer.session.AppendInFlight(list)
}
