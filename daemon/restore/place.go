package restore

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
)

// placer puts blocks into the kernel, one at a time.
type placer struct {
	*Restorer
	k      kernel.Table
	beside bool // this kernel serves connections too: what it knows better than the peer stands
	last   bool // no master will come any more

	helpers kernel.Helpers
	scratch
}

// choose returns what to try first with f, which the peer announced. A flow that the internal cache has is the kernel's
// too, and what an update may not take away from it is known: that saves being refused and looking at what stands
// there. known is overwritten.
func (p *placer) choose(c *core.Core, b *block, f *flow.Flow, known *cache.Entry) path {
	ref, ok := c.Own.Internal.Lookup(&f.Orig)
	if !ok || !c.Own.Internal.Load(ref, known) || !known.Flow.Same(f) {
		return create
	}
	if f.Has.Is(flow.HasMaster) && !known.Flow.Has.Is(flow.HasMaster) { // an update cannot make up for that
		return create
	}
	p.inherit(b, f, &known.Flow)
	return update
}

// place puts the flows of a block into the kernel and leaves an outcome for each. After an error what was done is not
// known.
func (p *placer) place(ctx context.Context, b *block) error {
	if err := p.update(b, p.ask(b, func(i int) bool { return b.items[i].path == update })); err != nil {
		return err
	}
	for i := range b.items {
		switch it := &b.items[i]; {
		case it.path == meet:
			it.outcome = met
		case it.outcome == lost && it.errno == unix.EBUSY: // its status here says more than the peer, or we, know
			it.outcome = met
		case it.outcome == lost && it.errno == unix.ENOENT:
			it.path, it.outcome = create, unknown
		}
	}
	if err := p.askHelpers(b); err != nil {
		return err
	}
	wanted := func(i int) bool { return b.items[i].path == create && b.items[i].outcome == unknown }
	if err := p.create(b, p.ask(b, wanted), created); err != nil {
		return err
	}
	if !p.last {
		p.postpone(b)
	}
	for range 2 { // a flow may be refused for its helper and for its master
		if err := p.degrade(b); err != nil {
			return err
		}
	}
	if err := p.conflicts(ctx, b); err != nil {
		return err
	}
	b.tally()
	return nil
}

// create creates the flows of q; those that the kernel takes have the outcome success.
func (p *placer) create(b *block, q asked, success outcome) error {
	if len(q.flows) == 0 {
		return nil
	}
	if err := p.k.Create(q.flows, q.errs); err != nil {
		return fmt.Errorf("create conntrack entries: %w", err)
	}
	for j, i := range q.at {
		it := &b.items[i]
		switch e := q.errs[j]; e {
		case 0:
			it.outcome = success
		case unix.EEXIST:
			it.outcome = met
		default:
			it.outcome, it.errno = lost, e
		}
	}
	return nil
}

// update updates the flows of q in place.
func (p *placer) update(b *block, q asked) error {
	if len(q.flows) == 0 {
		return nil
	}
	if err := p.k.Update(q.flows, q.errs); err != nil {
		return fmt.Errorf("update conntrack entries: %w", err)
	}
	for j, i := range q.at {
		it, f := &b.items[i], &b.flows[i]
		switch e := q.errs[j]; {
		case e == unix.ENOSPC && f.Has.Is(flow.HasLabels):
			// No rule here uses labels, so there is no room for them; everything else has been changed.
			b.degrade(f, "labels")
			f.Has &^= flow.HasLabels
			it.outcome = updated
		case e == 0:
			it.outcome = updated
		default:
			it.outcome, it.errno = lost, e
		}
	}
	return nil
}

// postpone puts off the flows whose master is missing: it may come in a later block.
func (p *placer) postpone(b *block) {
	for i := range b.items {
		if it := &b.items[i]; it.outcome == lost && it.errno == unix.ENOENT && b.flows[i].Has.Is(flow.HasMaster) {
			it.outcome = postponed
		}
	}
}

// degrade tries once more, without it, the flows that failed for something this router does not have: the helper
// module, or the master flow. Better a connection without its helper than none.
func (p *placer) degrade(b *block) error {
	q := p.ask(b, func(i int) bool {
		f, it := &b.flows[i], &b.items[i]
		switch {
		case it.outcome != lost:
			return false
		case it.errno == unix.EOPNOTSUPP && f.Has.Is(flow.HasHelper):
			p.helpers.Learn(kernel.HelperOf(&f.Helper, &f.Orig), false)
			b.loseHelper(i)
		case it.errno == unix.ENOENT && f.Has.Is(flow.HasMaster):
			b.degrade(f, "master")
			f.Has &^= flow.HasMaster
		default:
			return false
		}
		return true
	})
	return p.create(b, q, created)
}
