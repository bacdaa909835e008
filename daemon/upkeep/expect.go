package upkeep

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// compareExpectations compares the internal cache of expectations with the kernel's.
func (u *Upkeep) compareExpectations(ctx context.Context, k kernel.Table) error {
	on, limit := false, 0
	if err := u.Loop.Do(ctx, func(c *core.Core) { on, limit = c.BeginCompareExpectations() }); err != nil || !on {
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
	for from := 0; from < len(list) && err == nil; from += loop.SliceSize {
		part := list[from:min(from+loop.SliceSize, len(list))]
		err = u.Loop.Do(ctx, func(c *core.Core) { c.MergeExpectations(part) })
	}
	if e := u.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { c.EndCompareExpectations(complete) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("dump expectations: %w", err)
	}
	return nil
}

// rereadDelay is the time between the event of a translated expectation and the look at its master.
const rereadDelay = 20 * time.Millisecond

// RunReread reads masters of translated expectations again until ctx ends. A helper that puts another address into the
// payload shifts the sequence numbers of that connection, of which the kernel raises no event; the standby needs the
// shift to carry the connection on. The expectation is announced just before the payload is changed.
func (u *Upkeep) RunReread(ctx context.Context, wanted <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wanted:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rereadDelay):
		}
		if err := u.reread(ctx); err != nil && ctx.Err() == nil {
			u.Log.Error("reading the connections of helpers again failed", "err", err)
		}
	}
}

func (u *Upkeep) reread(ctx context.Context) error {
	var keys []flow.Flow
	if err := u.Loop.Do(ctx, func(c *core.Core) { keys = c.Partial() }); err != nil || len(keys) == 0 {
		return err
	}
	found, errs := make([]flow.Flow, len(keys)), make([]unix.Errno, len(keys))
	if err := u.Kernel.With(ctx, func(k kernel.Table) error { return k.GetBatch(keys, found, errs) }); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	return u.Loop.Do(ctx, func(c *core.Core) {
		for i := range found {
			if errs[i] == 0 && found[i].Orig == keys[i].Orig {
				if err := c.Own.Internal.Complete(&found[i], c.Now()); err != nil {
					c.Refused(core.InternalCache, err)
				}
			}
		}
	})
}
