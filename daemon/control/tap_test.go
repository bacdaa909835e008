package control

import (
	"testing"
	"time"
)

// TestTap: a watcher gets the events of the table that it asked for, and learns where it lost some.
func TestTap(t *testing.T) {
	var tap Tap
	all, peers := NewWatcher(""), NewWatcher(TableExternal)
	for _, w := range []*Watcher{all, peers} {
		if !tap.Watch(w) {
			t.Fatal("no room for a watcher")
		}
	}
	at := time.Unix(1, 0)
	say := func(peer bool) {
		if tap.Full() {
			tap.Publish(at, false)
		}
		*tap.Next() = Event{Kind: EventUpdate, Peer: peer}
	}
	say(true)
	say(false)
	tap.Publish(at, true)
	<-all.Wake
	b := all.Take(NewEventBatch())
	if len(b.Events) != 2 || b.Overruns != 1 || !b.Events[0].At.Equal(at) || !b.Events[0].Peer || b.Events[1].Peer {
		t.Errorf("of both: %+v", b)
	}
	<-peers.Wake
	if b := peers.Take(NewEventBatch()); len(b.Events) != 1 || b.Overruns != 0 || !b.Events[0].Peer {
		t.Errorf("of the peer: %+v", b)
	}
	for range watchedEvents + 100 {
		say(false)
	}
	tap.Publish(at, false)
	if b := all.Take(b); len(b.Events) != watchedEvents || b.Lost != 100 {
		t.Errorf("a slow reader gets %d events and %d lost", len(b.Events), b.Lost)
	}
	tap.Unwatch(all)
	tap.Unwatch(peers)
	say(false)
	if tap.Publish(at, false); tap.Watched() || len(all.Take(NewEventBatch()).Events) != 0 {
		t.Error("a reader that left gets events")
	}
}
