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
	"ctsync/daemon/kernel"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/loop"
	"ctsync/daemon/wire"
)

// After the flows a commit restores the expectations: each needs its master in the kernel.

// expectations puts the external cache of expectations into the kernel.
func (m *commit) expectations(ctx context.Context) error {
	var entries []cache.ExpectEntry
	on := false
	if err := loop.Slices(ctx, m.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		if on = c.Expecting(); !on {
			return 0
		}
		take := func(x *cache.ExpectEntry) { entries = append(entries, *x) }
		return c.Peer.Expect.Scan(from, loop.SliceSize, take)
	}); err != nil {
		return err
	}
	if !on {
		return nil
	}
	m.result.Expect = &control.ExpectResult{Total: uint64(len(entries)), Errors: control.Reasons{}}
	for len(entries) > 0 {
		n := min(blockSize, len(entries))
		if err := m.expectBlock(ctx, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// expectBlock restores one block.
func (m *commit) expectBlock(ctx context.Context, entries []cache.ExpectEntry) error {
	x := expectations{k: m.k, helpers: &m.helpers, result: m.result.Expect}
	var list []flow.Expectation
	if err := m.Loop.Do(ctx, func(c *core.Core) { list = x.restorable(c, entries) }); err != nil {
		return err
	}
	made, err := x.place(list)
	if err != nil {
		return err
	}
	return m.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { // it has happened, and no event reports it
		now := c.Now()
		for i := range x.removed {
			c.Own.Expect.Destroy(&x.removed[i])
		}
		for i := range made {
			if err := c.Own.Expect.Restored(&made[i], now); err != nil {
				c.Refused(core.InternalExpect, err)
			}
		}
		if !m.take {
			return
		}
		var have cache.ExpectEntry
		for i := range entries { // one that came or was announced again meanwhile stays
			if c.Peer.Expect.Load(entries[i].Ref, &have) && have == entries[i] {
				c.Peer.Expect.Remove(have.Ref)
			}
		}
	})
}

// expectations are a block of expectations that go into the kernel together.
type expectations struct {
	k       kernel.Table
	helpers *kernel.Helpers // as the flows found them
	result  *control.ExpectResult
	removed []flow.Expectation // of the kernel, without an event here
}

// classKnown reports whether the class of e can be one of its master's helper. The kernel finds the policy of a class
// in a table of that helper, and not every version checks that the table is long enough: a class is taken only with the
// helper that the peer named for the master.
func classKnown(c *core.Core, e *flow.Expectation) bool {
	if e.Class == 0 {
		return true
	}
	var master cache.Entry
	ref, ok := c.Own.Internal.Lookup(&e.Master)
	ok = ok && c.Own.Internal.Load(ref, &master)
	if !ok && c.Injecting() {
		ref, ok = c.Peer.External.Lookup(&e.Master)
		ok = ok && c.Peer.External.Load(ref, &master)
	}
	return ok && e.Has.Is(flow.HasHelper) && master.Flow.Helper == e.Helper
}

// restorable returns those of entries that can be restored, with the timeout that they are to have.
func (x *expectations) restorable(c *core.Core, entries []cache.ExpectEntry) []flow.Expectation {
	now := c.Now()
	list := make([]flow.Expectation, 0, len(entries))
	for i := range entries {
		e := entries[i].Expectation
		if !c.Own.Filter.PassOrig(&e.Master) {
			x.result.Filtered++
			continue
		}
		why := wire.ExpectUncarried(&e)
		if why == "" && !classKnown(c, &e) {
			why = "its class is not one of the master's helper"
		}
		if why == "" && e.Has.Is(flow.HasHelper) && x.helpers.Lacks(kernel.HelperOf(&e.Helper, &e.Master)) {
			why = noHelper(&e)
		}
		if why != "" {
			x.lost(&e, why)
			continue
		}
		if lifetime.ExpectationExpired(&e, entries[i].Updated, c.HeardOf(entries[i].Updated), now) {
			x.result.Expired++
			continue
		}
		if e.Has.Is(flow.HasTimeout) { // else it keeps the one that the helper gives it
			e.Timeout = lifetime.Left(e.Timeout, (now-entries[i].Updated)/1e9)
		}
		list = append(list, e)
	}
	return list
}

// place makes list in the kernel and returns those that it has now.
func (x *expectations) place(list []flow.Expectation) (made []flow.Expectation, err error) {
	errs := make([]unix.Errno, len(list))
	if err := x.k.CreateExpectations(list, errs); err != nil {
		return nil, fmt.Errorf("create expectations: %w", err)
	}
	for i := range list {
		came, errno := created, errs[i]
		if errno == unix.EEXIST {
			if came, errno, err = x.conflict(&list[i]); err != nil {
				return nil, err
			}
		}
		if errno != 0 {
			x.lost(&list[i], refusal(&list[i], errno))
			continue
		}
		switch came {
		case updated:
			x.result.Updated++
		case replaced:
			x.result.Replaced++
		default:
			x.result.Created++
		}
		made = append(made, list[i])
	}
	// A create takes the timeout from the helper's policy. An expectation that is gone by now has been used.
	timed := slices.DeleteFunc(slices.Clone(made), func(e flow.Expectation) bool { return !e.Has.Is(flow.HasTimeout) })
	if err := x.k.UpdateExpectations(timed, errs[:len(timed)]); err != nil {
		return nil, fmt.Errorf("set the timeouts of expectations: %w", err)
	}
	return made, nil
}

// conflict deals with an expectation that the kernel refused because it has one for the same tuple: the same is kept,
// another is replaced. errno says why that failed.
func (x *expectations) conflict(e *flow.Expectation) (came outcome, errno unix.Errno, err error) {
	var have flow.Expectation
	one, errs := []flow.Expectation{*e}, []unix.Errno{0}
	if x.k.GetExpectation(&e.Expect, &have) == nil {
		if sameExpectation(&have, e) {
			return updated, 0, nil
		}
		have.Has &^= flow.HasID // it may be a third one by now
		one[0] = have
		if err := x.k.DeleteExpectations(one, errs); err != nil {
			return lost, 0, fmt.Errorf("delete expectations: %w", err)
		}
		if errs[0] == 0 {
			x.removed = append(x.removed, have)
		}
		one[0] = *e
	}
	if err := x.k.CreateExpectations(one, errs); err != nil {
		return lost, 0, fmt.Errorf("create expectations: %w", err)
	}
	return replaced, errs[0], nil
}

// sameExpectation reports whether the kernel has what the peer announced.
func sameExpectation(have, want *flow.Expectation) bool {
	return have.Expect == want.Expect && have.Master == want.Master && have.Mask == want.Mask &&
		have.Class == want.Class && have.NAT == want.NAT && have.NATDir == want.NATDir && have.Fn == want.Fn
}

// refusal names what an errno means for an expectation.
func refusal(e *flow.Expectation, errno unix.Errno) string {
	name := unix.ErrnoName(errno)
	switch {
	case errno == unix.EOPNOTSUPP && e.Has.Is(flow.HasHelper):
		return noHelper(e)
	case errno == unix.ENOENT:
		return name + ", no master"
	}
	return name
}

func (x *expectations) lost(e *flow.Expectation, why string) {
	x.result.Failed++
	x.result.Errors.Count(why, 1)
	name := append([]byte("expectation "), e.Expect.Proto.String()...)
	name = append(e.Expect.AppendSource(append(name, ' ')), " > "...)
	x.result.Name(string(e.Expect.AppendDestination(name)) + ": not restored: " + why)
}
