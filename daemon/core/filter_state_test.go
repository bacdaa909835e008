package core_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// connection is a TCP connection in a state, as the kernel reports it.
func connection(port uint16, state uint8, status uint32) flow.Flow {
	f := flowTo(port)
	f.Orig.Proto = flow.TCP
	f.Reply = f.Orig.Inverse()
	f.Has |= flow.HasReply | flow.HasStatus | flow.HasTCPState | flow.HasID
	f.TCPState, f.Status, f.ID = state, status|flow.StatusConfirmed, uint32(port)
	return f
}

const answered, assured = flow.StatusSeenReply, flow.StatusSeenReply | flow.StatusAssured

// filteringPair is a pair of which A has a filter.
func filteringPair(t *testing.T, r flow.Rules) *coretest.Pair {
	p := coretest.NewPair(t)
	p.A.SetFilter(flow.NewFilter(r))
	return p
}

// TestFilterAssured: a flow that is not assured is nowhere. When it becomes so it is sent, read from the kernel again,
// because that event does not say everything, and then sent whole.
func TestFilterAssured(t *testing.T) {
	p := filteringPair(t, flow.Rules{Status: flow.StatusAssured})
	half, opening := connection(1, flow.TCPSynRecv, answered), connection(2, flow.TCPSynSent, 0)
	p.A.Apply(coretest.Events(ctnetlink.EventNew, half, opening))
	p.Exchange()
	if a, b := p.A.Own.Internal.Len(), p.B.Peer.External.Len(); a != 0 || b != 0 {
		t.Fatalf("internal %d, external %d, want nothing", a, b)
	}
	open := connection(2, flow.TCPEstablished, assured)
	event := open
	event.Has &^= flow.HasTCPState // a connection that was picked up: its state has not changed
	p.A.Apply(coretest.Events(ctnetlink.EventUpdate, event))
	keys := p.A.Partial()
	if len(keys) != 1 || keys[0].Orig != open.Orig {
		t.Fatalf("to be read: %+v", keys)
	}
	read := open
	read.Has |= flow.HasLabels | flow.HasHelper
	read.Labels[3] = 1
	copy(read.Helper[:], "ftp")
	complete(t, p.A, &read)
	p.Exchange()
	p.Exchange()
	got := external(t, p.B, open.Orig)
	if got.TCPState != flow.TCPEstablished || got.Labels != read.Labels || got.Helper != read.Helper {
		t.Errorf("the peer has %+v", got)
	}
	p.A.Apply(coretest.Events(ctnetlink.EventDestroy, half, open))
	p.Exchange()
	p.Exchange()
	if a, b := p.A.Own.Internal.Len(), p.B.Peer.External.Len(); a != 0 || b != 0 {
		t.Errorf("internal %d, external %d after the ends", a, b)
	}
	if m := sent(p.A); m.begun != 1 || m.ended != 1 {
		t.Errorf("sent %+v", m)
	}
}

// external returns what the external cache has of a flow.
func external(t *testing.T, c *core.Core, key flow.Tuple) flow.Flow {
	t.Helper()
	var e cache.Entry
	ref, ok := c.Peer.External.Lookup(&key)
	if !ok || !c.Peer.External.Load(ref, &e) {
		t.Fatalf("%+v is not there", key)
	}
	return e.Flow
}

// TestFilterStateLeft: a flow that comes into a state that does not pass stays as it was, whatever tells of it, and
// ends.
func TestFilterStateLeft(t *testing.T) {
	p := filteringPair(t, flow.Rules{TCPStates: []uint8{flow.TCPEstablished, flow.TCPTimeWait}})
	open, closing := connection(1, flow.TCPEstablished, assured), connection(1, flow.TCPFinWait, assured)
	marked := open
	marked.Has, marked.Mark = marked.Has&^flow.HasTCPState|flow.HasMark, 7
	stranger := connection(2, 0, assured) // of which the event says no state
	stranger.Has &^= flow.HasTCPState
	p.A.Apply(coretest.Events(ctnetlink.EventNew, open))
	p.A.Apply(coretest.Events(ctnetlink.EventUpdate, closing, marked, stranger))
	for range 2 { // a comparison with the kernel changes nothing, even after a flush
		p.A.BeginCompare()
		p.A.Merge([]flow.Flow{closing})
		if n, _ := p.A.StaleFrom(0, 100, make([]cache.Entry, 10)); n != 0 {
			t.Errorf("%d flows are stale", n)
		}
		p.A.EndCompare(nil)
		p.A.FlushInternal()
	}
	p.A.BeginCompare()
	p.A.Merge([]flow.Flow{closing})
	p.A.EndCompare(nil)
	p.Exchange()
	p.Exchange()
	if f := external(t, p.B, open.Orig); f.TCPState != flow.TCPEstablished || f.Mark != 7 || p.A.Own.Internal.Len() != 1 {
		t.Errorf("internal %d, the peer has %+v", p.A.Own.Internal.Len(), f)
	}
	reborn := open // an event is newer than the record of a dump
	reborn.ID += 7
	p.A.BeginCompare()
	p.A.Apply(coretest.Events(ctnetlink.EventDestroy, open))
	p.A.Apply(coretest.Events(ctnetlink.EventNew, reborn))
	stale := closing
	stale.ID += 3
	p.A.Merge([]flow.Flow{closing, stale})
	if n, _ := p.A.StaleFrom(0, 100, make([]cache.Entry, 10)); n != 1 || p.A.Own.Internal.Len() != 1 {
		t.Errorf("%d flows, the kernel is asked about %d, want 1 each", p.A.Own.Internal.Len(), n)
	}
	p.A.Settle([]flow.Flow{reborn}, []flow.Flow{reborn}, make([]unix.Errno, 1))
	p.A.EndCompare(nil)
	closing.ID = reborn.ID
	another := closing // in the place of the first, which ended unseen
	another.ID++
	p.A.BeginCompare()
	p.A.Merge([]flow.Flow{another})
	p.A.EndCompare(nil)
	p.Exchange()
	p.Exchange()
	if a, b := p.A.Own.Internal.Len(), p.B.Peer.External.Len(); a != 0 || b != 0 {
		t.Errorf("internal %d, external %d after another flow took its place", a, b)
	}
}

// TestFilterStateChanges: a narrower filter withdraws what is in a state that does not pass.
func TestFilterStateChanges(t *testing.T) {
	p := coretest.NewPair(t)
	half, open := connection(1, flow.TCPSynRecv, answered), connection(2, flow.TCPEstablished, assured)
	p.A.Apply(coretest.Events(ctnetlink.EventNew, half, open))
	p.Exchange()
	p.A.SetFilter(flow.NewFilter(flow.Rules{Status: flow.StatusAssured}))
	if _, n := p.A.EvictFrom(0, 100); n != 1 {
		t.Errorf("%d flows evicted, want 1", n)
	}
	p.Exchange()
	p.Exchange()
	if n := p.B.Peer.External.Len(); n != 1 {
		t.Errorf("the peer has %d flows, want 1", n)
	}
	external(t, p.B, open.Orig)
}
