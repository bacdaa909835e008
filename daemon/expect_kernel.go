package daemon

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
)

// followExpectations subscribes to the events of expectations, or ends that, as the configuration says.
func (d *Daemon) followExpectations(cfg *config.Config) {
	if err := d.listener.SetExpectations(len(cfg.ExpectSync) > 0); err != nil {
		d.log.Error("expect-sync", "err", err)
	}
}

// reconcileExpectations compares the internal cache of expectations with the kernel's, after the flows: an expectation
// counts only with its master.
func (d *Daemon) reconcileExpectations(ctx context.Context, k kernel) error {
	on, limit := false, 0
	if err := d.do(ctx, func(c *core) {
		if on = c.expecting(); on {
			c.expect.internal.BeginReconcile()
			limit = c.expect.internal.Limit()
		}
	}); err != nil || !on {
		return err
	}
	var list []flow.Expectation
	complete := true
	interrupted, err := k.DumpExpectations(0, func(e *flow.Expectation) error {
		if complete = len(list) < limit; complete {
			list = append(list, *e)
		}
		return nil
	})
	complete = complete && err == nil && !interrupted
	for from := 0; from < len(list) && err == nil; from += sliceSize {
		err = d.do(ctx, func(c *core) { c.reconcileExpectSlice(list[from:min(from+sliceSize, len(list))]) })
	}
	again := false
	if e := d.do(context.WithoutCancel(ctx), func(c *core) {
		ended, overflow := c.expect.internal.EndReconcile(complete)
		c.counts.repaired += uint64(ended)
		again = overflow
	}); e != nil {
		return e
	}
	if again {
		signal(d.core.wantReconcile)
	}
	if err != nil {
		return fmt.Errorf("dump expectations: %w", err)
	}
	return nil
}

func (c *core) reconcileExpectSlice(list []flow.Expectation) {
	now := c.now()
	for i := range list {
		e := &list[i]
		if !expectsHelper(c.cfg, e) || c.expect.external.Injected(e) {
			continue
		}
		if _, ok := c.internal.Lookup(&e.Master); !ok {
			continue
		}
		changed, err := c.expect.internal.Reconcile(e, now)
		if err != nil {
			c.refused("internal expect", &c.sync.internalFull, err)
		}
		if changed && c.sync.reconciled {
			c.counts.repaired++
		}
	}
}

// rereadDelay is the time between the event of a translated expectation and the look at its master.
const rereadDelay = 20 * time.Millisecond

// runReread is the task that reads masters of translated expectations again. A helper that puts another address into the
// payload shifts the sequence numbers of that connection, of which the kernel raises no event; the standby needs the
// shift to carry the connection on. The expectation is announced just before the payload is changed.
func (d *Daemon) runReread(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.core.wantReread:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rereadDelay):
		}
		if err := d.rereadMasters(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("reading the connections of helpers again failed", "err", err)
		}
	}
}

func (d *Daemon) rereadMasters(ctx context.Context) error {
	var keys []flow.Flow
	if err := d.do(ctx, func(c *core) {
		for i := range c.expect.adjusted {
			keys = append(keys, flow.Flow{Orig: c.expect.adjusted[i]})
		}
		c.expect.adjusted = c.expect.adjusted[:0]
	}); err != nil || len(keys) == 0 {
		return err
	}
	k, err := d.dumper.take(ctx)
	if err != nil {
		return err
	}
	defer d.dumper.give(k)
	found, errs := make([]flow.Flow, len(keys)), make([]unix.Errno, len(keys))
	if err := k.GetBatch(keys, found, errs); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	return d.do(ctx, func(c *core) {
		for i := range found {
			if errs[i] == 0 && found[i].Orig == keys[i].Orig {
				c.takeAdjustment(&found[i])
			}
		}
	})
}

// takeAdjustment updates a cached flow whose sequence numbers are shifted otherwise than it says.
func (c *core) takeAdjustment(f *flow.Flow) {
	ref, ok := c.internal.Lookup(&f.Orig)
	if !ok || !c.internal.Load(ref, &c.scratch) {
		return
	}
	have := &c.scratch.Flow
	if f.Has.Is(flow.HasSeqAdj) && (have.SeqAdj != f.SeqAdj || !have.Has.Is(flow.HasSeqAdj)) {
		if err := c.internal.Update(f, c.now()); err != nil {
			c.refused("internal", &c.sync.internalFull, err)
		}
	}
}
