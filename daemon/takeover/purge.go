package takeover

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/rtnetlink"
)

// A purge ends what a router that is no longer master still has in its kernel of connections that the other one serves
// now: they would conflict with their own newer state at the next failover. The external cache says which those are:
// the other router announced them when it took over. When nobody took over (the peer is dead, or both are in FAULT)
// nothing is purged. Timers are shortened to PurgedTimeout instead of deleting (as conntrackd does), so that a flow
// which does see traffic here stays: its next packet restores the timer. Flows of the router itself and those that the
// filter does not let pass are left alone. With disable-external-cache nothing is purged: the peer's flows are meant to
// be in this kernel, and are kept like the peer keeps them.

// PurgedTimeout is the timeout, in seconds, that a purge leaves.
const PurgedTimeout = 10

// purgeLater purges when purge-timeout has passed, unless the role ends before.
func (t *Takeover) purgeLater(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(t.PurgeTimeout()):
	}
	n, err := t.Purge(ctx, nil)
	if err != nil && ctx.Err() == nil {
		t.Log.Error("purge failed", "err", err)
		return
	}
	t.Log.Info("kernel flows purged: the other router serves them now", "flows", n)
}

// Purge shortens the timers and returns how many flows it touched. progress may be nil.
func (t *Takeover) Purge(ctx context.Context, progress func(done, total int)) (purged int, err error) {
	injecting := false
	if err := t.Loop.Do(ctx, func(c *core.Core) { injecting = c.Injecting() }); err != nil || injecting {
		return 0, err
	}
	own, err := ownAddresses()
	if err != nil {
		return 0, err
	}
	err = t.Kernel.With(ctx, func(k kernel.Table) error {
		report, end := t.Jobs.Start("purge", progress)
		defer end()
		k.SetLiberal(false) // the timer, and nothing else
		purged, err = t.shorten(ctx, k, own, report)
		return err
	})
	if err != nil {
		return purged, err
	}
	return purged, t.Loop.Do(ctx, (*core.Core).Purged)
}

func (t *Takeover) shorten(
	ctx context.Context, k kernel.Table, own map[flow.Addr]bool, report func(done, total int),
) (purged int, err error) {
	flows, errs := make([]flow.Flow, 0, loop.SliceSize), make([]unix.Errno, loop.SliceSize)
	seen, total := 0, 0
	err = loop.SlicesThen(ctx, t.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		flows, total = flows[:0], c.Own.Internal.Len()
		return c.Own.Internal.Scan(from, loop.SliceSize, func(e *cache.Entry) bool {
			seen++
			o, r := &e.Flow.Orig, &e.Flow.Reply
			_, served := c.Peer.External.Lookup(o)
			if served && c.Own.Filter.PassTuples(&e.Flow) && !own[o.Src] && !own[o.Dst] && !own[r.Src] && !own[r.Dst] {
				flows = append(flows, flow.Flow{Orig: *o, Has: flow.HasTimeout, Timeout: PurgedTimeout})
			}
			return true
		})
	}, func() error {
		if len(flows) == 0 {
			return nil
		}
		if err := k.Update(flows, errs[:len(flows)]); err != nil {
			return fmt.Errorf("shorten conntrack timers: %w", err)
		}
		for _, e := range errs[:len(flows)] {
			if e == 0 {
				purged++
			}
		}
		report(seen, max(seen, total))
		return nil
	})
	return purged, err
}

// ownAddresses returns the addresses of this router's interfaces, to be looked up.
func ownAddresses() (map[flow.Addr]bool, error) {
	list, err := rtnetlink.Own()
	if err != nil {
		return nil, err
	}
	own := make(map[flow.Addr]bool, len(list))
	for _, a := range list {
		own[flow.AddrFrom(a)] = true
	}
	return own, nil
}
