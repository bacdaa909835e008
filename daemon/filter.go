package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/rtnetlink"
)

// One filter says which flows are replicated, wherever they come from and go to: the kernel applies what it can of it to
// events, the core loop all of it to events, comparisons with the kernel, bulk updates, commits and purges. As in
// conntrackd, what the peer sends is not filtered on its way into the external cache, only on its way out. It looks at
// what never changes in a flow's life, so a flow that does not pass is nowhere, and its end needs no special case: an
// end passes if its beginning did.

// filterSource is what the filter is made of. It has a lock because the configuration, the addresses of this router and
// the link change in goroutines of their own; the core loop has a copy of what comes out.
type filterSource struct {
	mu      sync.Mutex
	cfg     *config.Config        // in force
	local   map[string]netip.Addr // our address on the sync link of an interface, as far as it is known
	inForce flow.Filter
}

// build makes the filter anew and reports whether that changed it.
func (s *filterSource) build() (changed bool, err error) {
	var own []netip.Addr
	if s.cfg.IgnoreOwn {
		if own, err = rtnetlink.Own(); err != nil {
			return false, err
		}
	}
	f := newFilter(s.cfg, s.local, own)
	changed = !f.Equal(&s.inForce)
	s.inForce = f
	return changed, nil
}

// newFilter makes the filter. Besides what the configuration says, flows that belong to this router alone never pass:
// loopback traffic, and the sync channel itself, on every link: local holds our address by interface.
func newFilter(cfg *config.Config, local map[string]netip.Addr, own []netip.Addr) flow.Filter {
	r := flow.Rules{Accept: cfg.AcceptProtocol, Ignore: []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
		netip.PrefixFrom(netip.IPv6Loopback(), 128),
	}}
	r.Ignore = append(r.Ignore, cfg.IgnoreAddress...)
	for _, a := range own {
		r.Ignore = append(r.Ignore, netip.PrefixFrom(a, a.BitLen()))
	}
	for _, l := range cfg.Interfaces {
		for _, a := range []netip.Addr{l.Peer, cfg.McastGroup, local[l.Name]} {
			r.Endpoints = append(r.Endpoints, flow.Endpoint{Proto: flow.UDP, Addr: netip.AddrPortFrom(a, uint16(l.Port))})
		}
	}
	return flow.NewFilter(r)
}

// filterEvents gives the filter to the kernel. What the kernel cannot hold of it is only said, because the core loop
// applies all of it.
func (d *Daemon) filterEvents() error {
	if err := d.listener.Filter(d.filter.inForce); err != nil {
		return fmt.Errorf("filter conntrack events: %w", err)
	}
	if cover := d.listener.Stats().Cover; cover != ctnetlink.CoverWhole {
		d.log.Warn("ignore-address is too long for the kernel: events that do not pass are read and dropped here", "in-kernel", cover)
	}
	return nil
}

// refilter changes what the filter is made of. When another filter comes out, it is put in force: flows that do not pass
// any more leave the internal cache and, by their end, the peer. Those that pass now come in by the comparison with the
// kernel that the caller asks for.
//
// The core loop has the new filter first. An event that the kernel then still drops by the old one is made up for by the
// comparison, which begins when the kernel has the new one as well; ends are never dropped.
func (d *Daemon) refilter(ctx context.Context, change func(*filterSource)) (changed bool, err error) {
	ctx = context.WithoutCancel(ctx) // a half of the change would be taken for the whole the next time
	s := &d.filter
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	changed, err = s.build()
	if err != nil || !changed {
		return false, err
	}
	if err := d.do(ctx, func(c *core) {
		c.filter = s.inForce
		c.refilterInjection()
	}); err != nil {
		return true, err
	}
	if err := d.filterEvents(); err != nil {
		d.log.Warn("the kernel does not filter conntrack events, all of them are read", "err", err)
	}
	n, err := d.evict(ctx)
	if n > 0 {
		d.log.Info("flows removed from the internal cache: the filter does not let them pass any more", "flows", n)
	}
	return true, err
}

// evict ends the flows of the internal cache that the filter does not let pass, in slices, and returns how many.
func (d *Daemon) evict(ctx context.Context) (int, error) {
	total := 0
	for from, more := cache.Ref(0), true; more; {
		if err := d.do(ctx, func(c *core) {
			from = c.internal.Scan(from, sliceSize, func(e *cache.Entry) bool {
				if c.evicts(e) {
					total++
				}
				return true
			})
			if more = from != 0; !more {
				c.retainExpectations()
			}
		}); err != nil {
			return total, err
		}
	}
	return total, nil
}

// evicts ends an entry of the internal cache if the filter does not let it pass.
func (c *core) evicts(e *cache.Entry) bool {
	if c.filter.Pass(&e.Flow.Orig) {
		return false
	}
	c.internal.Destroy(&e.Flow, c.now())
	c.counts.evicted++
	return true
}

// evictStale does so with what a comparison with the kernel did not confirm, flows that a flush hid among it, and
// returns how many are left at the beginning of entries.
func (c *core) evictStale(entries []cache.Entry) int {
	left := 0
	for i := range entries {
		if !c.evicts(&entries[i]) {
			if left != i {
				entries[left] = entries[i]
			}
			left++
		}
	}
	return left
}
