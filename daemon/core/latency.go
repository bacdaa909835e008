package core

// probe follows one event at a time to the peer and back, for Times.Sent and .Acked; events that come meanwhile are
// not looked at. That is some samples per second on a busy link, for a comparison per message and no memory.
//
// What is followed is a place in the queue to the peer, its end after the block that the event came in: when everything
// up to there has left, the event has left too, and the last of these messages is the one waited for.
type probe struct {
	state probeState
	read  int64  // when the block was read
	place uint32 // queued: the place
	seq   uint32 // sent: number of the message
	again bool   // it was lost before
}

type probeState uint8

const (
	probeIdle probeState = iota
	probeQueued
	probeSent
)

// followBlock begins to follow a block that was read at the given time (0 = not known) and before which the queue to
// the peer ended at the place before. A block that queued nothing is not followed, nor one that no peer waits for.
func (c *Core) followBlock(read int64, before uint32) {
	p := &c.probe
	if p.state != probeIdle || read == 0 || c.Peer.session == nil || c.now()-c.PeerHeard() >= int64(aliveInterval) {
		return
	}
	if place := c.Own.Internal.Tail(); place != before {
		*p = probe{state: probeQueued, read: read, place: place}
	}
}

// followSent notes that message seq was built.
func (c *Core) followSent(seq uint32) {
	p := &c.probe
	if !c.Own.Internal.Passed(p.place) {
		return
	}
	if !p.again {
		c.Times.Sent.Observe(c.now() - p.read)
	}
	p.state, p.seq = probeSent, seq
}

// followEnd ends a probe whose records have all left without a message: the filter changed, or they ended unsent.
func (c *Core) followEnd() {
	if c.probe.state == probeQueued && c.Own.Internal.Passed(c.probe.place) {
		c.probe.state = probeIdle
	}
}

// followAcked and followLost take what became of message seq. One that was lost is queued again, and still followed.
func (c *Core) followAcked(seq uint32) {
	if p := &c.probe; p.state == probeSent && p.seq == seq {
		p.state = probeIdle
		c.Times.Acked.Observe(c.now() - p.read)
	}
}

func (c *Core) followLost(seq uint32) {
	if p := &c.probe; p.state == probeSent && p.seq == seq {
		p.state, p.place, p.again = probeQueued, c.Own.Internal.Tail(), true
	}
}
