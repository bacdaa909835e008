package core

import (
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// transmitSlice bounds how many messages leave in one turn of the loop, so that events are read in between.
const transmitSlice = 4096

// outputDatagrams is how many finished datagrams are handed to the link at once: the most that one UDP_SEGMENT call
// takes.
const outputDatagrams = 64

// outgoing is what Transmit takes from the queue of the internal caches. It is reused.
type outgoing struct {
	flow   cache.Outgoing
	expect cache.OutgoingExpect
}

// Transmit sends what is dirty in the internal cache as far as the session has room.
func (c *Core) Transmit() {
	if c.Peer.session == nil || c.holdsBack() {
		return
	}
	now := c.now()
	for n := 0; n < transmitSlice && c.Peer.session.Room() > 0; n++ {
		if c.sendExpectation(now) {
			continue
		}
		if !c.Own.Internal.Next(&c.outgoing.flow) {
			break
		}
		c.sendFlow(now)
	}
	c.followEnd()
	c.Peer.session.Finish()
	c.flushOutput()
}

// sendFlow sends the flow in c.outgoing.flow.
func (c *Core) sendFlow(now int64) {
	o := &c.outgoing.flow
	if o.Type != cache.KindDestroy && !c.Own.Filter.Pass(&o.Flow) {
		return // the filter has changed and will have the flow's end sent, if the peer knows of it
	}
	if l, lacking := wire.FlowLack(&o.Flow); lacking && o.Type != cache.KindDestroy {
		if c.Own.Internal.Note(o.Ref) {
			c.lacks[l]++
		}
		if l == wire.LackZone {
			return // never sent, so the peer need not hear of its changes and its end either
		}
	}
	lifetime.Age(&o.Flow, o.Updated, now)
	wire.Trim(&o.Flow, c.Config.TCPWindowTracking)
	seq := c.Peer.session.SendFlow(now, wire.Type(o.Type), &o.Flow, session.Ref(o.Ref))
	c.sent(o.Ref, seq)
	if _, ends := c.Peer.session.Output(); len(ends) >= outputDatagrams {
		c.flushOutput()
	}
}

// sendExpectation sends the expectation that is first in the queue, and reports whether that is one and not a flow.
func (c *Core) sendExpectation(now int64) bool {
	o := &c.outgoing.expect
	if !c.Own.Expect.Next(o) {
		return false
	}
	e := &o.Expectation
	if l, lacking := wire.ExpectationLack(e); lacking {
		if c.Own.Internal.Note(o.Ref) {
			c.lacks[l]++
		}
		return true // never sent, so the peer need not hear of its end either
	}
	if passed := (now - o.Updated) / int64(time.Second); passed > 0 && e.Has.Is(flow.HasTimeout) {
		e.Timeout = lifetime.Left(e.Timeout, passed)
	}
	seq := c.Peer.session.SendExpectation(now, wire.ExpNew+wire.Type(o.Type), e, session.Ref(o.Ref))
	c.sent(o.Ref, seq)
	return true
}

// flushOutput hands what the session has finished to the link that sends.
func (c *Core) flushOutput() {
	buf, ends := c.Peer.session.Output()
	if len(ends) == 0 {
		return
	}
	if l := c.Links.Sending().Open; l != nil {
		// What the link cannot send is counted there, and the session sends it again when the peer misses it.
		_ = l.Send(buf, ends)
	}
	c.Peer.session.Reset()
}

// sent, acked and lost say what became of a flow or an expectation that left the queue.
func (c *Core) sent(r cache.Ref, seq uint32) {
	c.Own.Internal.Sent(r, seq)
	if c.probe.state == probeQueued {
		c.followSent(seq)
	}
}

func (c *Core) acked(r session.Ref, seq uint32) {
	c.followAcked(seq)
	c.Own.Internal.Acked(cache.Ref(r), seq)
}

func (c *Core) lost(r session.Ref, seq uint32) {
	c.Own.Internal.Lost(cache.Ref(r), seq)
	c.followLost(seq)
}
