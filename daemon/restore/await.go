package restore

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// Await offers the kernel once more what it refused, and waits until it was offered everything that the peer has
// announced by then, or fails. With take the ledger is emptied at that moment: its flows are this router's now. on is
// false when the peer's flows do not go straight into the kernel.
func (r *Restorer) Await(ctx context.Context, take bool) (result control.InjectResult, on bool, err error) {
	began := time.Now()
	if err := r.Loop.Do(ctx, func(c *core.Core) { result.Late, on = c.HurryInjection() }); err != nil || !on {
		return result, on, err
	}
	var broken error
	err = r.Loop.Poll(ctx, func(c *core.Core) bool {
		if on = c.Injecting(); !on || !c.Injected() && c.InjectError() == nil {
			return !on
		}
		broken = c.InjectError()
		result.Present, result.Failed = c.Placements()
		if take {
			c.DropExternal()
		}
		return true
	})
	result.Waited = control.Duration(time.Since(began))
	return result, on, errors.Join(err, broken)
}

// finishWait is how long switching disable-external-cache off waits until the kernel was offered everything.
const finishWait = 5 * time.Second

// Finish waits until the kernel was offered everything, before nobody does that any more.
func (r *Restorer) Finish(ctx context.Context) {
	left := 0
	if done, err := r.Loop.PollFor(ctx, finishWait, func(c *core.Core) bool {
		left = c.InjectPending()
		return !c.Injecting() || c.Injected()
	}); err == nil && !done {
		r.Log.Warn("the kernel was not offered all flows of the peer before disable-external-cache was switched off",
			"flows", left)
	}
}

// Withdraw takes out of the kernel again what was injected there, once disable-external-cache is off: the external
// cache has it, and a kernel in which nobody ends it would keep it for days and be taken for its owner. ended are flows
// that the kernel may have and the external cache has not, because the peer ended them; see core.Changed. What packets
// of this router keep alive stays.
func (r *Restorer) Withdraw(ctx context.Context, ended []cache.Item) {
	in := r.newInjector()
	err := in.turn(ctx, func(ctx context.Context) error {
		for part := range slices.Chunk(ended, blockSize) {
			if err := in.withdrawEnded(ctx, part); err != nil {
				return err
			}
		}
		return in.withdraw(ctx)
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, loop.ErrStopped) {
		r.Log.Error("taking the peer's flows out of the kernel failed", "err", err)
	}
	r.Log.Info("flows of the peer are in the external cache again, and not in the kernel", "flows", in.withdrawn.flows)
	if len(in.withdrawn.stay) > 0 {
		r.Log.Error("the kernel does not delete flows of the peer: delete them with conntrack -D, or they stay until their "+
			"timeouts", "why", in.withdrawn.stay)
	}
}

// withdrawn counts what left the kernel, and by errno what it did not delete.
type withdrawn struct {
	flows int
	stay  control.Reasons
}

// withdrawEnded takes a block of ended flows out of the kernel.
func (in *injector) withdrawEnded(ctx context.Context, part []cache.Item) error {
	in.ends.reset()
	if err := in.Loop.Do(ctx, func(c *core.Core) {
		in.now = c.Now()
		for i := range part {
			if !c.Own.Internal.Has(&part[i].Flow.Orig) { // else it is ours as well
				in.ends.items = append(in.ends.items, part[i])
			}
		}
	}); err != nil {
		return err
	}
	if err := in.remove(); err != nil {
		return err
	}
	return in.Loop.Do(ctx, in.noteWithdrawn)
}

func (in *injector) withdraw(ctx context.Context) error {
	return loop.SlicesThen(ctx, in.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		in.ends.reset()
		in.now = c.Now()
		if c.Injecting() {
			return 0
		}
		return c.Peer.External.Placements(from, blockSize, func(it *cache.Item) { in.withdraws(c, it) })
	}, func() error {
		if err := in.remove(); err != nil {
			return err
		}
		return in.Loop.Do(ctx, in.noteWithdrawn)
	})
}

// withdraws puts an entry that the kernel may have into the block, unless this router has it too.
func (in *injector) withdraws(c *core.Core, it *cache.Item) {
	if c.Own.Internal.Has(&it.Flow.Orig) {
		c.Peer.External.Unplaced(it.Ref, &it.Flow.Orig)
		return
	}
	in.ends.items = append(in.ends.items, *it)
}

// noteWithdrawn puts what came of a block into the caches. What the kernel did not delete is still the peer's there.
func (in *injector) noteWithdrawn(c *core.Core) {
	e := &in.ends
	stay := map[flow.Tuple]bool{}
	for i, errno := range e.errs {
		if errno == 0 || errno == unix.ENOENT {
			noteEnded(c, e.deleted[i:i+1]) // a comparison that goes on may have seen it
			continue
		}
		stay[e.deleted[i].Orig] = true
		in.withdrawn.stay.Count(unix.ErrnoName(errno), 1)
	}
	for i := range e.items {
		if key := &e.items[i].Flow.Orig; !stay[*key] {
			c.Peer.External.Unplaced(e.items[i].Ref, key)
		}
	}
	c.Merge(e.kept)
	in.withdrawn.flows += len(e.items) - len(e.kept) - len(stay)
}
