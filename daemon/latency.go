package daemon

import "ctsync/daemon/control"

// histogram counts durations in the buckets of control.Bounds, the last one beyond them all. It belongs to the core loop.
type histogram struct {
	counts [len(control.Bounds) + 1]uint64
	sum    int64 // ns
}

func (h *histogram) observe(ns int64) {
	i := 0
	for i < len(control.Bounds) && ns > int64(control.Bounds[i]) {
		i++
	}
	h.counts[i]++
	h.sum += ns
}

func (h *histogram) snapshot() control.Histogram {
	s := control.Histogram{Sum: control.Duration(h.sum), Buckets: make([]control.Bucket, len(control.Bounds))}
	for i, n := range h.counts {
		s.Count += n
		if i < len(control.Bounds) {
			s.Buckets[i] = control.Bucket{UpTo: control.Duration(control.Bounds[i]), Count: s.Count}
		}
	}
	return s
}

// durations are the histograms of control.Times.
type durations struct {
	sent, acked, commit, takeover histogram
}

func (d *durations) snapshot() control.Times {
	return control.Times{
		EventSent: d.sent.snapshot(), EventAcknowledged: d.acked.snapshot(),
		Commit: d.commit.snapshot(), Takeover: d.takeover.snapshot(),
	}
}

// probe follows one event at a time to the peer and back, for durations.sent and .acked; events that come meanwhile are
// not looked at. That is some samples per second on a busy link, for a comparison per message and no memory.
//
// What is followed is a place in the queue to the peer, its end after the block that the event came in: when everything up
// to there has left, the event has left too, and the last of these messages is the one waited for.
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

// followBlock begins to follow a block that was read at the given time (0 = not known) and before which the queue to the
// peer ended at the place before. A block that queued nothing is not followed, nor one that no peer waits for.
func (c *core) followBlock(read int64, before uint32) {
	p := &c.probe
	if p.state != probeIdle || read == 0 || c.session == nil || c.now()-c.peer.heard >= int64(aliveInterval) {
		return
	}
	if place := c.internal.Tail(); place != before {
		*p = probe{state: probeQueued, read: read, place: place}
	}
}

// passed reports whether all that was queued when the probe began has left.
func (c *core) passed() bool { return c.internal.Passed(c.probe.place) }

// followSent notes that message seq was built.
func (c *core) followSent(seq uint32) {
	p := &c.probe
	if !c.passed() {
		return
	}
	if !p.again {
		c.took.sent.observe(c.now() - p.read)
	}
	p.state, p.seq = probeSent, seq
}

// followEnd ends a probe whose records have all left without a message: the filter changed, or they ended unsent.
func (c *core) followEnd() {
	if c.probe.state == probeQueued && c.passed() {
		c.probe.state = probeIdle
	}
}

// followAcked and followLost take what became of message seq. One that was lost is queued again, and still followed.
func (c *core) followAcked(seq uint32) {
	if p := &c.probe; p.state == probeSent && p.seq == seq {
		p.state = probeIdle
		c.took.acked.observe(c.now() - p.read)
	}
}

func (c *core) followLost(seq uint32) {
	if p := &c.probe; p.state == probeSent && p.seq == seq {
		p.state, p.place, p.again = probeQueued, c.internal.Tail(), true
	}
}
