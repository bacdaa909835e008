package upkeep

import (
	"context"
	"math"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/loop"
)

// expiryInterval is how often entries of a silent peer are looked at.
const expiryInterval = 30 * time.Second

// RunSweep removes stale entries from the external cache until ctx ends: after a complete bulk, those that the peer did
// not mention; while the peer is silent, those whose timeout has passed. The kernel, where it has the latter, ends them
// by itself.
func (u *Upkeep) RunSweep(ctx context.Context, wanted <-chan struct{}) error {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-wanted:
			err = u.sweep(ctx)
		case <-ticker.C:
			err = u.expire(ctx)
		}
		if err != nil && ctx.Err() == nil {
			u.Log.Error("sweep of the external cache failed", "err", err)
		}
	}
}

func (u *Upkeep) sweep(ctx context.Context) error {
	total := 0
	err := loop.Slices(ctx, u.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		next, n := c.SweepFrom(from, loop.SliceSize)
		total += n
		return next
	})
	if total > 0 {
		u.Log.Info("flows of the peer removed: it no longer has them", "flows", total)
	}
	return err
}

func (u *Upkeep) expire(ctx context.Context) error {
	total := 0
	var refs []cache.Ref
	err := loop.Slices(ctx, u.Loop, func(c *core.Core, from cache.Ref) (next cache.Ref) {
		refs, next = expired(c, from, refs[:0])
		for _, r := range refs {
			c.Peer.External.Forget(r)
		}
		if total += len(refs); next == 0 {
			total += expireExpectations(c)
			c.AskForRefused()
		}
		return next
	})
	if total > 0 {
		u.Log.Info("flows of the peer removed: their timeouts have passed", "flows", total)
	}
	return err
}

// expired appends the external entries that cannot be alive any more, of a slice from a position on. It returns the
// position to go on from, 0 at the end.
func expired(c *core.Core, from cache.Ref, refs []cache.Ref) ([]cache.Ref, cache.Ref) {
	now := c.Now()
	next := c.Peer.External.Scan(from, loop.SliceSize, func(e *cache.Entry) bool {
		if lifetime.Expired(&e.Flow, e.Updated, c.HeardOf(e.Updated), now) {
			refs = append(refs, e.Ref)
		}
		return true
	})
	return refs, next
}

// expireExpectations removes the external expectations whose timeout has passed and returns how many.
func expireExpectations(c *core.Core) (removed int) {
	now := c.Now()
	c.Peer.Expect.Scan(0, math.MaxInt, func(x *cache.ExpectEntry) {
		if lifetime.ExpectationExpired(&x.Expectation, x.Updated, c.HeardOf(x.Updated), now) {
			c.Peer.Expect.Forget(x.Ref)
			removed++
		}
	})
	return removed
}
