package restore

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// conflicts deals with the flows of a block in whose place something stands. That is looked at: the same flow is
// updated and keeps its counters and window state; a stranger (a bare entry that a packet made before the commit, or
// another flow on our reply tuple) is deleted, and the flow created.
func (p *placer) conflicts(ctx context.Context, b *block) error {
	q := p.ask(b, func(i int) bool { return b.items[i].outcome == met })
	if len(q.flows) == 0 {
		return nil
	}
	if err := p.k.GetBatch(q.flows, q.found, q.errs); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	same, strangers := p.sortOut(b, q)
	if err := p.update(b, same); err != nil {
		return err
	}
	return p.replace(ctx, b, strangers)
}

// sortOut divides what was looked up: flows that stand in the kernel already, to be updated, and flows in whose place
// another one stands, which is in found.
func (p *placer) sortOut(b *block, q asked) (same, strangers asked) {
	same = asked{flows: q.flows[:0], at: q.at[:0]}
	for j, i := range q.at {
		f, have := &b.flows[i], &q.found[j]
		if q.errs[j] == 0 && have.Same(f) {
			p.inherit(b, f, have)
			if p.beside && nothingNew(have, f) {
				b.items[i].outcome = updated
				continue
			}
			same.add(b, i)
			continue
		}
		if q.errs[j] != 0 {
			// Nobody has our original tuple: the entry that conflicts has our reply tuple.
			if err := p.k.Get(&f.Reply, flow.Original, have); err != nil {
				have.Has = 0 // gone meanwhile: creating is enough
			}
		}
		strangers.at = append(strangers.at, i)
		strangers.found = append(strangers.found, *have)
	}
	same.errs = q.errs[:len(same.at)]
	return same, strangers
}

// inherit gives f what its entry in the kernel has and no update may take away: that answers were seen here already,
// and whether it is an expected flow.
func (p *placer) inherit(b *block, f, have *flow.Flow) {
	f.Status |= have.Status & (flow.StatusSeenReply | flow.StatusAssured)
	f.Status = f.Status&^flow.StatusExpected | have.Status&flow.StatusExpected
	if f.Has.Is(flow.HasMaster) && !have.Has.Is(flow.HasMaster) {
		b.degrade(f, "master")
		f.Has &^= flow.HasMaster
	}
	if p.beside {
		keepProgress(f, have)
	}
}

// replaceRounds is how often a flow is tried again: its two tuples may be taken by two entries, and a packet may make a
// new bare entry after the old one was deleted.
const replaceRounds = 3

// replace deletes the entries that conflict with the flows of q, which are in q.found, and creates the flows.
func (p *placer) replace(ctx context.Context, b *block, q asked) error {
	for round := 0; len(q.at) > 0 && round < replaceRounds; round++ {
		if round > 0 {
			p.findStrangers(b, q)
		}
		if p.beside {
			var err error
			if q, err = p.spare(ctx, b, q); err != nil {
				return err
			}
		}
		if err := p.deleteFound(b, q.found); err != nil {
			return err
		}
		again := asked{flows: make([]flow.Flow, 0, len(q.at)), errs: make([]unix.Errno, len(q.at))}
		for _, i := range q.at {
			again.add(b, i)
		}
		if err := p.create(b, again, replaced); err != nil {
			return err
		}
		left := q.at[:0]
		for _, i := range q.at {
			if b.items[i].outcome == met {
				left = append(left, i)
			}
		}
		q.at, q.found = left, q.found[:len(left)]
	}
	return nil
}

// findStrangers puts into q.found the entry that conflicts with each of the flows of q.
func (p *placer) findStrangers(b *block, q asked) {
	for j, i := range q.at {
		f, found := &b.flows[i], &q.found[j]
		if p.k.Get(&f.Orig, flow.Original, found) != nil && p.k.Get(&f.Reply, flow.Original, found) != nil {
			found.Has = 0 // gone meanwhile: creating is enough
		}
	}
}

// deleteFound deletes what was found. What is gone by now is what we want; any other failure shows in the create that
// follows.
func (p *placer) deleteFound(b *block, found []flow.Flow) error {
	var keys []flow.Flow
	for j := range found {
		if found[j].Has != 0 {
			keys = append(keys, found[j])
		}
	}
	if len(keys) == 0 {
		return nil
	}
	errs := make([]unix.Errno, len(keys))
	if err := p.k.Delete(keys, errs); err != nil {
		return fmt.Errorf("delete conntrack entries: %w", err)
	}
	for j := range keys {
		if errs[j] == 0 {
			b.removed = append(b.removed, keys[j])
		}
	}
	return nil
}
