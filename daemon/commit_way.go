package daemon

import (
	"context"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
)

// ways are what is tried first with a flow of a block; they stand in the high half of commitment.from. The wrong one costs
// another request and nothing else.
const (
	wayCreate planned = iota << 32 // the kernel does not have it
	wayUpdate                      // it has it, as far as we know
	wayMeet                        // it has it from packets: what stands there is looked at before anything is changed
)

const wayMask = planned(3) << 32

// way returns what to try first with f. A flow that the internal cache has is the kernel's too, and what an update may
// not take away from it is known: that saves being refused and looking at what stands there. scratch is overwritten.
func (m *commitment) way(c *core, f *flow.Flow, scratch *cache.Entry) planned {
	ref, known := c.internal.Lookup(&f.Orig)
	if !known || !c.internal.Load(ref, scratch) || !scratch.Flow.Same(f) {
		return wayCreate
	}
	if f.Has.Is(flow.HasMaster) && !scratch.Flow.Has.Is(flow.HasMaster) { // an update cannot make up for that
		return wayCreate
	}
	m.inherit(f, &scratch.Flow)
	return wayUpdate
}

// place puts the flows of the block into the kernel and returns what came of each that is still in the block.
func (m *commitment) place(ctx context.Context) ([]unix.Errno, error) {
	errs := m.errs[:len(m.flows)]
	for i := range errs {
		errs[i] = 0
	}
	m.choose(wayUpdate)
	if err := m.updateSame(errs); err != nil {
		return errs, err
	}
	for i, e := range errs {
		switch {
		case m.from[i]&wayMask == wayMeet, e == unix.EBUSY: // the latter has seen more here than the peer, or we, know of
			errs[i] = unix.EEXIST
		case e == unix.ENOENT:
			m.from[i] &^= wayMask
		}
	}
	m.choose(wayCreate)
	if err := m.retry(errs, &m.result.Created); err != nil {
		return errs, err
	}
	return m.settle(ctx, errs)
}

// choose makes the flows of the block that go one way the subset to be worked on.
func (m *commitment) choose(way planned) {
	m.sub, m.at = m.sub[:0], m.at[:0]
	for i := range m.flows {
		if m.from[i]&wayMask == way {
			m.sub, m.at = append(m.sub, m.flows[i]), append(m.at, i)
		}
	}
}
