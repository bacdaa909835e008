package query

import (
	"context"
	"fmt"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
)

// Watch passes events on to a reader until it leaves.
func (r *Reader) Watch(ctx context.Context, q control.FlowQuery, fn func(*control.EventBatch) error) error {
	w := control.NewWatcher(q.Table)
	ok := false
	if err := r.Loop.Do(ctx, func(c *core.Core) { ok = c.Tap.Watch(w) }); err != nil {
		return err
	}
	if !ok {
		return &control.Error{
			Code: control.CodeBusy, Message: fmt.Sprintf("%d readers watch events already", control.MaxWatchers), Hint: "end one of them",
		}
	}
	defer func() {
		// This fails only when the loop has ended.
		_ = r.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { c.Tap.Unwatch(w) })
	}()
	batch := control.NewEventBatch()
	if err := fn(&batch); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.Wake:
		}
		batch = w.Take(batch)
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
