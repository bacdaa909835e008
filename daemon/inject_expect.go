package daemon

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// expectations tells the kernel of the expectations that wait. late says that the masters of some have come meanwhile, and
// are to be injected first.
func (in *injector) expectations(ctx context.Context) (late bool, err error) {
	for !late {
		var began, ended []cache.ExpectEntry
		var list []flow.Expectation
		if err := in.d.do(ctx, func(c *core) {
			if !c.expecting() || c.expect.external.Pending() == 0 {
				return
			}
			began, ended = c.expect.external.Take(commitBlock)
			n := len(began)
			began = c.mastered(began)
			late = len(began) < n
			c.inject.busy = len(began)+len(ended) > 0
			in.result = control.CommitResult{Errors: in.result.Errors, Expect: &control.ExpectResult{Errors: map[string]uint64{}}}
			clear(in.result.Errors)
			list = in.restorable(c, began)
		}); err != nil || len(began)+len(ended) == 0 {
			return late, err
		}
		made, gone, err := in.tellExpectations(list, ended)
		if e := in.d.do(context.WithoutCancel(ctx), func(c *core) { in.noteExpectations(c, began, made, ended, gone, err) }); err == nil {
			err = e
		}
		if err != nil {
			return false, err
		}
	}
	return late, nil
}

// mastered leaves out the expectations whose masters are not in the kernel yet, and makes them pending again.
func (c *core) mastered(list []cache.ExpectEntry) []cache.ExpectEntry {
	return slices.DeleteFunc(list, func(x cache.ExpectEntry) bool {
		waits := c.external.Waits(&x.Expectation.Master)
		if waits {
			c.expect.external.Again(x.Ref, &x.Expectation)
		}
		return waits
	})
}

// tellExpectations makes one list and deletes the other. gone says what came of each that was to be deleted.
func (in *injector) tellExpectations(began []flow.Expectation, ended []cache.ExpectEntry) (made []flow.Expectation, gone []unix.Errno, err error) {
	if made, err = in.placeExpectations(began); err != nil {
		return nil, nil, err
	}
	keys := make([]flow.Expectation, len(ended))
	for i := range ended {
		keys[i] = ended[i].Expectation
		keys[i].Has &^= flow.HasID
	}
	gone = make([]unix.Errno, len(keys))
	if err := in.k.DeleteExpectations(keys, gone); err != nil {
		return nil, nil, fmt.Errorf("delete expectations: %w", err)
	}
	return made, gone, nil
}

// noteExpectations puts what came of a block into the ledger and the counters; err ends it all.
func (in *injector) noteExpectations(c *core, began []cache.ExpectEntry, made []flow.Expectation, ended []cache.ExpectEntry, gone []unix.Errno, err error) {
	x := c.expect.external
	c.inject.busy, c.inject.err = false, err
	if err != nil {
		for _, list := range [][]cache.ExpectEntry{began, ended} {
			for i := range list {
				x.Again(list[i].Ref, &list[i].Expectation)
			}
		}
		return
	}
	there := make(map[flow.Tuple]bool, len(made))
	for i := range made {
		there[made[i].Expect] = true
	}
	for i := range began {
		if e := &began[i].Expectation; !there[e.Expect] {
			x.Refused(began[i].Ref, e)
		}
	}
	for i := range ended {
		e := &ended[i].Expectation
		x.Gone(ended[i].Ref, e)
		c.expect.internal.Destroy(e) // no event tells of it
		switch gone[i] {
		case 0:
			c.inject.expect.Destroyed++
		case unix.ENOENT: // it has come to its use, or ended by itself
		default:
			c.inject.expect.DestroyFailed++
		}
	}
	c.inject.addInjected(&in.result)
	c.restInjection()
}
