package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
)

// roleBegins notes what keepalived made of this router. As BACKUP the flows of before are its own only as far as packets
// of them still pass here.
func (c *core) roleBegins(state control.State) {
	if c.role = state.Role(); c.role != control.RoleMaster {
		c.internal.ForgetTouched()
	}
}

// awaitInjection offers the kernel once more what it refused, and waits until it was told of everything that the peer has
// said by then, or fails. With take the ledger is emptied at that moment: its flows are this router's now. on is false when
// the peer's flows do not go straight into the kernel.
func (d *Daemon) awaitInjection(ctx context.Context, take bool) (r control.InjectResult, on bool, err error) {
	began := time.Now()
	if err := d.do(ctx, func(c *core) {
		if on = c.injecting(); on {
			r.Late = uint64(c.external.Pending() + c.inject.waiting)
			c.inject.err = nil
			c.external.Retry(false)
			c.expect.external.Retry()
			c.askInjection(c.now())
		}
	}); err != nil || !on {
		return r, on, err
	}
	var broken error
	err = d.poll(ctx, func(c *core) bool {
		if on = c.injecting(); !on || !c.injected() && c.inject.err == nil {
			return !on
		}
		broken = c.inject.err
		r.Failed = uint64(c.external.Failed() + c.external.Pending() + c.inject.waiting)
		r.Present = uint64(max(c.external.Len()-int(r.Failed), 0))
		if take {
			c.external.Reset()
			c.expect.external.Reset()
		}
		return true
	})
	r.Waited = control.Duration(time.Since(began))
	return r, on, errors.Join(err, broken)
}

// takeoverInjected is a takeover where the kernel has the peer's flows already: what is still on its way is waited for, and
// the comparison with the kernel makes all of it ours. It returns nil where the peer's flows wait for a commit.
func (d *Daemon) takeoverInjected(ctx context.Context) (*control.InjectResult, error) {
	r, on, failed := d.awaitInjection(ctx, true)
	if ctx.Err() != nil || !on {
		return nil, failed
	}
	d.log.Info("no commit: the peer's flows are in the kernel", "flows", r.Present, "late", r.Late, "failed", r.Failed, "waited", r.Waited)
	began := time.Now()
	err := d.reconcile(ctx)
	r.DumpDuration = control.Duration(time.Since(began))
	return &r, errors.Join(failed, err)
}

// finishWait is how long switching disable-external-cache off waits for what is on its way to the kernel.
const finishWait = 5 * time.Second

// finishInjection waits until the kernel was told of everything, before nobody does that any more.
func (d *Daemon) finishInjection() {
	ctx, cancel := context.WithTimeout(context.Background(), finishWait)
	defer cancel()
	left := 0
	if err := d.poll(ctx, func(c *core) bool {
		left = c.injectPending()
		return !c.injecting() || c.injected()
	}); err != nil && ctx.Err() != nil {
		d.log.Warn("the kernel was not told of all flows of the peer before disable-external-cache was switched off", "flows", left)
	}
}

// noExternalCache refuses to show what there is not.
var noExternalCache = &control.Error{
	Code: control.CodeDisabled, Message: "there is no external cache with disable-external-cache",
	Hint: "the peer's flows are in the kernel, see ctsync show table",
}

// withdraw takes out of the kernel again what was injected there, once disable-external-cache is off: the external cache
// has it, and a kernel that nobody tells of its end would keep it for days and be taken for its owner. What packets of this
// router keep alive stays.
func (d *Daemon) withdraw(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the kernel is not given back when the daemon ends
		select {
		case <-d.in.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	in := newInjector(d)
	total := 0
	err := in.turn(ctx, func(ctx context.Context) error {
		for from, more := cache.Ref(0), true; more; {
			if err := d.do(ctx, func(c *core) {
				in.ended, in.kept, in.deleted, in.now = in.ended[:0], in.kept[:0], nil, c.now()
				if !c.injecting() {
					from = c.external.Placements(from, commitBlock, func(it *cache.Item) { in.withdraws(c, it) })
				}
				more = from != 0
			}); err != nil {
				return err
			}
			if err := in.remove(); err != nil {
				return err
			}
			if err := d.do(ctx, func(c *core) {
				for i := range in.ended {
					c.external.Unplaced(in.ended[i].Ref, &in.ended[i].Flow.Orig)
				}
				for i := range in.deleted {
					c.internal.Destroy(&in.sub[i], c.now()) // a comparison that goes on may have seen it
				}
				c.reconcileSlice(in.kept)
			}); err != nil {
				return err
			}
			total += len(in.ended) - len(in.kept)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.log.Error("taking the peer's flows out of the kernel", "err", err)
	}
	d.log.Info("flows of the peer are in the external cache again, and not in the kernel", "flows", total)
}

// withdraws puts an entry that the kernel may have into the block, unless this router has it too.
func (in *injector) withdraws(c *core, it *cache.Item) {
	if c.internal.Has(&it.Flow.Orig) {
		c.external.Unplaced(it.Ref, &it.Flow.Orig)
		return
	}
	in.ended = append(in.ended, *it)
}

// hasTable refuses the external cache where there is none.
func (d *Daemon) hasTable(ctx context.Context, t control.Table) error {
	if t != control.TableExternal {
		return nil
	}
	injecting := false
	if err := d.do(ctx, func(c *core) { injecting = c.injecting() }); err != nil {
		return err
	}
	if injecting {
		return noExternalCache
	}
	return nil
}

// injectedAction says for ctsync commit that there is nothing to commit, when that is true.
func (d *Daemon) injectedAction(ctx context.Context) (result control.Result, on bool, err error) {
	r, on, err := d.awaitInjection(ctx, false)
	summary := fmt.Sprintf("nothing to commit with disable-external-cache: %d flows of the peer are in the kernel and none waits", r.Present)
	if r.Failed > 0 {
		summary += fmt.Sprintf("; the kernel refuses %d, see ctsync show statistics --detail", r.Failed)
	}
	return control.Result{Summary: summary, Flows: r.Present}, on, err
}
