package upkeep

import (
	"context"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/loop"
)

// expiryInterval is how often entries of a silent peer are looked at.
const expiryInterval = 30 * time.Second

// RunSweep removes stale entries from the external cache until ctx ends: after a complete bulk, those that the peer did
// not mention; while the peer is silent, those whose timeout has passed. The kernel, where it has the latter, ends them by
// itself.
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
	err := loop.Slices(ctx, u.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		next, n := c.ExpireFrom(from, loop.SliceSize, &refs)
		total += n
		return next
	})
	if total > 0 {
		u.Log.Info("flows of the peer removed: their timeouts have passed", "flows", total)
	}
	return err
}
