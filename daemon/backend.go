package daemon

import (
	"context"
	"fmt"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/metrics"
	"ctsync/daemon/query"
	"ctsync/daemon/takeover"
)

// backend is what the control server asks.
func (d *Daemon) backend() control.Backend {
	return control.Backend{
		Status:      d.status,
		Statistics:  d.statistics,
		Snapshot:    d.snapshot,
		Transitions: func(context.Context) ([]control.Transition, error) { return d.roles.History.List(), nil },
		Resend:      d.resend,
		Notify: func(_ context.Context, n control.Notification) (control.Transition, error) {
			return d.roles.Notify(n), nil
		},
		Action: d.action,
		Flows:  d.query.Flows,

		Expectations: d.query.Expectations,
		Metrics:      metrics.Handler(d.registry, d.log),
		Groups:       d.query.Groups,
		Differences:  d.query.Differences,
		Events:       d.query.Watch,
		Log:          d.opt.Recent.page,
	}
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
	c, err := d.restore.Commit(ctx, false, progress)
	summary := fmt.Sprintf("%d flows committed, %d expired, %d failed", c.Created+c.Updated+c.Replaced, c.Expired, c.Failed)
	if c.Filtered > 0 {
		summary += fmt.Sprintf(", %d filtered", c.Filtered)
	}
	if x := c.Expect; x != nil {
		summary += fmt.Sprintf("; %d expectations committed, %d expired, %d failed",
			x.Created+x.Updated+x.Replaced, x.Expired, x.Failed)
	}
	return control.Result{Summary: summary, Flows: c.Total, Commit: &c}, err
}

// injectedAction says for ctsync commit that there is nothing to commit, when that is true.
func (d *Daemon) injectedAction(ctx context.Context) (result control.Result, on bool, err error) {
	r, on, err := d.restore.Await(ctx, false)
	summary := fmt.Sprintf("nothing to commit with disable-external-cache: %d flows of the peer are in the kernel "+
		"and none waits", r.Present)
	if r.Failed > 0 {
		summary += fmt.Sprintf("; the kernel refuses %d, see ctsync show statistics --detail", r.Failed)
	}
	return control.Result{Summary: summary, Flows: r.Present}, on, err
}

// errCommitting refuses what must not happen while the external cache is being read.
var errCommitting = &control.Error{
	Code: control.CodeBusy, Message: "a commit is reading the external cache", Hint: "flush when it is done",
}

// flush empties one cache or, for "", both. The kernel and the peer keep what they have.
func (d *Daemon) flush(ctx context.Context, name string) (control.Result, error) {
	n, injecting, refused := 0, false, false
	err := d.in.Do(ctx, func(c *core.Core) {
		if injecting = c.Injecting(); injecting && name == "" {
			name = control.CacheInternal
		}
		if name != control.CacheInternal && !injecting {
			flushed, ok := c.FlushExternal()
			if refused = !ok; refused {
				return
			}
			n += flushed
		}
		if name != control.CacheExternal {
			n += c.FlushInternal()
		}
	})
	if refused {
		return control.Result{}, errCommitting
	}
	if injecting && name == control.CacheExternal {
		return control.Result{
			Summary: "nothing to flush: " + query.NoExternalCache.Message + ", the kernel keeps the peer's flows",
		}, err
	}
	what := name + " cache"
	if name == "" {
		what = "both caches"
	}
	return control.Result{Summary: fmt.Sprintf("%s flushed, %d entries", what, n), Flows: uint64(n)}, err
}

func (d *Daemon) resyncAction(ctx context.Context) (control.Result, error) {
	err := d.upkeep.Compare(ctx)
	n := 0
	if err == nil {
		err = d.in.Do(ctx, func(c *core.Core) { n = c.Own.Internal.Len() })
	}
	return control.Result{Summary: fmt.Sprintf("internal cache matches the kernel, %d flows", n), Flows: uint64(n)}, err
}

// errNoPeer refuses what needs the peer.
var errNoPeer = &control.Error{
	Code: control.CodeRefused, Message: "the peer does not answer", Hint: "see ctsync show status",
}

func (d *Daemon) bulkAction(ctx context.Context, progress func(done, total int)) (control.Result, error) {
	n, answers := 0, false
	if err := d.in.Do(ctx, func(c *core.Core) { n, answers = c.Own.Internal.Len(), c.Answers() }); err != nil {
		return control.Result{}, err
	}
	if !answers {
		return control.Result{}, errNoPeer
	}
	err := d.upkeep.Bulk(ctx, progress)
	return control.Result{Summary: fmt.Sprintf("internal cache sent to the peer, %d flows", n), Flows: uint64(n)}, err
}

func (d *Daemon) requestAction(ctx context.Context) (control.Result, error) {
	answers := false
	err := d.in.Do(ctx, func(c *core.Core) {
		if answers = c.Answers(); answers {
			c.RequestResync()
		}
	})
	if err == nil && !answers {
		return control.Result{}, errNoPeer
	}
	return control.Result{Summary: "the peer has been asked for its internal cache"}, err
}

func (d *Daemon) purgeAction(ctx context.Context, progress func(done, total int)) (control.Result, error) {
	n, err := d.takeover.Purge(ctx, progress)
	injecting := false
	if err == nil {
		err = d.in.Do(ctx, func(c *core.Core) { injecting = c.Injecting() })
	}
	if injecting {
		return control.Result{Summary: "nothing to purge with disable-external-cache: the kernel keeps the peer's flows as the peer does"}, err
	}
	return control.Result{Summary: fmt.Sprintf("timers of %d kernel flows shortened to %d s", n, takeover.PurgedTimeout), Flows: uint64(n)}, err
}

// restartAction restarts the daemon in the same process. The answer is sent before the present run ends.
func (d *Daemon) restartAction(ctx context.Context) (control.Result, error) {
	if d.opt.Restart == nil {
		return control.Result{}, &control.Error{
			Code: control.CodeDisabled, Message: "this daemon cannot restart itself", Hint: "restart its service",
		}
	}
	committing := false
	if err := d.in.Do(ctx, func(c *core.Core) { committing = c.Committing() }); err != nil {
		return control.Result{}, err
	}
	if committing {
		return control.Result{}, &control.Error{
			Code: control.CodeBusy, Message: "a commit is running", Hint: "restart when it is done",
		}
	}
	if err := d.opt.Restart(ctx); err != nil {
		return control.Result{}, &control.Error{
			Code: control.CodeRefused, Message: "not restarted, the daemon goes on as it was: " + err.Error(),
		}
	}
	return control.Result{Summary: "restarting"}, nil
}

// reset is VyOS's: the internal cache is emptied, read from the kernel again and sent to the peer; the external cache
// is emptied and asked for.
//
// Without a peer to fill it again the external cache is kept: it may be all that is left of the peer's connections.
func (d *Daemon) reset(ctx context.Context, name string, progress func(done, total int)) (control.Result, error) {
	answers := false
	if err := d.in.Do(ctx, func(c *core.Core) { answers = c.Answers() }); err != nil {
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
		if err := d.in.Do(ctx, func(c *core.Core) {
			if emptied = "external cache emptied; "; c.Injecting() {
				emptied = query.NoExternalCache.Message + "; "
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
