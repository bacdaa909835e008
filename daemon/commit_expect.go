package daemon

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// After the flows a commit restores the expectations: each needs its master in the kernel.

// expectations puts the external cache of expectations into the kernel.
func (m *commitment) expectations(ctx context.Context) error {
	var entries []cache.ExpectEntry
	for from, more := cache.Ref(0), true; more; {
		if err := m.d.do(ctx, func(c *core) {
			if more = c.expecting(); !more {
				return
			}
			if m.result.Expect == nil {
				m.result.Expect = &control.ExpectResult{Errors: map[string]uint64{}}
			}
			from = c.expect.external.Scan(from, sliceSize, func(x *cache.ExpectEntry) { entries = append(entries, *x) })
			more = from != 0
		}); err != nil {
			return err
		}
	}
	if m.result.Expect == nil {
		return nil
	}
	m.result.Expect.Total = uint64(len(entries))
	for len(entries) > 0 {
		n := min(commitBlock, len(entries))
		if err := m.expectBlock(ctx, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// expectBlock restores one block.
func (m *commitment) expectBlock(ctx context.Context, entries []cache.ExpectEntry) error {
	var list []flow.Expectation
	if err := m.d.do(ctx, func(c *core) { list = m.restorable(c, entries) }); err != nil {
		return err
	}
	made, err := m.placeExpectations(list)
	if err != nil {
		return err
	}
	return m.d.do(context.WithoutCancel(ctx), func(c *core) { // it has happened, and no event tells of it
		now := c.now()
		for i := range made {
			if err := c.expect.internal.Restored(&made[i], now); err != nil {
				c.refused("internal expect", &c.sync.internalFull, err)
			}
		}
		if !m.take {
			return
		}
		var x cache.ExpectEntry
		for i := range entries { // one that came or was told again meanwhile stays
			if c.expect.external.Load(entries[i].Ref, &x) && x == entries[i] {
				c.expect.external.Remove(x.Ref)
			}
		}
	})
}

// placeExpectations makes list in the kernel and returns those that it has now.
func (m *commitment) placeExpectations(list []flow.Expectation) (made []flow.Expectation, err error) {
	errs := make([]unix.Errno, len(list))
	if err := m.k.CreateExpectations(list, errs); err != nil {
		return nil, fmt.Errorf("create expectations: %w", err)
	}
	for i := range list {
		outcome := &m.result.Expect.Created
		if errs[i] == unix.EEXIST {
			if outcome, err = m.expectConflict(&list[i], &errs[i]); err != nil {
				return nil, err
			}
		}
		if errs[i] != 0 {
			m.expectationLost(&list[i], expectRefusal(&list[i], errs[i]))
			continue
		}
		*outcome++
		made = append(made, list[i])
	}
	// A create takes the lifetime from the helper's policy. One that ended meanwhile has come to its use.
	if err := m.k.UpdateExpectations(made, errs[:len(made)]); err != nil {
		return nil, fmt.Errorf("set the timeouts of expectations: %w", err)
	}
	return made, nil
}

// restorable returns those of entries that can be restored, with the timeout they are to have.
func (m *commitment) restorable(c *core, entries []cache.ExpectEntry) []flow.Expectation {
	now := c.now()
	list := make([]flow.Expectation, 0, len(entries))
	for i := range entries {
		x := &entries[i]
		e := x.Expectation
		if !c.filter.Pass(&e.Master) {
			m.result.Expect.Filtered++
			continue
		}
		why := wire.ExpectUncarried(&e)
		if why == "" && !c.classKnown(&e) {
			why = "its class is not one of the master's helper"
		}
		if why != "" {
			m.expectationLost(&e, why)
			continue
		}
		if lifetime.ExpectationExpired(&x.Expectation, x.Updated, c.peer.heard, now) {
			m.result.Expect.Expired++
			continue
		}
		if !e.Has.Is(flow.HasTimeout) {
			e.Timeout, e.Has = lifetime.Floor, e.Has|flow.HasTimeout
		}
		e.Timeout = lifetime.Left(e.Timeout, (now-x.Updated)/1e9)
		list = append(list, e)
	}
	return list
}

// classKnown reports whether the class of e can be one of its master's helper. The kernel finds the policy of a class in a
// table of that helper, and not every version checks that the table is long enough: a class is taken only with the helper
// that the peer told it with.
func (c *core) classKnown(e *flow.Expectation) bool {
	if e.Class == 0 {
		return true
	}
	ref, ok := c.internal.Lookup(&e.Master)
	ok = ok && c.internal.Load(ref, &c.scratch)
	if !ok && c.injecting() {
		ref, ok = c.external.Lookup(&e.Master)
		ok = ok && c.external.Load(ref, &c.scratch)
	}
	return ok && e.Has.Is(flow.HasHelper) && c.scratch.Flow.Helper == e.Helper
}

// expectConflict deals with an expectation that the kernel refused because it has one for the same tuple: the same is
// kept, another is replaced. It returns the counter of what came of it; errno is 0 unless the expectation is lost.
func (m *commitment) expectConflict(e *flow.Expectation, errno *unix.Errno) (outcome *uint64, err error) {
	var have flow.Expectation
	one, errs := []flow.Expectation{*e}, []unix.Errno{0}
	if m.k.GetExpectation(&e.Expect, &have) == nil {
		if sameExpectation(&have, e) {
			*errno = 0
			return &m.result.Expect.Updated, nil
		}
		have.Has &^= flow.HasID // it may be a third one by now
		one[0] = have
		if err := m.k.DeleteExpectations(one, errs); err != nil {
			return nil, fmt.Errorf("delete expectations: %w", err)
		}
		if errs[0] == 0 {
			if err := m.d.do(context.Background(), func(c *core) { c.expect.internal.Destroy(&have) }); err != nil {
				return nil, err
			}
		}
		one[0] = *e
	}
	if err := m.k.CreateExpectations(one, errs); err != nil {
		return nil, fmt.Errorf("create expectations: %w", err)
	}
	*errno = errs[0]
	return &m.result.Expect.Replaced, nil
}

// sameExpectation reports whether the kernel has what the peer told of.
func sameExpectation(have, want *flow.Expectation) bool {
	return have.Expect == want.Expect && have.Master == want.Master && have.Mask == want.Mask && have.Class == want.Class &&
		have.NAT == want.NAT && have.NATDir == want.NATDir && have.Fn == want.Fn
}

// expectRefusal names what an errno means for an expectation.
func expectRefusal(e *flow.Expectation, errno unix.Errno) string {
	name := unix.ErrnoName(errno)
	switch {
	case errno == unix.EOPNOTSUPP && e.Has.Is(flow.HasHelper):
		return "EOPNOTSUPP, no helper " + flow.HelperName(&e.Helper) + " on the master" // ErrnoName gives its other name
	case errno == unix.ENOENT:
		return name + ", no master"
	}
	return name
}

func (m *commitment) expectationLost(e *flow.Expectation, why string) {
	r := m.result.Expect
	r.Failed++
	r.Errors.Count(why, 1)
	name := append([]byte("expectation "), e.Expect.Proto.String()...)
	name = append(e.Expect.AppendSource(append(name, ' ')), " > "...)
	r.Name(string(e.Expect.AppendDestination(name)) + ": not restored: " + why)
}
