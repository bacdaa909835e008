package control

import (
	"slices"
	"sync"
	"time"
)

const (
	// MaxWatchers is how many watchers a Tap may have: as many as there are places for them, see watchRoom.
	MaxWatchers = 12

	watchedEvents = 4096 // that wait for a watcher; twice that many are its memory, 3 MB
	tappedEvents  = 64   // in a block
)

// Tap passes events on to watchers: it gathers them in a block and copies each block to every watcher. A watcher that
// does not keep up loses events, which are counted for it; the Tap never waits. It belongs to the core loop. The zero
// value has no watcher, and then needs no events.
type Tap struct {
	watchers []*Watcher
	events   []Event // gathered
}

// Watch passes events on to w from now on. It returns false when there are MaxWatchers already.
func (t *Tap) Watch(w *Watcher) bool {
	if len(t.watchers) == MaxWatchers {
		return false
	}
	t.watchers = append(t.watchers, w)
	return true
}

// Unwatch ends that.
func (t *Tap) Unwatch(w *Watcher) {
	t.watchers = slices.DeleteFunc(t.watchers, func(x *Watcher) bool { return x == w })
}

// Watched reports whether there is a watcher.
func (t *Tap) Watched() bool { return len(t.watchers) > 0 }

// Next adds an event to the block and returns it, to be filled in. The block must not be full.
func (t *Tap) Next() *Event {
	if t.events == nil {
		t.events = make([]Event, 0, tappedEvents)
	}
	t.events = t.events[:len(t.events)+1]
	return &t.events[len(t.events)-1]
}

// Full reports whether the block must be published before another event is added.
func (t *Tap) Full() bool { return len(t.events) == tappedEvents }

// Publish gives the block to the watchers, as having happened at a time. overrun says that the kernel dropped events
// before these.
func (t *Tap) Publish(at time.Time, overrun bool) {
	for i := range t.events {
		t.events[i].At = at
	}
	for _, w := range t.watchers {
		if len(t.events) > 0 || overrun {
			w.put(t.events, overrun)
		}
	}
	t.events = t.events[:0]
}

// Watcher is a reader of events. Its lock is held for a copy by the loop and for an exchange of buffers by the reader.
type Watcher struct {
	Wake chan struct{} // gets a signal when there is something to take

	table Table // "" = both
	mu    sync.Mutex
	batch EventBatch
}

// NewWatcher returns a watcher of one cache's flows, or of both for "". Tap.Watch puts it to work.
func NewWatcher(t Table) *Watcher {
	return &Watcher{table: t, Wake: make(chan struct{}, 1), batch: NewEventBatch()}
}

// NewEventBatch returns an empty batch with the room that Watcher.Take wants.
func NewEventBatch() EventBatch { return EventBatch{Events: make([]Event, 0, watchedEvents)} }

// put copies what happened. Once something was lost, everything is until the reader has taken what is there, so that it
// learns of the loss where it happened.
func (w *Watcher) put(events []Event, overrun bool) {
	w.mu.Lock()
	for i := range events {
		e := &events[i]
		switch {
		case w.table != "" && w.table != e.Table():
		case len(w.batch.Events) == cap(w.batch.Events):
			w.batch.Lost++
		default:
			w.batch.Events = append(w.batch.Events, *e)
		}
	}
	if overrun && w.table != TableExternal {
		w.batch.Overruns++
	}
	w.mu.Unlock()
	select {
	case w.Wake <- struct{}{}:
	default: // it is awake
	}
}

// Take exchanges what has gathered for an empty batch with room.
func (w *Watcher) Take(empty EventBatch) EventBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.batch
	w.batch = EventBatch{Events: empty.Events[:0]}
	return full
}
