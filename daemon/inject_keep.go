package daemon

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
)

// ctnetlink tells nothing when traffic merely refreshes a timer, and so does the peer: a busy flow that is in this kernel
// by injection would expire here while it lives there. So the timers of the peer's flows are set again when half of their
// time is over, as long as the peer is heard and has not ended the flow. A state that traffic does not refresh is left to
// run out, and so is everything when the peer falls silent.

const (
	keepInterval = time.Second // how often due timers are looked for
	keepLook     = 64 << 10    // records looked at in one visit to the core loop: about a millisecond

	// keptAliveFloor is the least timer, in seconds, of a flow that traffic at the peer may refresh: a peer tells what
	// is left of its own timer, which may be next to nothing, and the kernel's must last until it is set again.
	keptAliveFloor = 10

	// retryInterval is how often flows are offered again that the kernel refused, because its table was full perhaps.
	retryInterval = 30 * time.Second
)

// runInject is the task that tells the kernel what the peer told.
func (d *Daemon) runInject(ctx context.Context) error {
	in := newInjector(d)
	keep, retry := time.NewTicker(keepInterval), time.NewTicker(retryInterval)
	defer keep.Stop()
	defer retry.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-d.core.wantInject:
			err = in.turn(ctx, in.drainAll)
		case <-keep.C:
			err = in.keepAlive(ctx)
		case <-retry.C:
			err = d.do(ctx, (*core).retryInjection)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		d.log.Error("putting the peer's flows into the kernel failed, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			signal(d.core.wantInject)
		}
	}
}

// turn borrows the kernel for work.
func (in *injector) turn(ctx context.Context, work func(context.Context) error) error {
	k, err := in.d.committer.take(ctx)
	if err != nil {
		return err
	}
	defer in.d.committer.give(k)
	in.k = k
	return work(ctx)
}

// drainAll injects the flows that wait, and then the expectations, which need their masters in the kernel.
func (in *injector) drainAll(ctx context.Context) error {
	if err := in.d.do(ctx, func(c *core) { in.k.SetLiberal(!c.cfg.TCPWindowTracking) }); err != nil {
		return err
	}
	for late := true; late; {
		err := in.drain(ctx)
		if err == nil {
			late, err = in.expectations(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// retryInjection offers the kernel again what it refused.
func (c *core) retryInjection() {
	if !c.injecting() || !c.injected() {
		return
	}
	c.external.Retry(false)
	c.expect.external.Retry()
	if c.injectPending() > 0 {
		c.askInjection(c.now())
	}
}

// keepAlive sets the timers that are due.
func (in *injector) keepAlive(ctx context.Context) error {
	for from, more := cache.Ref(0), true; more; {
		if err := in.d.do(ctx, func(c *core) {
			in.flows, in.from = in.flows[:0], in.from[:0]
			if c.injecting() && c.peerAnswers() {
				from = c.external.Due(from, keepLook, commitBlock, c.now(), func(it *cache.Item) { in.due(c, it) })
			} else {
				from = 0
			}
			more = from != 0
		}); err != nil {
			return err
		}
		if len(in.flows) == 0 {
			continue
		}
		if err := in.turn(ctx, in.refresh); err != nil {
			return err
		}
	}
	return nil
}

// due puts an entry whose timer is due into the block, unless it needs none.
func (in *injector) due(c *core, it *cache.Item) {
	f := &it.Flow
	switch {
	case lifetime.RunsOut(f):
		c.external.Rest(it.Ref, &f.Orig)
	case c.internal.Has(&f.Orig):
		c.external.Refreshed(it.Ref, &f.Orig, it.Life, c.now()) // by its packets, if there are any: else it comes back as lost
	case !it.Settled:
		c.external.Again(it.Ref, &f.Orig) // the kernel lost it
		c.askInjection(c.now())
	default:
		in.flows = append(in.flows, flow.Flow{Orig: f.Orig, Has: flow.HasTimeout, Timeout: keptLife(f)})
		in.from = append(in.from, planned(it.Ref))
	}
}

// keptLife is the timer, in seconds, of a flow that the peer keeps alive: what it told last, and long enough to see the
// next packet after a takeover.
func keptLife(f *flow.Flow) uint32 {
	if !f.Has.Is(flow.HasTimeout) {
		return lifetime.Floor
	}
	return max(f.Timeout, lifetime.Floor)
}

// refresh sets the timers of the block, and nothing else.
func (in *injector) refresh(ctx context.Context) error {
	in.k.SetLiberal(false)
	errs := in.errs[:len(in.flows)]
	if err := in.k.Update(in.flows, errs); err != nil {
		return fmt.Errorf("set conntrack timers: %w", err)
	}
	return in.d.do(context.WithoutCancel(ctx), func(c *core) {
		now := c.now()
		for i, e := range errs {
			ref, f := in.from[i].ref(), &in.flows[i]
			switch e {
			case 0:
				c.external.Refreshed(ref, &f.Orig, f.Timeout, now)
				c.inject.counts.Refreshed++
			case unix.ENOENT:
				if c.external.Lost(&f.Orig, now) {
					c.inject.counts.Lost++
				}
				c.external.Again(ref, &f.Orig)
				c.askInjection(now)
			default:
				c.external.Rest(ref, &f.Orig)
				c.inject.counts.Errors.Count("timer not set: "+unix.ErrnoName(e), 1)
			}
		}
	})
}
