package query

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
		if e := &events[i]; passes(q, &e.Flow, e.Ages) {
			if n != i {
				events[n] = *e
			}
			n++
		}
	}
	return events[:n]
}

