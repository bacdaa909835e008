package daemon

import (
	"context"
	"sync"
	"time"

	"ctsync/daemon/control"
)

// roles turns keepalived's notifications into role changes. It decides which of them count; runRoles does their work.
type roles struct {
	history *history
	work    chan control.Transition // accepted transitions, for runRoles

	mu    sync.Mutex
	group string
	state control.State // "" until the first notification
	since time.Time
	sent  int64  // CLOCK_BOOTTIME (ns) of the notification that made the present role
	made  uint64 // ID of the transition that made the present role
	began int64  // CLOCK_BOOTTIME (ns) of its notification
	phase phase  // of its work

	inherited *control.Transition // made the role in a former life of the daemon
}

// phase is how far the work of a role has come.
type phase uint8

const (
	working phase = iota
	finished
	failed
)

// repetition is how long, in ns, a notification of the present role counts as a repetition of the one that made it.
// keepalived runs the scripts of a transition within milliseconds of each other. One that comes later means that the
// router left the role meanwhile and nobody told us: keepalived kills its scripts when it stops.
const repetition = int64(10 * time.Second)

// roleQueue bounds how many transitions may wait while one is being interrupted. keepalived's fastest flapping stays
// far below it.
const roleQueue = 64

// newRoles starts with the role of the last transition if this machine has not been rebooted since: a restart of the
// daemon does not change what keepalived said. Work that the former life did not finish is done again.
func newRoles(group string, h *history) *roles {
	r := &roles{group: group, history: h, work: make(chan control.Transition, roleQueue)}
	if !h.thisBoot() {
		return r
	}
	for _, t := range h.list() {
		switch {
		case t.Group != group || t.Boottime == 0: // another group's, or of another boot
		case t.Outcome == control.OutcomeRepeated:
			r.sent = max(r.sent, t.Boottime)
		case counts(&t):
			r.state, r.since, r.sent = t.State, t.Received, t.Boottime
			r.made, r.began, r.phase, r.inherited = t.ID, t.Boottime, finished, &t
			if t.Outcome != control.OutcomeDone {
				r.phase = failed
			}
		}
	}
	return r
}

// current returns the present state and since when it holds.
func (r *roles) current() (control.State, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.since
}

// finish notes how the work of transition id ended, if it still makes the present role.
func (r *roles) finish(id uint64, p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == id {
		r.phase = p
	}
}

// repeats reports whether a notification repeats the one that made the present role.
func (r *roles) repeats(n *control.Notification) bool {
	return n.State == r.state && (r.phase == working || r.phase == finished && n.Boottime-r.began < repetition)
}

// follow changes the sync-group that is followed.
func (r *roles) follow(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group = group
}

// notify records a notification, decides whether it counts, and returns at once; the work follows in runRoles.
//
// Scripts of keepalived overlap and can start out of order, so what counts is when a notification was sent: one older
// than the present role's is superseded. A repetition (keepalived may be configured to say everything twice) does not
// disturb the work of the first; see repeats.
func (r *roles) notify(n control.Notification, received time.Time) control.Transition {
	if now := control.Boottime(); n.Boottime == 0 || n.Boottime > now {
		n.Boottime = now // nothing was sent in the future: it is of another boot
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := control.Transition{
		Type: n.Type, Group: n.Name, State: n.State, Priority: n.Priority, Source: n.Source, Sent: n.At, Boottime: n.Boottime,
		Received: received, Outcome: control.OutcomeRunning,
	}
	if t.Group == "" {
		t.Group = r.group
	}
	switch {
	case n.State.Role() == control.RoleUnknown:
		t.Outcome = control.OutcomeIgnored + string(n.State) + " is no change of role"
	case n.Type == control.TypeInstance:
		t.Outcome = control.OutcomeIgnored + "instance " + n.Name + " is not sync-group " + r.group
	case t.Group != r.group:
		t.Outcome = control.OutcomeIgnored + "group " + n.Name + " is not sync-group " + r.group
	case n.Boottime < r.sent:
		t.Outcome = control.OutcomeSuperseded
	case r.repeats(&n):
		t.Outcome = control.OutcomeRepeated
		r.sent = n.Boottime // what was sent before it is out of date
	}
	t = r.history.add(t)
	if t.Outcome == control.OutcomeRunning {
		r.state, r.since, r.sent = n.State, received, n.Boottime
		r.made, r.began, r.phase = t.ID, n.Boottime, working
		r.push(t)
	}
	return t
}

// push queues t. When the queue is full its oldest gives way: only the last word counts.
func (r *roles) push(t control.Transition) {
	for {
		select {
		case r.work <- t:
			return
		default:
		}
		select {
		case old := <-r.work:
			old.Outcome = control.OutcomeSuperseded
			r.history.update(old)
		default:
		}
	}
}

// runRoles is the task that carries out role changes. A new transition ends the work of the one before.
func (d *Daemon) runRoles(ctx context.Context) error {
	select {
	case <-d.reconciled: // a parked MASTER waits for the start to be complete
	case <-ctx.Done():
		return nil
	}
	end := d.resumeRole(ctx) // ends the work of the present role
	for {
		select {
		case <-ctx.Done():
			if end != nil {
				end()
			}
			return nil
		case t := <-d.roles.work:
			if end != nil {
				end()
			}
			end = during(ctx, func(role context.Context) { d.transition(ctx, role, t) })
		}
	}
}

// resumeRole goes on with the work of the role that a former life of the daemon had: a takeover that was cut short is
// done again, a purge that was still to come is still to come. It returns nil where there is nothing to do.
func (d *Daemon) resumeRole(ctx context.Context) (end func()) {
	t := d.roles.inherited
	switch {
	case t == nil:
		return nil
	case t.Outcome != control.OutcomeDone:
		d.log.Info("doing again what was cut short before the restart", "state", t.State, "outcome", t.Outcome)
		return during(ctx, func(role context.Context) { d.transition(ctx, role, *t) })
	case t.State != control.StateMaster:
		return during(ctx, d.purgeLater)
	}
	return nil
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

// transition does the work of one accepted transition and records its outcome. life is the daemon's context, ctx the
// role's.
func (d *Daemon) transition(life, ctx context.Context, t control.Transition) {
	d.log.Info("role changes", "state", t.State, "group", t.Group, "source", t.Source)
	t.Started, t.Outcome = time.Now(), control.OutcomeRunning
	d.keep(t)
	err := d.do(ctx, func(c *core) { c.roleBegins(t.State) })
	switch {
	case err != nil:
	case t.State == control.StateMaster:
		if t.Commit, t.Inject, err = d.takeover(ctx); err == nil {
			took := int64(time.Since(t.Started))
			_ = d.do(context.WithoutCancel(ctx), func(c *core) { c.took.takeover.observe(took) }) // fails only when the daemon ends
		}
	case t.State == control.StateBackup:
		err = d.do(ctx, (*core).requestResync)
	}
	t.Finished = time.Now()
	switch {
	case err == nil:
		t.Outcome = control.OutcomeDone
		d.roles.finish(t.ID, finished)
	case life.Err() != nil:
		t.Outcome = control.OutcomeFailed + "the daemon ended before it was finished"
	case ctx.Err() != nil:
		t.Outcome = control.OutcomeSuperseded
	default:
		t.Outcome = control.OutcomeFailed + err.Error()
		d.roles.finish(t.ID, failed)
		d.log.Error("role change failed", "state", t.State, "err", err)
	}
	d.keep(t)
	switch {
	case err != nil:
	case t.State != control.StateMaster:
		d.purgeLater(ctx)
	case t.Commit != nil:
		d.verifyLater(ctx)
	}
}

// keep updates the record of t and writes the history.
func (d *Daemon) keep(t control.Transition) {
	d.roles.history.update(t)
	d.saveHistory()
}

func (d *Daemon) saveHistory() {
	if err := d.roles.history.save(); err != nil {
		d.log.Error("transitions are not kept over a restart", "err", err)
	}
}

// takeoverRounds is how often a takeover commits what the peer told of during the commit before. A peer that has ended
// being master soon has nothing more to tell; what it tells later stays in the external cache.
const takeoverRounds = 5

// takeover makes this router carry on with the peer's connections: commit the external cache into the kernel, which moves
// each flow into the internal cache, and tell the peer. There is no commit where the peer's flows go straight into the
// kernel.
func (d *Daemon) takeover(ctx context.Context) (*control.CommitResult, *control.InjectResult, error) {
	d.awaitTable(ctx)
	defer signal(d.core.wantBulk) // also of what was restored before a failure
	injected, err := d.takeoverInjected(ctx)
	if injected != nil || err != nil {
		return nil, injected, err
	}
	committed, err := d.takeoverByCommit(ctx)
	return committed, nil, err
}

func (d *Daemon) takeoverByCommit(ctx context.Context) (*control.CommitResult, error) {
	var result control.CommitResult
	for range takeoverRounds {
		round, err := d.commit(ctx, true, nil)
		result.Add(&round)
		if err != nil {
			return &result, err
		}
		left := 0
		if err := d.do(ctx, func(c *core) {
			if left = c.external.Len() + c.expect.external.Len(); left == 0 {
				c.external.Reset() // gives the memory back
				c.expect.external.Reset()
			}
		}); err != nil {
			return &result, err
		}
		if left == 0 {
			break
		}
	}
	return &result, nil
}

// verifyAfter is how long after a takeover the internal cache is compared with the kernel. The commit has put into it what
// it put into the kernel, so a reading of the whole table is no part of the takeover; but it is not left to the next
// periodic comparison either, which is minutes away where the table is large.
const verifyAfter = 10 * time.Second

// verifyLater asks for that comparison, unless the role ends before.
func (d *Daemon) verifyLater(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(verifyAfter):
		signal(d.core.wantReconcile)
	}
}

// tableWait is how long after the start of the daemon a takeover still waits for the peer's table.
const tableWait = 3 * time.Second

// awaitTable waits for the peer's table when the daemon has only just started, as for a transition that was parked: the
// external cache is empty until then, and the peer, if it lives, has what is to be restored.
func (d *Daemon) awaitTable(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, d.started.Add(tableWait))
	defer cancel()
	_ = d.poll(ctx, func(c *core) bool { return c.sync.table || !c.cfg.StartupResync }) // what is there by then is committed
}
