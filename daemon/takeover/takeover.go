// Package takeover is what a change of role does, in its order.
//
//	MASTER       wait for the peer's table if the daemon has just started; put the peer's flows into the kernel; announce
//	             all of ours to the peer; 10 s later compare the internal cache with the kernel; every 10 s offer the
//	             kernel again what it had no room for
//	BACKUP       ask the peer for its table; after purge-timeout let flows expire that the peer serves now
//	FAULT, STOP  the latter
package takeover

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/restore"
	"ctsync/daemon/upkeep"
)

// Takeover does the work of a role; it is a role.Work. Its fields are set once.
type Takeover struct {
	Loop    *loop.Inbox[*core.Core]
	Kernel  kernel.Turn // changes made through it raise no event on our event socket
	Restore *restore.Restorer
	Upkeep  *upkeep.Upkeep
	Jobs    *job.List
	Log     *slog.Logger

	Unhooked     func() string        // why the kernel ignores what is restored, "" if it does not
	Started      time.Time            // the daemon
	PurgeTimeout func() time.Duration // from leaving MASTER to the purge
}

// Begin does the work of a transition and adds what came of it to its record. ctx ends with the role.
func (t *Takeover) Begin(ctx context.Context, tr *control.Transition) (err error) {
	if err := t.Loop.Do(ctx, func(c *core.Core) { c.BecomeRole(tr.State) }); err != nil {
		return err
	}
	switch tr.State {
	case control.StateMaster:
		began := time.Now()
		if tr.Commit, tr.Inject, err = t.takeover(ctx); err != nil {
			return err
		}
		if why := t.Unhooked(); why != "" {
			tr.Warnings = append(tr.Warnings, why)
		}
		took := int64(time.Since(began))
		_ = t.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { c.Times.Takeover.Observe(took) })
	case control.StateBackup:
		return t.Loop.Do(ctx, (*core.Core).RequestResync)
	}
	return nil
}

// Later does what is due while the role lasts.
func (t *Takeover) Later(ctx context.Context, tr control.Transition, keep func(control.Transition)) {
	switch {
	case tr.State != control.StateMaster:
		t.purgeLater(ctx)
	case tr.Commit != nil:
		var both sync.WaitGroup
		both.Go(func() { t.verifyLater(ctx) })
		t.offerAgain(ctx, tr, keep)
		both.Wait()
	}
}

// offerInterval is how often flows are offered to a kernel that had no room for them. Tests shorten it.
var offerInterval = 10 * time.Second

// offerAgain offers flows again for which the kernel had no room, and keeps in the record of the takeover what became
// of them. It returns when none wait any more, or with the role.
func (t *Takeover) offerAgain(ctx context.Context, tr control.Transition, keep func(control.Transition)) {
	for tr.Commit.NoRoom > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(offerInterval):
		}
		round, err := t.Restore.Offer(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.Log.Error("offering flows to the kernel again failed, trying again", "err", err)
			continue
		case round.NoRoom == tr.Commit.NoRoom:
			continue
		}
		commit := tr.Commit.Clone() // the one before belongs to whoever reads the history
		commit.AddAgain(&round)
		tr.Commit = &commit
		tr.Worked()
		keep(tr)
		if commit.NoRoom == 0 {
			t.Log.Info("no flows of the peer wait for room in the kernel's table any more")
		}
	}
}

// rounds is how often a takeover commits what the peer announced during the commit before. A peer that has ended being
// master soon has nothing more to announce; what comes later stays in the external cache.
const rounds = 5

// takeover makes this router carry on with the peer's connections: it commits the external cache into the kernel, which
// moves each flow into the internal cache, and asks for a bulk. There is no commit where the peer's flows go straight
// into the kernel.
func (t *Takeover) takeover(ctx context.Context) (*control.CommitResult, *control.InjectResult, error) {
	t.awaitTable(ctx)
	defer func() { // also of what was restored before a failure
		_ = t.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { loop.Signal(c.Want.Bulk) }) // since BecomeRole
	}()
	injected, err := t.injected(ctx)
	if injected != nil || err != nil {
		return nil, injected, err
	}
	committed, err := t.commit(ctx)
	return committed, nil, err
}

func (t *Takeover) commit(ctx context.Context) (*control.CommitResult, error) {
	var result control.CommitResult
	if err := t.Loop.Do(ctx, (*core.Core).BeginCommit); err != nil { // nobody may empty the cache between two rounds
		return &result, err
	}
	defer func() {
		_ = t.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { c.EndCommit(true) })
	}()
	for range rounds {
		left, err := t.round(ctx, &result)
		if err != nil {
			return &result, err
		}
		if left == 0 || left == int(result.NoRoom) {
			break
		}
	}
	if result.NoRoom > 0 {
		t.Log.Error("the kernel's table is full: flows of the peer wait in the external cache, raise "+
			"net.netfilter.nf_conntrack_max", "flows", result.NoRoom)
	}
	return &result, nil
}

// round commits once, adds that to the result and returns how many entries are left in the external cache.
func (t *Takeover) round(ctx context.Context, result *control.CommitResult) (left int, err error) {
	round, err := t.Restore.Commit(ctx, true, nil)
	result.AddAgain(&round)
	if err != nil {
		return 0, err
	}
	err = t.Loop.Do(ctx, func(c *core.Core) {
		if left = c.Peer.External.Len() + c.Peer.Expect.Len(); left == 0 {
			c.DropExternal() // gives the memory back
		}
	})
	return left, err
}

// injected is a takeover where the kernel has the peer's flows already: it waits for the injections that are still
// outstanding, and the comparison with the kernel makes all of them ours. It returns nil where the peer's flows wait
// for a commit.
func (t *Takeover) injected(ctx context.Context) (*control.InjectResult, error) {
	r, on, failed := t.Restore.Await(ctx, true)
	if ctx.Err() != nil || !on {
		return nil, failed
	}
	t.Log.Info("no commit: the peer's flows are in the kernel",
		"flows", r.Present, "late", r.Late, "failed", r.Failed, "waited", r.Waited)
	began := time.Now()
	err := t.Upkeep.Compare(ctx)
	r.DumpDuration = control.Duration(time.Since(began))
	return &r, errors.Join(failed, err)
}

// verifyAfter is how long after a takeover the internal cache is compared with the kernel. The commit has put into it
// what it put into the kernel, so a reading of the whole table is no part of the takeover; but it is not left to the
// next periodic comparison either, which is minutes away where the table is large.
const verifyAfter = 10 * time.Second

// verifyLater asks for that comparison, unless the role ends before.
func (t *Takeover) verifyLater(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(verifyAfter):
		_ = t.Loop.Do(ctx, func(c *core.Core) { loop.Signal(c.Want.Reconcile) })
	}
}

// awaitTable waits for the peer's table when the daemon has only just started, as for a transition that was parked: the
// external cache is empty until then, and the peer, if it runs, has what is to be restored.
func (t *Takeover) awaitTable(ctx context.Context) {
	left := time.Until(t.Started.Add(core.TableWait))
	_, _ = t.Loop.PollFor(ctx, left, (*core.Core).HasTable) // what is there by then is committed
}
