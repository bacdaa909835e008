package core_test

import (
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/wire"
)

// clocked is a pair that shares a clock which only the test moves.
type clocked struct {
	*coretest.Pair
	clock int64
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	k := &clocked{clock: int64(time.Hour)}
	k.Pair = coretest.NewPair(t, onClock(&k.clock))
	for range 5 { // both hear each other at the new time
		k.pass(100 * time.Millisecond)
		k.Exchange()
	}
	return k
}

func (k *clocked) pass(d time.Duration) { k.clock += int64(d) }

// event gives router A a block of events that was read some time ago.
func (k *clocked) event(kind ctnetlink.Kind, from int, ago time.Duration) {
	k.A.ReadAt(k.clock - int64(ago))
	k.A.Apply(coretest.Block(kind, from))
}

func (k *clocked) times() control.Times { return statistics(k.A).Times }

// want compares the counts and sums of the samples of A.
func (k *clocked) want(t *testing.T, sent, acked uint64, sentSum, ackedSum time.Duration) {
	t.Helper()
	s, a := k.times().EventSent, k.times().EventAcknowledged
	if s.Count != sent || a.Count != acked || time.Duration(s.Sum) != sentSum || time.Duration(a.Sum) != ackedSum {
		t.Errorf("sent %d in %v, acknowledged %d in %v; want %d in %v, %d in %v",
			s.Count, s.Sum, a.Count, a.Sum, sent, sentSum, acked, ackedSum)
	}
}

// TestLatency follows an event through the queue, over the link and back.
func TestLatency(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 2*time.Millisecond)
	k.event(ctnetlink.EventNew, 500, 0) // not followed: one at a time
	k.want(t, 0, 0, 0, 0)
	k.pass(3 * time.Millisecond)
	k.A.Transmit()
	k.want(t, 1, 0, 5*time.Millisecond, 0)
	k.pass(10 * time.Millisecond)
	k.Exchange() // the peer has it, and gathers acknowledgements
	k.want(t, 1, 0, 5*time.Millisecond, 0)
	k.pass(70 * time.Millisecond)
	k.Exchange()
	k.Exchange()
	k.want(t, 1, 1, 5*time.Millisecond, 85*time.Millisecond)
	b := k.times().EventAcknowledged.Buckets
	if b[8].UpTo != control.Duration(50*time.Millisecond) || b[8].Count != 0 || b[9].Count != 1 {
		t.Errorf("buckets %+v", b)
	}
	// An event that changes what is known says something new, and is followed too.
	k.event(ctnetlink.EventUpdate, 1, 0)
	k.pass(time.Millisecond)
	k.A.Transmit()
	k.want(t, 2, 1, 6*time.Millisecond, 85*time.Millisecond)
}

// What is lost by the network is followed until it arrives, and was sent for the first time only once.
func TestLatencyOfWhatIsLost(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 0)
	k.A.Transmit()
	k.LA.Drop()
	k.pass(100 * time.Millisecond)
	k.event(ctnetlink.EventNew, 500, 0)
	for range 10 {
		k.Exchange()
		k.pass(100 * time.Millisecond)
	}
	s, a := k.times().EventSent, k.times().EventAcknowledged
	if s.Count != 1 || s.Sum != 0 || a.Count != 1 || a.Sum < control.Duration(200*time.Millisecond) {
		t.Errorf("sent %d in %v, acknowledged %d in %v", s.Count, s.Sum, a.Count, a.Sum)
	}
}

// What never leaves, or leaves for a peer that forgets it, is not followed for ever.
func TestLatencyGivesUp(t *testing.T) {
	k := newClocked(t)
	k.event(ctnetlink.EventNew, 1, 0)
	k.event(ctnetlink.EventDestroy, 1, 0) // before it was ever sent: the peer need not know
	if k.A.Transmit(); k.A.Following() {
		t.Error("ended flows are followed")
	}
	k.want(t, 0, 0, 0, 0)

	k.event(ctnetlink.EventNew, 1000, 0)
	k.A.Transmit()
	if !k.A.Following() {
		t.Error("an event that left is not followed")
	}
	k.B, k.LB = coretest.NewOpen(onClock(&k.clock)) // the peer restarts
	if k.Exchange(); k.A.Following() {
		t.Error("what the peer has forgotten is followed")
	}
	for range 5 {
		k.pass(100 * time.Millisecond)
		k.Exchange()
	}
	k.event(ctnetlink.EventNew, 2000, 0)
	if !k.A.Following() {
		t.Error("an event for the restarted peer is not followed")
	}
	k.pass(time.Minute) // the peer is silent, and another router speaks in its place
	k.A.Receive(k.A.Links.Channels()[0], coretest.AddrB.Next(), wire.AppendControl(nil, wire.Alive, 1<<30, 0, 0))
	if k.A.Following() {
		t.Error("what was sent to another peer is followed")
	}
	k.pass(time.Minute) // the peer is silent
	k.event(ctnetlink.EventNew, 3000, 0)
	if k.A.Following() {
		t.Error("an event is followed to a peer that is not there")
	}
}

// TestStatisticsShareNothing: what a client gets is written while the loop goes on counting.
func TestStatisticsShareNothing(t *testing.T) {
	c := coretest.New()
	lost := &control.CommitResult{
		Failed: 1, Errors: control.Reasons{"EEXIST": 1},
		Expect: &control.ExpectResult{Failed: 1, Errors: control.Reasons{"ENOENT": 1}},
	}
	c.Committed(lost, false, true)
	s := statistics(c)
	c.Committed(lost, false, true)
	if s.Commit.Errors["EEXIST"] != 1 || s.Commit.Expect.Failed != 1 || s.Commit.Expect.Errors["ENOENT"] != 1 {
		t.Errorf("what a client got changed afterwards: %+v, %+v", s.Commit, s.Commit.Expect)
	}
	now := statistics(c)
	if now.Commit.Errors["EEXIST"] != 2 || now.Commit.Expect.Errors["ENOENT"] != 2 || now.Times.Commit.Count != 2 {
		t.Errorf("totals %+v, %+v", now.Commit, now.Commit.Expect)
	}
}
