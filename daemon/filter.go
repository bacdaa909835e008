package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/core"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
	"ctsync/daemon/rtnetlink"
)

// One filter says which flows are replicated, wherever they come from and go to: the kernel applies what it can of it
// to events, the core loop all of it to events, comparisons with the kernel, bulk updates, commits and purges. As in
// conntrackd, what the peer sends enters the external cache unfiltered, and is filtered when it leaves it for the
// kernel. Protocol and addresses never change while a flow exists: a flow that does not pass by them is nowhere. State
// and status do change. A flow that comes into a state that does not pass stays as it was last, here and at the peer,
// until it passes again or ends: an end always passes.

// filterSource is what the filter is made of. It has a lock because the configuration, the addresses of this router and
// the link change in goroutines of their own; the core has a copy of what comes out.
type filterSource struct {
	loop   *loop.Inbox[*core.Core]
	events *ctnetlink.Listener
	log    *slog.Logger

	mu      sync.Mutex
	cfg     *config.Config        // in force
	local   map[string]netip.Addr // our address on the sync link of an interface, as far as it is known
	inForce flow.Filter
}

// build makes a new filter and reports whether that changed it.
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
	r := flow.Rules{
		Accept: cfg.AcceptProtocol, AcceptAt: cfg.AcceptAddress, IgnoreAt: cfg.IgnoreAddress,
		TCPStates: cfg.AcceptState, Status: cfg.AcceptStatus,
		Ignore: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
			netip.PrefixFrom(netip.IPv6Loopback(), 128),
		},
	}
	if len(r.Accept) == 0 {
		r.IgnoreProto = cfg.IgnoreProtocol
	}
	if len(cfg.IgnoreState) > 0 {
		for state := range uint8(len(flow.States(flow.TCP))) {
			if !slices.Contains(cfg.IgnoreState, state) {
				r.TCPStates = append(r.TCPStates, state)
			}
		}
	}
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

// toKernel gives the filter to the kernel. What the kernel cannot hold of it is only said, because the core applies all
// of it.
func (s *filterSource) toKernel() error {
	if err := s.events.Filter(s.inForce); err != nil {
		return fmt.Errorf("filter conntrack events: %w", err)
	}
	if cover := s.events.Stats().Cover; cover != ctnetlink.CoverWhole {
		s.log.Warn("ignore-address is too long for the kernel: events that do not pass are read and dropped here",
			"in-kernel", cover)
	}
	return nil
}

// change changes what the filter is made of. When another filter comes out, it is put in force: flows that do not pass
// any more leave the internal cache and, by their end, the peer. Those that pass now come in by the comparison with the
// kernel that the caller asks for.
//
// The core has the new filter first. An event that the kernel then still drops by the old one is made up for by the
// comparison, which begins when the kernel has the new one as well; ends are never dropped.
func (s *filterSource) change(ctx context.Context, f func(*filterSource)) (changed bool, err error) {
	ctx = context.WithoutCancel(ctx) // a half of the change would be taken for the whole the next time
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	changed, err = s.build()
	if err != nil || !changed {
		return false, err
	}
	if err := s.loop.Do(ctx, func(c *core.Core) { c.SetFilter(s.inForce) }); err != nil {
		return true, err
	}
	if err := s.toKernel(); err != nil {
		s.log.Warn("the kernel does not filter conntrack events, all of them are read", "err", err)
	}
	total := 0
	err = loop.Slices(ctx, s.loop, func(c *core.Core, from cache.Ref) cache.Ref {
		next, n := c.EvictFrom(from, loop.SliceSize)
		total += n
		return next
	})
	if total > 0 {
		s.log.Info("flows removed from the internal cache: the filter does not let them pass any more", "flows", total)
	}
	return true, err
}

// followAddresses keeps the filter in step with the addresses of this router until ctx ends. The kernel says that they
// changed; what they are now is read each time, so that nothing is missed when it has much to say.
func (s *filterSource) followAddresses(ctx context.Context) error {
	changed, failed, err := rtnetlink.Watch(ctx, rtnetlink.Addresses)
	if err != nil {
		return err
	}
	for {
		other, err := s.change(ctx, func(*filterSource) {})
		if err != nil && ctx.Err() == nil {
			s.log.Error("the filter does not follow this router's addresses", "err", err)
		}
		if other {
			if err := s.loop.Do(ctx, func(c *core.Core) { loop.Signal(c.Want.Reconcile) }); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-changed:
		}
	}
}
