package restore

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/loop"
)

// ctnetlink says nothing when traffic merely refreshes a timer, and neither does the peer: a busy flow that is in this
// kernel by injection would expire here while the peer still has it. So the timers of the peer's flows are set again
// when half of their timeout has passed, as long as the peer is heard and has not ended the flow. A state that traffic
// does not refresh is left to run out, and so is everything when the peer falls silent.

const (
	keepInterval = time.Second // how often due timers are looked for
	keepLook     = 64 << 10    // records looked at in one visit to the core loop: about a millisecond

	// keptAliveFloor is the least timer, in seconds, of a flow that traffic at the peer may refresh: a peer announces
	// what is left of its own timer, which may be next to nothing, and the kernel's must last until it is set again.
	keptAliveFloor = 10

	// retryInterval is how often flows are offered again that the kernel refused, because its table was full perhaps.
	retryInterval = 30 * time.Second
)

// Run puts the peer's flows into the kernel, as it announces them, until ctx ends. wanted says that some wait.
func (r *Restorer) Run(ctx context.Context, wanted <-chan struct{}) error {
	in := r.newInjector()
	keep, retry := time.NewTicker(keepInterval), time.NewTicker(retryInterval)
	defer keep.Stop()
	defer retry.Stop()
	for again := (<-chan time.Time)(nil); ; {
		var err error
		more := wanted
		if again != nil { // the kernel is given a rest, whatever the peer says
			more = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
			err = in.turn(ctx, in.drainAll)
		case <-again:
			again, err = nil, in.turn(ctx, in.drainAll)
		case <-keep.C:
			err = in.keepAlive(ctx)
		case <-retry.C:
			in.own = kernel.ReadTimeouts() // somebody may have changed them
			err = r.Loop.Do(ctx, (*core.Core).RetryInjection)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Error("putting the peer's flows into the kernel failed, trying again", "err", err)
			again = time.After(time.Second)
		}
	}
}

// drainAll injects the flows that wait, and then the expectations, which need their masters in the kernel.
func (in *injector) drainAll(ctx context.Context) error {
	if err := in.Loop.Do(ctx, func(c *core.Core) { in.k.SetLiberal(!c.Config.TCPWindowTracking) }); err != nil {
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

// keepAlive sets the timers that are due.
func (in *injector) keepAlive(ctx context.Context) error {
	return loop.SlicesThen(ctx, in.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		in.block.reset()
		if !c.Injecting() || !c.Answers() {
			return 0
		}
		return c.Peer.External.Due(from, keepLook, blockSize, c.Now(), func(it *cache.Item) { in.due(c, it) })
	}, func() error {
		if len(in.block.flows) == 0 {
			return nil
		}
		return in.turn(ctx, in.refresh)
	})
}

// due puts an entry whose timer is due into the block, unless it needs none.
func (in *injector) due(c *core.Core, it *cache.Item) {
	f, x := &it.Flow, c.Peer.External
	in.own.Fill(f)
	switch {
	case lifetime.RunsOut(f), c.HeardOf(it.Updated) != c.PeerHeard(): // or the peer is absent, and another one is heard
		x.Rest(it.Ref, &f.Orig)
	case c.Own.Internal.Has(&f.Orig):
		// By its packets, if there are any: else it comes back as lost.
		x.Refreshed(it.Ref, &f.Orig, it.Timer, c.Now())
	case !it.Settled:
		x.Again(it.Ref, &f.Orig) // the kernel lost it
		c.AskInjection()
	default:
		// What it announced last, and long enough to see the next packet after a takeover.
		life := max(f.Timeout, lifetime.Floor)
		in.block.add(&flow.Flow{Orig: f.Orig, Has: flow.HasTimeout, Timeout: life}, it.Ref, update)
	}
}

// refresh sets the timers of the block, and nothing else.
func (in *injector) refresh(ctx context.Context) error {
	in.k.SetLiberal(false)
	b := in.block
	errs := in.errs[:len(b.flows)]
	if err := in.k.Update(b.flows, errs); err != nil {
		return fmt.Errorf("set conntrack timers: %w", err)
	}
	return in.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) {
		now, x := c.Now(), c.Peer.External
		for i, e := range errs {
			ref, f := b.items[i].ref, &b.flows[i]
			switch e {
			case 0:
				x.Refreshed(ref, &f.Orig, f.Timeout, now)
				c.Inject.Counts.Refreshed++
			case unix.ENOENT:
				if x.Lost(&f.Orig, now) {
					c.Inject.Counts.Lost++
				}
				x.Again(ref, &f.Orig)
				c.AskInjection()
			default:
				x.Rest(ref, &f.Orig)
				c.Inject.Counts.Errors.Count("timer not set: "+unix.ErrnoName(e), 1)
			}
		}
	})
}
