package restore

import (
	"context"
	"testing"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// switchOff ends the injection as a reload does. between runs between the two steps of that.
func (p *restorer) switchOff(between func()) {
	p.t.Helper()
	var changed core.Changed
	if err := p.r.Loop.Do(context.Background(), func(c *core.Core) {
		cfg := *c.Config
		cfg.DisableExternalCache = false
		changed = c.Reconfigure(&cfg, 1<<20, 1<<10)
	}); err != nil {
		p.t.Fatal(err)
	}
	between()
	p.r.Withdraw(context.Background(), changed.Ended)
}

// inKernel returns how many flows the kernel has.
func (p *restorer) inKernel() (n int) {
	p.k.Do(func() { n = len(p.k.Flows) })
	return n
}

// TestWithdraw takes out of the kernel what was injected, also what the peer ended at the last moment.
func TestWithdraw(t *testing.T) {
	p := newRestorer(t, true)
	p.say(wire.CTNew, injectFlow(1), injectFlow(2), injectFlow(3))
	p.settled()
	k := <-p.r.Kernel // the injector gets no turn any more
	p.say(wire.CTDestroy, injectFlow(2))
	p.switchOff(func() { p.r.Kernel <- k })
	if n := p.inKernel(); n != 0 {
		t.Errorf("%d flows are left in the kernel", n)
	}
}

// TestWithdrawCountsWhatStays: a flow that the kernel does not delete is still the peer's there, and no comparison
// makes it ours.
func TestWithdrawCountsWhatStays(t *testing.T) {
	p := newRestorer(t, true)
	stays := injectFlow(2)
	p.k.Do(func() { p.k.Stuck = map[flow.Tuple]bool{stays.Orig: true} })
	p.say(wire.CTNew, injectFlow(1), stays)
	p.settled()
	p.switchOff(func() {})
	if n := p.inKernel(); n != 1 {
		t.Fatalf("%d flows are left in the kernel, want 1", n)
	}
	var ours bool
	var s control.Status
	if err := p.r.Loop.Do(context.Background(), func(c *core.Core) {
		c.Merge([]flow.Flow{stays})
		ours = c.Own.Internal.Has(&stays.Orig)
		c.Status(&s)
	}); err != nil {
		t.Fatal(err)
	}
	if ours || s.External != 2 {
		t.Errorf("ours %v, %d flows in the external cache, want 2", ours, s.External)
	}
}
