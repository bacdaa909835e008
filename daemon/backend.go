package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ctsync/daemon/control"
)

// backend is what the control server asks.
func (d *Daemon) backend() control.Backend {
	return control.Backend{
		Status:      d.status,
		Statistics:  d.statistics,
		Snapshot:    d.snapshot,
		Transitions: func(context.Context) ([]control.Transition, error) { return d.roles.history.list(), nil },
		Resend:      d.resend,
		Notify: func(_ context.Context, n control.Notification) (control.Transition, error) {
			return d.notify(n), nil
		},
		Action: d.action,
		Flows:  d.flows,

		Expectations: d.expectations,
		Metrics:      d.metricsPage(),
		Groups:       d.groups,
		Differences:  d.differences,
		Events:       d.watchEvents,
		Log:          d.recent.page,
	}
}

// notify records a notification and logs those that do not count. The record is on disk when it returns: who sent it, or
// parked it, says it once.
func (d *Daemon) notify(n control.Notification) control.Transition {
	t := d.roles.notify(n, time.Now())
	defer d.saveHistory()
	if t.Outcome != control.OutcomeRunning {
		level := slog.LevelWarn
		if n.Type == control.TypeInstance || t.Outcome == control.OutcomeRepeated {
			level = slog.LevelInfo // keepalived may say everything for each member too, and twice
		}
		d.log.Log(context.Background(), level, "notification has no effect", "state", n.State, "name", n.Name, "source", n.Source, "outcome", t.Outcome)
	}
	return t
}

// action carries out one of conntrackd's commands.
func (d *Daemon) action(ctx context.Context, a control.Action, progress func(done, total int)) (control.Result, error) {
	began := time.Now()
	var r control.Result
	var err error
	switch a.Verb {
	case control.Commit:
		r, err = d.commitAction(ctx, progress)
	case control.Flush:
		r, err = d.flush(ctx, a.Cache)
	case control.Resync:
		r, err = d.resyncAction(ctx)
	case control.Bulk:
		r, err = d.bulkAction(ctx, progress)
	case control.Request:
		r, err = d.requestAction(ctx)
	case control.Purge:
		r, err = d.purgeAction(ctx, progress)
	case control.Reset:
		r, err = d.reset(ctx, a.Cache, progress)
	case control.Restart:
		r, err = d.restartAction(ctx)
	}
	r.Duration = control.Duration(time.Since(began))
	return r, err
}

func (d *Daemon) commitAction(ctx context.Context, progress func(done, total int)) (control.Result, error) {
	if r, injecting, err := d.injectedAction(ctx); err != nil || injecting {
		return r, err
	}
	c, err := d.commit(ctx, false, progress)
	summary := fmt.Sprintf("%d flows committed, %d expired, %d failed", c.Created+c.Updated+c.Replaced, c.Expired, c.Failed)
	if c.Filtered > 0 {
		summary += fmt.Sprintf(", %d filtered", c.Filtered)
	}
	if x := c.Expect; x != nil {
		summary += fmt.Sprintf("; %d expectations committed, %d expired, %d failed", x.Created+x.Updated+x.Replaced, x.Expired, x.Failed)
	}
	return control.Result{Summary: summary, Flows: c.Total, Commit: &c}, err
}

// flush empties one cache or, for "", both. The kernel and the peer keep what they have.
func (d *Daemon) flush(ctx context.Context, name string) (control.Result, error) {
	if name != control.CacheInternal && d.jobs.running("commit") {
		return control.Result{}, &control.Error{Code: control.CodeBusy, Message: "a commit is reading the external cache", Hint: "flush when it is done"}
	}
	n := 0
	injecting := false
	err := d.do(ctx, func(c *core) {
		if injecting = c.injecting(); injecting && name == "" {
			name = control.CacheInternal
		}
		if name != control.CacheExternal {
			n += c.internal.Len() + c.expect.internal.Len()
			c.internal.Flush()
			c.expect.internal.Flush()
			c.sync.suspect = true // until the comparison that must follow
			signal(c.wantReconcile)
		}
		if name != control.CacheInternal && !injecting {
			n += c.external.Len() + c.expect.external.Len()
			c.external.Reset()
			c.expect.external.Reset()
			c.sync.emptied = true
		}
	})
	if injecting && name == control.CacheExternal {
		return control.Result{Summary: "nothing to flush: " + noExternalCache.Message + ", the kernel keeps the peer's flows"}, err
	}
	what := name + " cache"
	if name == "" {
		what = "both caches"
	}
	return control.Result{Summary: fmt.Sprintf("%s flushed, %d entries", what, n), Flows: uint64(n)}, err
}

func (d *Daemon) resyncAction(ctx context.Context) (control.Result, error) {
	err := d.reconcile(ctx)
	n := 0
	if err == nil {
		err = d.do(ctx, func(c *core) { n = c.internal.Len() })
	}
	return control.Result{Summary: fmt.Sprintf("internal cache matches the kernel, %d flows", n), Flows: uint64(n)}, err
}

// errNoPeer refuses what needs the peer.
var errNoPeer = &control.Error{Code: control.CodeRefused, Message: "the peer does not answer", Hint: "see ctsync show status"}

func (d *Daemon) bulkAction(ctx context.Context, progress func(done, total int)) (control.Result, error) {
	n, answers := 0, false
	if err := d.do(ctx, func(c *core) { n, answers = c.internal.Len(), c.peerAnswers() }); err != nil {
		return control.Result{}, err
	}
	if !answers {
		return control.Result{}, errNoPeer
	}
	err := d.bulk(ctx, progress)
	return control.Result{Summary: fmt.Sprintf("internal cache sent to the peer, %d flows", n), Flows: uint64(n)}, err
}

func (d *Daemon) requestAction(ctx context.Context) (control.Result, error) {
	answers := false
	err := d.do(ctx, func(c *core) {
		if answers = c.peerAnswers(); answers {
			c.requestResync()
		}
	})
	if err == nil && !answers {
		return control.Result{}, errNoPeer
	}
	return control.Result{Summary: "the peer has been asked for its internal cache"}, err
}

func (d *Daemon) purgeAction(ctx context.Context, progress func(done, total int)) (control.Result, error) {
	n, err := d.purge(ctx, progress)
	injecting := false
	if err == nil {
		err = d.do(ctx, func(c *core) { injecting = c.injecting() })
	}
	if injecting {
		return control.Result{Summary: "nothing to purge with disable-external-cache: the kernel keeps the peer's flows as the peer does"}, err
	}
	return control.Result{Summary: fmt.Sprintf("timers of %d kernel flows shortened to %d s", n, purgedLife), Flows: uint64(n)}, err
}

// restartAction begins another life of the daemon. The answer leaves before this one ends.
func (d *Daemon) restartAction(ctx context.Context) (control.Result, error) {
	switch {
	case d.restart == nil:
		return control.Result{}, &control.Error{Code: control.CodeDisabled, Message: "this daemon cannot restart itself", Hint: "restart its service"}
	case d.jobs.running("commit"):
		return control.Result{}, &control.Error{Code: control.CodeBusy, Message: "a commit is running", Hint: "restart when it is done"}
	}
	if err := d.restart(ctx); err != nil {
		return control.Result{}, &control.Error{Code: control.CodeRefused, Message: "not restarted, the daemon goes on as it was: " + err.Error()}
	}
	return control.Result{Summary: "restarting"}, nil
}

// reset is VyOS's: the internal cache is emptied, read from the kernel again and sent to the peer; the external cache
// is emptied and asked for.
//
// Without a peer to fill it again the external cache is kept: it may be all that is left of the peer's connections.
func (d *Daemon) reset(ctx context.Context, name string, progress func(done, total int)) (control.Result, error) {
	answers := false
	if err := d.do(ctx, func(c *core) { answers = c.peerAnswers() }); err != nil {
		return control.Result{}, err
	}
	if name == control.CacheExternal && !answers {
		return control.Result{}, errNoPeer
	}
	if _, err := d.flush(ctx, name); err != nil {
		return control.Result{}, err
	}
	if name == control.CacheExternal {
		emptied := ""
		if err := d.do(ctx, func(c *core) {
			if emptied = "external cache emptied; "; c.injecting() {
				emptied = noExternalCache.Message + "; "
			}
		}); err != nil {
			return control.Result{}, err
		}
		r, err := d.requestAction(ctx)
		r.Summary = emptied + r.Summary
		return r, err
	}
	r, err := d.resyncAction(ctx)
	if err != nil {
		return r, err
	}
	sent, err := d.bulkAction(ctx, progress)
	if err != nil {
		r.Summary += "; not sent to the peer: " + err.Error()
		return r, nil
	}
	r.Summary += "; " + sent.Summary
	return r, nil
}
