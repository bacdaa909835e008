package core

import (
	"slices"
	"sync"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
	"ctsync/daemon/wire"
)

// What happens to flows can be watched: the loop gathers events in a block and copies each block to every watcher.
// Without a watcher that costs one comparison per event. A watcher that does not keep up loses events, which are counted
// for it; the loop never waits.

const (
	// MaxWatchers is how many watchers there may be.
	MaxWatchers = 8

	watchedEvents = 4096 // that wait for a watcher; twice that many are its memory, 3 MB
	tappedEvents  = 64   // in a block
)

// tap is what watchers are given.
type tap struct {
	watchers []*Watcher
	events   []control.Event // gathered for them
}

func (t *tap) watched() bool { return len(t.watchers) > 0 }

// Watcher is a reader of events. The lock is held for a copy by the loop and for an exchange of buffers by the reader.
type Watcher struct {
	Wake chan struct{} // gets a signal when there is something to take

	table control.Table // "" = both
	mu    sync.Mutex
	batch control.EventBatch
}

// NewWatcher returns a watcher of one cache's flows, or of both for "". Watch puts it to work.
func NewWatcher(t control.Table) *Watcher {
	return &Watcher{table: t, Wake: make(chan struct{}, 1), batch: NewEventBatch()}
}

// NewEventBatch returns an empty batch with the room that Take wants.
func NewEventBatch() control.EventBatch {
	return control.EventBatch{Events: make([]control.Event, 0, watchedEvents)}
}

// Watch passes events on to w from now on. It returns false when there are MaxWatchers already.
func (c *Core) Watch(w *Watcher) bool {
	if len(c.tap.watchers) == MaxWatchers {
		return false
	}
	c.tap.watchers = append(c.tap.watchers, w)
	return true
}

// Unwatch ends that.
func (c *Core) Unwatch(w *Watcher) {
	c.tap.watchers = slices.DeleteFunc(c.tap.watchers, func(x *Watcher) bool { return x == w })
}

// put copies what happened. Once something was lost, everything is until the reader has taken what is there, so that it
// learns of the loss where it happened.
func (w *Watcher) put(events []control.Event, overrun bool) {
	w.mu.Lock()
	for i := range events {
		e := &events[i]
		switch {
		case w.table != "" && w.table != e.Table():
		case w.batch.Lost > 0 || len(w.batch.Events) == cap(w.batch.Events):
			w.batch.Lost++
		default:
			w.batch.Events = append(w.batch.Events, *e)
		}
	}
	if overrun && w.table != control.TableExternal {
		w.batch.Overruns++
	}
	w.mu.Unlock()
	loop.Signal(w.Wake)
}

// Take exchanges what has gathered for an empty batch with room.
func (w *Watcher) Take(empty control.EventBatch) control.EventBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.batch
	w.batch = control.EventBatch{Events: empty.Events[:0]}
	return full
}

// tapFlow notes an event of the kernel, or of the peer, before it is applied: the cache still has what the event leaves
// out.
func (c *Core) tapFlow(kind control.EventKind, f *flow.Flow, peer bool) {
	if len(c.tap.events) == tappedEvents {
		c.publish(false)
	}
	if c.tap.events == nil {
		c.tap.events = make([]control.Event, 0, tappedEvents)
	}
	c.tap.events = c.tap.events[:len(c.tap.events)+1]
	e := &c.tap.events[len(c.tap.events)-1]
	*e = control.Event{Kind: kind, Peer: peer, Flow: *f}
	lookup, load := c.Own.Internal.Lookup, c.Own.Internal.Load
	if peer {
		lookup, load = c.Peer.External.Lookup, c.Peer.External.Load
	}
	ref, known := lookup(&f.Orig)
	if kind == control.EventNew || !known || !load(ref, &c.scratch) {
		return
	}
	was := &c.scratch.Flow
	if was.Has.Is(flow.HasID) && f.Has.Is(flow.HasID) && was.ID != f.ID { // of an incarnation before
		return
	}
	e.Ages = c.scratch.At(c.now())
	e.Flow = *was
	e.Flow.Merge(f)
	if f.Has.Is(flow.HasReply) {
		e.Flow.Reply = f.Reply
	}
}

// tapPeer notes what the peer says of a flow.
func (c *Core) tapPeer(t wire.Type, f *flow.Flow) {
	switch t {
	case wire.CTNew:
		c.tapFlow(control.EventNew, f, true)
	case wire.CTUpdate:
		c.tapFlow(control.EventUpdate, f, true)
	case wire.CTDestroy:
		c.tapFlow(control.EventDestroy, f, true)
	}
}

// publish gives what has gathered to the watchers. overrun says that the kernel dropped events before these.
func (c *Core) publish(overrun bool) {
	now := c.wall()
	for i := range c.tap.events {
		c.tap.events[i].At = now
	}
	for _, w := range c.tap.watchers {
		if len(c.tap.events) > 0 || overrun {
			w.put(c.tap.events, overrun)
		}
	}
	c.tap.events = c.tap.events[:0]
}
