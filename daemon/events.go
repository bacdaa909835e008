package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// What happens to flows can be watched: the core loop gathers events in a block and copies each block to every watcher.
// Without a watcher that costs the loop one comparison per event. A watcher who does not keep up loses events, which are
// counted for him; the loop never waits.

const (
	maxWatchers   = 8
	watchedEvents = 4096 // that wait for a watcher; twice that many are his memory, 3 MB
	tappedEvents  = 64   // in a block
)

// watcher is a reader of events. The lock is held for a copy by the loop and for an exchange of buffers by the reader.
type watcher struct {
	table control.Table // "" = both
	wake  chan struct{}

	mu    sync.Mutex
	batch control.EventBatch
}

func newWatcher(t control.Table) *watcher {
	return &watcher{table: t, wake: make(chan struct{}, 1), batch: control.EventBatch{Events: make([]control.Event, 0, watchedEvents)}}
}

// put copies what happened. Once something was lost, everything is until the reader has taken what is there, so that he
// learns of the loss where it happened.
func (w *watcher) put(events []control.Event, overrun bool) {
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
	signal(w.wake)
}

// take exchanges what has gathered for an empty batch with room.
func (w *watcher) take(empty control.EventBatch) control.EventBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.batch
	w.batch = control.EventBatch{Events: empty.Events[:0]}
	return full
}

// watchEvents passes events on to a reader until he leaves.
func (d *Daemon) watchEvents(ctx context.Context, q control.FlowQuery, fn func(*control.EventBatch) error) error {
	w := newWatcher(q.Table)
	full := false
	if err := d.do(ctx, func(c *core) {
		if full = len(c.watchers) == maxWatchers; !full {
			c.watchers = append(c.watchers, w)
		}
	}); err != nil {
		return err
	}
	if full {
		return &control.Error{Code: control.CodeBusy, Message: fmt.Sprintf("%d readers watch events already", maxWatchers), Hint: "end one of them"}
	}
	defer func() {
		_ = d.do(context.WithoutCancel(ctx), func(c *core) { // fails only when the loop has ended
			c.watchers = slices.DeleteFunc(c.watchers, func(x *watcher) bool { return x == w })
		})
	}()
	batch := control.EventBatch{Events: make([]control.Event, 0, watchedEvents)}
	if err := fn(&batch); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		batch = w.take(batch)
		wanted := control.EventBatch{Events: sifted(&q, batch.Events), Lost: batch.Lost, Overruns: batch.Overruns}
		if len(wanted.Events) == 0 && wanted.Lost == 0 && wanted.Overruns == 0 {
			continue
		}
		if err := fn(&wanted); err != nil {
			return err
		}
	}
}

// sifted moves the events that q asks for to the front.
func sifted(q *control.FlowQuery, events []control.Event) []control.Event {
	n := 0
	for i := range events {
		if e := &events[i]; q.Passes(&e.Flow, e.Ages) {
			if n != i {
				events[n] = *e
			}
			n++
		}
	}
	return events[:n]
}

// tap notes an event of the kernel, or of the peer, before it is applied: the cache still has what the event leaves out.
func (c *core) tap(kind control.EventKind, f *flow.Flow, peer bool) {
	if len(c.tapped) == tappedEvents {
		c.publish(false)
	}
	if c.tapped == nil {
		c.tapped = make([]control.Event, 0, tappedEvents)
	}
	c.tapped = c.tapped[:len(c.tapped)+1]
	e := &c.tapped[len(c.tapped)-1]
	*e = control.Event{Kind: kind, Peer: peer, Flow: *f}
	lookup, load := c.internal.Lookup, c.internal.Load
	if peer {
		lookup, load = c.external.Lookup, c.external.Load
	}
	ref, known := lookup(&f.Orig)
	if kind == control.EventNew || !known || !load(ref, &c.scratch) {
		return
	}
	was := &c.scratch.Flow
	if was.Has.Is(flow.HasID) && f.Has.Is(flow.HasID) && was.ID != f.ID { // of an incarnation before
		return
	}
	e.Ages = agesOf(&c.scratch, c.now())
	e.Flow = *was
	e.Flow.Merge(f)
	if f.Has.Is(flow.HasReply) {
		e.Flow.Reply = f.Reply
	}
}

// tapPeer notes what the peer says of a flow.
func (c *core) tapPeer(t wire.Type, f *flow.Flow) {
	switch t {
	case wire.CTNew:
		c.tap(control.EventNew, f, true)
	case wire.CTUpdate:
		c.tap(control.EventUpdate, f, true)
	case wire.CTDestroy:
		c.tap(control.EventDestroy, f, true)
	}
}

// publish gives what has gathered to the watchers. overrun says that the kernel dropped events before these.
func (c *core) publish(overrun bool) {
	now := time.Now()
	for i := range c.tapped {
		c.tapped[i].At = now
	}
	for _, w := range c.watchers {
		if len(c.tapped) > 0 || overrun {
			w.put(c.tapped, overrun)
		}
	}
	c.tapped = c.tapped[:0]
}
