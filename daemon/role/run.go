package role

import (
	"context"
	"sync"
	"time"

	"ctsync/daemon/control"
)

// Run carries out role changes until ctx ends. ready is closed when the daemon's start is complete: a parked MASTER
// waits for it. A new transition ends the work of the one before.
func (r *Roles) Run(ctx context.Context, ready <-chan struct{}, work Work) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	end := r.resume(ctx, work) // ends the work of the present role
	for {
		select {
		case <-ctx.Done():
			end()
			r.saving.Wait()
			return nil
		case t := <-r.work:
			end()
			end = during(ctx, func(role context.Context) { r.transition(ctx, role, work, t) })
		}
	}
}

// resume goes on with the work of the role that the daemon had before it was restarted: a takeover that was cut short
// is done again, a purge that was still to come is still to come.
func (r *Roles) resume(ctx context.Context, work Work) (end func()) {
	t := r.inherited
	switch {
	case t == nil:
	case !t.HasWorked():
		r.log.Info("doing again what was cut short before the restart", "state", t.State, "outcome", t.Outcome)
		return during(ctx, func(role context.Context) { r.transition(ctx, role, work, *t) })
	case t.State != control.StateMaster:
		return during(ctx, func(role context.Context) { work.Later(role, *t, r.keep) })
	}
	return func() {}
}

// during runs work under a context of its own and returns the function that ends that and waits for the work.
func during(ctx context.Context, work func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var busy sync.WaitGroup
	busy.Go(func() { work(ctx) })
	return func() {
		cancel()
		busy.Wait()
	}
}

// transition does the work of one accepted transition and records its outcome. daemon is the daemon's context, ctx the
// role's.
func (r *Roles) transition(daemon, ctx context.Context, work Work, t control.Transition) {
	r.log.Info("role changes", "state", t.State, "group", t.Group, "source", t.Source)
	t.Started, t.Outcome = time.Now(), control.OutcomeRunning
	r.keep(t)
	err := work.Begin(ctx, &t)
	t.Finished = time.Now()
	switch {
	case err == nil:
		t.Worked()
		r.finish(t.ID, finished)
	case daemon.Err() != nil:
		t.Outcome = control.OutcomeFailed + "the daemon ended before it was finished"
	case ctx.Err() != nil:
		t.Outcome = control.OutcomeSuperseded
	default:
		t.Outcome = control.OutcomeFailed + err.Error()
		r.finish(t.ID, failed)
		r.log.Error("role change failed", "state", t.State, "err", err)
	}
	r.keep(t)
	if err == nil {
		work.Later(ctx, t, r.keep)
	}
}

// keep updates the record of t and has the history written. No work waits for that: a disk may take longer than a
// takeover, or hang.
func (r *Roles) keep(t control.Transition) {
	r.History.update(t)
	r.saving.Go(r.save)
}

func (r *Roles) save() {
	if err := r.History.save(); err != nil {
		r.log.Error("transitions are not kept over a restart", "err", err)
	}
}
