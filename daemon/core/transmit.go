package core

import (
	"math"
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

// expectRef marks what is an expectation among the session's references; the caches number both from 1.
const expectRef session.Ref = 1 << 31

// queue is what waits to be sent from Own to Peer: the dirty lists of the two caches, flows first.
type queue struct {
	flow         cache.Outgoing       // reused by Transmit
	expect       cache.OutgoingExpect // likewise
	flows        uint64               // records taken from the dirty list of flows since the start
	expectations uint64               // likewise of expectations
}

// Place is a place in the queue to the peer.
type Place struct{ flows, expectations uint64 }

// queued returns the place in the queue to the peer of a record that becomes dirty now: behind all flows that are dirty.
func (c *Core) queued() uint64 { return c.queue.flows + uint64(c.Own.Internal.Dirty()) }

// Queued returns the place behind everything that waits to be sent now.
func (c *Core) Queued() Place {
	return Place{c.queued(), c.queue.expectations + uint64(c.Own.Expect.Dirty())}
}

// Passed reports whether everything before p has left.
func (c *Core) Passed(p Place) bool {
	return (c.queue.flows >= p.flows || c.Own.Internal.Dirty() == 0) &&
		(c.queue.expectations >= p.expectations || c.Own.Expect.Dirty() == 0)
}

// dirty returns how many messages of state wait to be sent.
func (c *Core) dirty() int { return c.Own.Internal.Dirty() + c.Own.Expect.Dirty() }

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
		if !c.Own.Internal.Next(&c.queue.flow) {
			break
		}
		c.queue.flows++
		c.sendFlow(now)
	}
	c.followEnd()
	c.Peer.session.Finish()
	c.flushOutput()
}

// sendFlow sends the flow in c.queue.flow.
func (c *Core) sendFlow(now int64) {
	o := &c.queue.flow
	if o.Type != cache.KindDestroy && !c.Own.Filter.Pass(&o.Flow.Orig) {
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
	c.trim(&o.Flow)
	seq := c.Peer.session.SendFlow(now, wire.Type(o.Type), &o.Flow, session.Ref(o.Ref))
	c.Own.Internal.Sent(o.Ref, seq)
	if c.probe.state == probeQueued {
		c.followSent(seq)
	}
	if _, ends := c.Peer.session.Output(); len(ends) >= outputDatagrams {
		c.flushOutput()
	}
}

// trim leaves out what is of no use to the peer: a SYNPROXY state of zeros, which the kernel reports for every flow that
// was made through ctnetlink, and window scales, which a flow that is restored be-liberal does not need (conntrackd does
// the same without TCPWindowTracking). A flow that is be-liberal here, because the kernel or a commit met it without
// knowing its scales, is sent without them, and so is restored be-liberal there too: the scales that the kernel reports
// of it are not the connection's.
func (c *Core) trim(f *flow.Flow) {
	if f.Synproxy == (flow.Synproxy{}) {
		f.Has &^= flow.HasSynproxy
	}
	liberal := f.Has.Is(flow.HasTCPFlags) && (f.TCPFlags[0]|f.TCPFlags[1])&flow.TCPFlagBeLiberal != 0
	if !c.Config.TCPWindowTracking || liberal {
		f.Has &^= flow.HasTCPWScale
	}
}

// sendExpectation sends the expectation that is next in the queue, and reports whether there was one: flows that were
// dirty before it come first.
func (c *Core) sendExpectation(now int64) bool {
	passed := c.queue.flows
	if c.Own.Internal.Dirty() == 0 {
		passed = math.MaxUint64
	}
	o := &c.queue.expect
	if !c.Own.Expect.Next(passed, o) {
		return false
	}
	c.queue.expectations++
	e := &o.Expectation
	if l, lacking := wire.ExpectationLack(e); lacking {
		if c.Own.Expect.Note(o.Ref) {
			c.lacks[l]++
		}
		return true // never sent, so the peer need not hear of its end either
	}
	if passed := (now - o.Updated) / int64(time.Second); passed > 0 && e.Has.Is(flow.HasTimeout) {
		e.Timeout = lifetime.Left(e.Timeout, passed)
	}
	seq := c.Peer.session.SendExpectation(now, wire.ExpNew+wire.Type(o.Type), e, expectRef|session.Ref(o.Ref))
	c.Own.Expect.Sent(o.Ref, seq)
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

// acked and lost pass on to the cache that a reference belongs to what became of message seq.
func (c *Core) acked(r session.Ref, seq uint32) {
	c.followAcked(seq)
	if r&expectRef != 0 {
		c.Own.Expect.Acked(cache.Ref(r&^expectRef), seq)
		return
	}
	c.Own.Internal.Acked(cache.Ref(r), seq)
}

func (c *Core) lost(r session.Ref, seq uint32) {
	if r&expectRef != 0 {
		c.Own.Expect.Lost(cache.Ref(r&^expectRef), seq)
		return
	}
	c.Own.Internal.Lost(cache.Ref(r), seq)
	c.followLost(seq)
}
