package daemon

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
	"ctsync/daemon/rtnetlink"
)

// A purge ends what a router that is no longer master still has in its kernel of connections that the other one serves
// now: they would stand in the way of their own newer state at the next failover. Which those are the external cache
// tells: the other router announced them when it took over. When nobody took over (the peer is dead, or both are in
// FAULT) nothing is purged. Timers are shortened to purgedLife instead of deleting (as conntrackd does), so that a flow
// which does see traffic here lives on: its next packet restores the timer. Flows of the router itself and those that the
// filter does not let pass are left alone. With disable-external-cache nothing is purged: the peer's flows are meant to be
// in this kernel, and are kept like the peer keeps them.

// purgedLife is the lifetime, in seconds, that a purge leaves.
const purgedLife = 10

// purgeLater purges when purge-timeout has passed, unless the role ends before.
func (d *Daemon) purgeLater(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Duration(d.purgeTimeout.Load())):
	}
	n, err := d.purge(ctx, nil)
	if err != nil && ctx.Err() == nil {
		d.log.Error("purge", "err", err)
		return
	}
	d.log.Info("kernel flows purged: the other router serves them now", "flows", n)
}

// purge shortens the timers and returns how many flows it touched. progress may be nil.
func (d *Daemon) purge(ctx context.Context, progress func(done, total int)) (int, error) {
	injecting := false
	if err := d.do(ctx, func(c *core) { injecting = c.injecting() }); err != nil || injecting {
		return 0, err
	}
	own, err := ownAddresses()
	if err != nil {
		return 0, err
	}
	k, err := d.committer.take(ctx)
	if err != nil {
		return 0, err
	}
	defer d.committer.give(k)
	k.SetLiberal(false) // the timer, and nothing else
	report, end := d.jobs.start("purge", progress)
	defer end()
	var (
		flows       = make([]flow.Flow, 0, sliceSize)
		errs        = make([]unix.Errno, sliceSize)
		seen, total int
		purged      int
	)
	for from, more := cache.Ref(0), true; more; {
		flows = flows[:0]
		if err := d.do(ctx, func(c *core) {
			total = c.internal.Len()
			from = c.internal.Scan(from, sliceSize, func(e *cache.Entry) bool {
				seen++
				t, r := &e.Flow.Orig, &e.Flow.Reply
				_, served := c.external.Lookup(t)
				if served && c.filter.Pass(t) && !own[t.Src] && !own[t.Dst] && !own[r.Src] && !own[r.Dst] {
					flows = append(flows, flow.Flow{Orig: e.Flow.Orig, Has: flow.HasTimeout, Timeout: purgedLife})
				}
				return true
			})
			more = from != 0
		}); err != nil {
			return purged, err
		}
		if len(flows) > 0 {
			if err := k.Update(flows, errs[:len(flows)]); err != nil {
				return purged, fmt.Errorf("shorten conntrack timers: %w", err)
			}
			for _, e := range errs[:len(flows)] {
				if e == 0 {
					purged++
				}
			}
		}
		report(seen, max(seen, total))
	}
	return purged, d.do(ctx, func(c *core) { c.counts.purges++ })
}

// ownAddresses returns the addresses of this router's interfaces, to be looked up.
func ownAddresses() (map[flow.Addr]bool, error) {
	addrs, err := rtnetlink.Own()
	if err != nil {
		return nil, err
	}
	own := make(map[flow.Addr]bool, len(addrs))
	for _, a := range addrs {
		own[flow.AddrFrom(a)] = true
	}
	return own, nil
}
