package restore

import (
	"context"
	"slices"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// planned is one external entry in commit order: its worth in the high half, its reference in the low half, so that
// sorting descends by worth.
type planned uint64

func (p planned) ref() cache.Ref { return cache.Ref(uint32(p)) }

// plan lists the external cache in the order of commit.
func (r *Restorer) plan(ctx context.Context) ([]planned, error) {
	var plan []planned
	if err := loop.Slices(ctx, r.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		if plan == nil {
			plan = make([]planned, 0, c.Peer.External.Len())
		}
		return c.Peer.External.Scan(from, loop.SliceSize, func(e *cache.Entry) bool {
			plan = append(plan, planned(uint64(worth(e))<<32|uint64(e.Ref)))
			return true
		})
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(plan, func(a, b planned) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return plan, nil
}

// planAgain lists the flows that wait for room in the kernel's table, in their order.
func (r *Restorer) planAgain(ctx context.Context) ([]planned, error) {
	var waiting []flow.Tuple
	if err := r.Loop.Do(ctx, func(c *core.Core) { waiting = c.Peer.NoRoom }); err != nil {
		return nil, err
	}
	var plan []planned
	for part := range slices.Chunk(waiting, loop.SliceSize) {
		if err := r.Loop.Do(ctx, func(c *core.Core) {
			for i := range part {
				if ref, ok := c.Peer.External.Lookup(&part[i]); ok {
					plan = append(plan, planned(ref))
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// worth orders entries for commit: the class in the three high bits, then how recently the flow was busy (seconds).
// Flows with a master come last whatever they are worth, because the kernel wants the master first.
func worth(e *cache.Entry) uint32 {
	f := &e.Flow
	established := f.Has.Is(flow.HasTCPState) && f.TCPState == flow.TCPEstablished
	translated := f.SNAT() || f.DNAT()
	class := uint32(1)
	switch {
	case f.Has.Is(flow.HasMaster):
		class = 0
	case established && translated:
		class = 5
	case established:
		class = 4
	case f.Status&flow.StatusAssured != 0 && translated:
		class = 3
	case f.Status&flow.StatusAssured != 0:
		class = 2
	}
	return class<<29 | uint32(e.Updated/int64(time.Second))&(1<<29-1)
}
