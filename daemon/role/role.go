// Package role decides which of keepalived's words count, keeps their history, and does one role's work at a time.
package role

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"ctsync/daemon/control"
)

// Work is what is to be done when this router changes its role.
type Work interface {
	// Begin does the work of a transition and may add to its record. ctx ends with the role.
	Begin(ctx context.Context, t *control.Transition) error

	// Later does what is due while the role lasts, after Begin has succeeded, and has keep update the record. ctx ends
	// with the role.
	Later(ctx context.Context, t control.Transition, keep func(control.Transition))
}

// Roles turns keepalived's notifications into role changes: Notify decides which of them count, Run has their work
// done.
type Roles struct {
	History *History

	log  *slog.Logger
	work chan control.Transition // accepted transitions, for Run

	saving sync.WaitGroup // the history is being written by Run

	mu     sync.Mutex
	follow control.Followed
	state  control.State // "" until the first notification
	since  time.Time
	sent   int64  // CLOCK_BOOTTIME (ns) of the notification that made the present role
	made   uint64 // ID of the transition that made the present role
	began  int64  // CLOCK_BOOTTIME (ns) of its notification
	phase  phase  // of its work

	inherited *control.Transition // made the role before the daemon was restarted
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
// router left the role meanwhile and nobody reported it: keepalived kills its scripts when it stops.
const repetition = int64(10 * time.Second)

// roleQueue bounds how many transitions may wait while one is being interrupted. keepalived's fastest flapping stays
// far below it.
const roleQueue = 64

// New starts with the role of the last transition if this machine has not been rebooted since: a restart of the daemon
// does not change what keepalived said. Work that was not finished before the restart is done again.
func New(follow control.Followed, h *History, log *slog.Logger) *Roles {
	r := &Roles{follow: follow, History: h, log: log, work: make(chan control.Transition, roleQueue)}
	if !h.thisBoot() {
		return r
	}
	for _, t := range h.List() {
		switch {
		case t.Group != follow.Name || t.Boottime == 0: // another's, or of another boot
		case t.Outcome == control.OutcomeRepeated:
			r.sent = max(r.sent, t.Boottime)
		case counts(&t):
			r.state, r.since, r.sent = t.State, t.Received, t.Boottime
			r.made, r.began, r.phase, r.inherited = t.ID, t.Boottime, finished, &t
			if !t.HasWorked() {
				r.phase = failed
			}
		}
	}
	return r
}

// Current returns the present state and since when it holds.
func (r *Roles) Current() (control.State, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.since
}

// finish notes how the work of transition id ended, if it still makes the present role.
func (r *Roles) finish(id uint64, p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == id {
		r.phase = p
	}
}

// repeats reports whether a notification repeats the one that made the present role.
func (r *Roles) repeats(n *control.Notification) bool {
	return n.State == r.state && (r.phase == working || r.phase == finished && n.Boottime-r.began < repetition)
}

// Follow changes what is followed.
func (r *Roles) Follow(f control.Followed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow = f
}

// Notify records a notification, decides whether it counts, and logs it if it does not. The record is on disk when
// Notify returns, because whoever sent the notification, or parked it, says it once. The work follows in Run.
func (r *Roles) Notify(n control.Notification) control.Transition {
	t := r.accept(n, time.Now())
	defer r.save()
	if t.Outcome != control.OutcomeRunning {
		level := slog.LevelWarn
		if n.Type == control.TypeInstance || t.Outcome == control.OutcomeRepeated {
			level = slog.LevelInfo // keepalived may say everything for each member too, and twice
		}
		r.log.Log(context.Background(), level, "notification has no effect",
			"state", n.State, "name", n.Name, "source", n.Source, "outcome", t.Outcome)
	}
	return t
}

// accept decides whether a notification counts.
//
// Scripts of keepalived overlap and can start out of order, so what counts is when a notification was sent: one older
// than the present role's is superseded. A repetition (keepalived may be configured to say everything twice) does not
// disturb the work of the first; see repeats.
func (r *Roles) accept(n control.Notification, received time.Time) control.Transition {
	if now := control.Boottime(); n.Boottime == 0 || n.Boottime > now {
		n.Boottime = now // nothing was sent in the future: it is of another boot
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := control.Transition{
		Type: n.Type, Group: n.Name, State: n.State, Priority: n.Priority, Source: n.Source, Sent: n.At,
		Boottime: n.Boottime, Received: received, Outcome: control.OutcomeRunning,
	}
	if t.Group == "" {
		t.Group = r.follow.Name
	}
	switch {
	case n.State.Role() == control.RoleUnknown:
		t.Outcome = control.OutcomeIgnored + string(n.State) + " is no change of role"
	case !r.follow.Means(&n):
		t.Outcome = control.OutcomeIgnored + strings.ToLower(n.Type) + " " + n.Name + " is not " + r.follow.String()
	case n.Boottime < r.sent:
		t.Outcome = control.OutcomeSuperseded
	case r.repeats(&n):
		t.Outcome = control.OutcomeRepeated
		r.sent = n.Boottime // what was sent before it is out of date
	}
	t = r.History.add(t)
	if t.Outcome == control.OutcomeRunning {
		r.state, r.since, r.sent = n.State, received, n.Boottime
		r.made, r.began, r.phase = t.ID, n.Boottime, working
		r.push(t)
	}
	return t
}

// push queues t. When the queue is full its oldest is superseded: only the last word counts.
func (r *Roles) push(t control.Transition) {
	for {
		select {
		case r.work <- t:
			return
		default:
		}
		select {
		case old := <-r.work:
			old.Outcome = control.OutcomeSuperseded
			r.History.update(old)
		default:
		}
	}
}
