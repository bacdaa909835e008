package restore

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
)

// expectBlock is a block of the ledger of expectations.
type expectBlock struct {
	expectations
	began, ended []cache.ExpectEntry // as taken
	made         []flow.Expectation  // that the kernel has now
	gone         []unix.Errno        // what came of deleting each of ended
}

// expectations puts into the kernel the expectations that wait. late says that the masters of some have come meanwhile,
// and are to be injected first.
func (in *injector) expectations(ctx context.Context) (late bool, err error) {
	for !late {
		b := expectBlock{expectations: expectations{k: in.k, helpers: &in.helpers}}
		b.result = &control.ExpectResult{Errors: control.Reasons{}}
		var list []flow.Expectation
		if err := in.Loop.Do(ctx, func(c *core.Core) {
			if !c.Expecting() || c.Peer.Expect.Pending() == 0 {
				return
			}
			b.began, b.ended = c.Peer.Expect.Take(blockSize)
			n := len(b.began)
			b.began = mastered(c, b.began)
			late = len(b.began) < n
			c.BeginInjection(len(in.waiting), len(b.began)+len(b.ended) > 0)
			list = b.restorable(c, b.began)
		}); err != nil || len(b.began)+len(b.ended) == 0 {
			return late, err
		}
		err := b.exchange(list)
		if e := in.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { in.noteExpectations(c, &b, err) }); err == nil {
			err = e
		}
		if err != nil {
			return false, err
		}
	}
	return late, nil
}

// mastered leaves out the expectations whose masters are not in the kernel yet, and makes them pending again.
func mastered(c *core.Core, list []cache.ExpectEntry) []cache.ExpectEntry {
	return slices.DeleteFunc(list, func(x cache.ExpectEntry) bool {
		waits := c.Peer.External.Waits(&x.Expectation.Master)
		if waits {
			c.Peer.Expect.Again(x.Ref, &x.Expectation)
		}
		return waits
	})
}

// exchange makes list and deletes what has ended.
func (b *expectBlock) exchange(list []flow.Expectation) (err error) {
	if b.made, err = b.place(list); err != nil {
		return err
	}
	keys := make([]flow.Expectation, len(b.ended))
	for i := range b.ended {
		keys[i] = b.ended[i].Expectation
		keys[i].Has &^= flow.HasID
	}
	b.gone = make([]unix.Errno, len(keys))
	if err := b.k.DeleteExpectations(keys, b.gone); err != nil {
		return fmt.Errorf("delete expectations: %w", err)
	}
	return nil
}

// noteExpectations puts what came of a block into the ledger and the counters; broken ended it all.
func (in *injector) noteExpectations(c *core.Core, b *expectBlock, broken error) {
	x := c.Peer.Expect
	for i := range b.removed {
		c.Own.Expect.Destroy(&b.removed[i])
	}
	if broken != nil {
		for _, list := range [][]cache.ExpectEntry{b.began, b.ended} {
			for i := range list {
				x.Again(list[i].Ref, &list[i].Expectation)
			}
		}
		c.EndInjection(len(in.waiting), broken)
		return
	}
	there := make(map[flow.Tuple]bool, len(b.made))
	for i := range b.made {
		there[b.made[i].Expect] = true
	}
	for i := range b.began {
		if e := &b.began[i].Expectation; !there[e.Expect] {
			x.Refused(b.began[i].Ref, e)
		}
	}
	for i := range b.ended {
		e := &b.ended[i].Expectation
		x.Gone(b.ended[i].Ref, e)
		c.Own.Expect.Destroy(e) // no event reports it
		switch b.gone[i] {
		case 0:
			c.Inject.Expect.Destroyed++
		case unix.ENOENT: // it was used, or ended by itself
		default:
			c.Inject.Expect.DestroyFailed++
		}
	}
	c.Inject.Add(&control.CommitResult{Expect: b.result})
	c.EndInjection(len(in.waiting), nil)
}
