package daemon

import (
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
)

// clocked is a pair that shares a clock which only the test moves.
type clocked struct {
	*testPair
	clock int64
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	k := &clocked{testPair: newTestPair(t), clock: int64(time.Hour)}
	k.a.now = func() int64 { return k.clock }
	k.b.now = k.a.now
	for range 5 { // both hear each other at the new time
		k.pass(100 * time.Millisecond)
		k.exchange()
	}
	k.a.took = durations{}
	return k
}

func (k *clocked) pass(d time.Duration) { k.clock += int64(d) }

// event gives router a a block of events that was read some time ago.
func (k *clocked) event(kind ctnetlink.Kind, from int, ago time.Duration) {
	k.a.readAt = k.clock - int64(ago)
	k.a.applyEvents(block(kind, from))
}

func (k *clocked) times() control.Times { return k.a.took.snapshot() }

// want compares the counts and sums of the samples of a.
func (k *clocked) want(t *testing.T, sent, acked uint64, sentSum, ackedSum time.Duration) {
	t.Helper()
	s, a := k.times().EventSent, k.times().EventAcknowledged
	if s.Count != sent || a.Count != acked || time.Duration(s.Sum) != sentSum || time.Duration(a.Sum) != ackedSum {
		t.Errorf("sent %d in %v, acknowledged %d in %v; want %d in %v, %d in %v", s.Count, s.Sum, a.Count, a.Sum, sent, sentSum, acked, ackedSum)
	}
}

// TestLatency follows an event through the queue, over the link and back.
func TestLatency(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 2*time.Millisecond)
	k.event(ctnetlink.EventNew, 500, 0) // not followed: one at a time
	k.want(t, 0, 0, 0, 0)
	k.pass(3 * time.Millisecond)
	k.a.transmit()
	k.want(t, 1, 0, 5*time.Millisecond, 0)
	k.pass(10 * time.Millisecond)
	k.exchange() // the peer has it, and gathers acknowledgements
	k.want(t, 1, 0, 5*time.Millisecond, 0)
	k.pass(70 * time.Millisecond)
	k.exchange()
	k.exchange()
	k.want(t, 1, 1, 5*time.Millisecond, 85*time.Millisecond)
	if h := k.times().EventAcknowledged; h.Buckets[8].UpTo != control.Duration(50*time.Millisecond) || h.Buckets[8].Count != 0 || h.Buckets[9].Count != 1 {
		t.Errorf("buckets %+v", h.Buckets)
	}
	// An event that changes what is known says something new, and is followed too.
	k.event(ctnetlink.EventUpdate, 1, 0)
	k.pass(time.Millisecond)
	k.a.transmit()
	k.want(t, 2, 1, 6*time.Millisecond, 85*time.Millisecond)
}

// What is lost on the way is followed until it arrives, and was sent for the first time only once.
func TestLatencyOfWhatIsLost(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 0)
	k.a.transmit()
	k.la.buf, k.la.ends = nil, nil // lost on the way
	k.pass(100 * time.Millisecond)
	k.event(ctnetlink.EventNew, 500, 0)
	for range 10 {
		k.exchange()
		k.pass(100 * time.Millisecond)
	}
	h := k.times()
	if h.EventSent.Count != 1 || h.EventSent.Sum != 0 || h.EventAcknowledged.Count != 1 || h.EventAcknowledged.Sum < control.Duration(200*time.Millisecond) {
		t.Errorf("sent %d in %v, acknowledged %d in %v", h.EventSent.Count, h.EventSent.Sum, h.EventAcknowledged.Count, h.EventAcknowledged.Sum)
	}
}

// What never leaves, or leaves for a peer that forgets it, is not followed for ever.
func TestLatencyGivesUp(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 0)
	k.event(ctnetlink.EventDestroy, 1, 0) // before it was ever sent: the peer need not know
	k.a.transmit()
	if k.a.probe.state != probeIdle {
		t.Error("ended flows are followed")
	}
	k.want(t, 0, 0, 0, 0)

	k.event(ctnetlink.EventNew, 1000, 0)
	k.a.transmit()
	k.a.peerRestarted()
	if k.a.probe.state != probeIdle {
		t.Error("what the peer has forgotten is followed")
	}
	k.event(ctnetlink.EventNew, 2000, 0)
	k.a.newSession()
	if k.a.probe.state != probeIdle {
		t.Error("what another peer was told is followed")
	}

	k.pass(time.Minute) // the peer is silent
	k.event(ctnetlink.EventNew, 3000, 0)
	if k.a.probe.state != probeIdle {
		t.Error("an event is followed to a peer who is not there")
	}
}

// TestStatisticsShareNothing: what a client is told is written while the core loop goes on counting.
func TestStatisticsShareNothing(t *testing.T) {
	c, _ := newTestCore()
	lost := &control.CommitResult{
		Failed: 1, Errors: map[string]uint64{"EEXIST": 1},
		Expect: &control.ExpectResult{Failed: 1, Errors: map[string]uint64{"ENOENT": 1}},
	}
	c.totals.Add(lost)
	var s control.Statistics
	c.statistics(&s)
	c.totals.Add(lost)
	if s.Commit.Errors["EEXIST"] != 1 || s.Commit.Expect.Failed != 1 || s.Commit.Expect.Errors["ENOENT"] != 1 {
		t.Errorf("what was told changed afterwards: %+v, %+v", s.Commit, s.Commit.Expect)
	}
	if c.totals.Errors["EEXIST"] != 2 || c.totals.Expect.Errors["ENOENT"] != 2 {
		t.Errorf("totals %+v, %+v", c.totals, c.totals.Expect)
	}
}
