package cache

import "ctsync/daemon/flow"

// InternalExpect is the internal cache of expectations: this kernel's, and what the peer knows of each. It has one owner
// and the states of Internal, whose records it follows: dirty ones wait in a list, dead ones until the peer has
// acknowledged their end.
type InternalExpect struct {
	expectStore
	// now returns a place in the caller's queue of everything that is to be sent; an expectation that becomes dirty
	// takes the place of that moment, so that the two lists are one queue.
	now        func() uint64
	head, tail Ref
	dirty      int

	ended    map[expectKey]struct{} // during a reconcile: what ended since it began
	overflow bool
}

// NewInternalExpect returns an empty cache that is full at limit records; for limit <= 0 see SetLimit. place returns the
// place in the caller's queue that something takes which becomes dirty now; it never falls.
func NewInternalExpect(limit int, place func() uint64) *InternalExpect {
	n := &InternalExpect{now: place}
	n.init(limit)
	return n
}

// New takes a NEW event. It replaces the same one if it is cached, and goes out as NEW.
func (n *InternalExpect) New(e *flow.Expectation, now int64) error {
	if !validExpectation(e) {
		n.stats.CreateFailed++
		return ErrFamily
	}
	ref, err := n.renew(e, now)
	if err == nil {
		n.mark(ref)
	}
	return err
}

// renew makes e the content of its record, as a new entry.
func (n *InternalExpect) renew(e *flow.Expectation, now int64) (Ref, error) {
	ref, ok := n.index[n.keyOf(e)]
	if !ok {
		return n.insert(e, now)
	}
	r := &n.records[ref-1]
	n.conceal(r)
	if r.is(dead) && r.is(dirty) {
		n.unlink(ref)
	}
	r.state &^= dead | inFlight | noted
	if r.known {
		r.state |= asNew
	}
	r.e, r.created, r.updated, r.seen, r.hidden = *e, now, now, true, false
	n.active++
	n.stats.Created++
	return ref, nil
}

// Destroy takes a DESTROY event. One that carries another ID than the entry is the end of a former one.
func (n *InternalExpect) Destroy(e *flow.Expectation) {
	if n.ended != nil {
		if len(n.ended) == maxTombstones {
			n.overflow = true
		} else {
			n.ended[n.keyOf(e)] = struct{}{}
		}
	}
	ref, ok := n.index[n.keyOf(e)]
	if !ok {
		return
	}
	r := &n.records[ref-1]
	switch {
	case r.is(dead):
	case e.Has&r.e.Has&flow.HasID != 0 && e.ID != r.e.ID:
		n.stats.DestroyFailed++
	default:
		n.end(ref)
	}
}

// end makes a live record dead, or frees it when the peer does not know it.
func (n *InternalExpect) end(ref Ref) {
	r := &n.records[ref-1]
	n.conceal(r)
	n.unlink(ref)
	if !r.known {
		n.drop(ref)
		return
	}
	r.state |= dead
	r.hidden = false
	n.mark(ref)
}

// Restored takes an expectation that our own commit put into the kernel, of which no event comes. It is cached and not
// sent: a bulk update follows a commit.
func (n *InternalExpect) Restored(e *flow.Expectation, now int64) error {
	ref, ok := n.index[n.keyOf(e)]
	switch {
	case !validExpectation(e) || ok && n.records[ref-1].is(dead):
		return n.New(e, now) // the peer is being told of its end
	case ok && !n.records[ref-1].hidden:
		r := &n.records[ref-1]
		r.e, r.updated, r.seen = *e, now, true
		n.stats.Updated++
		return nil
	}
	_, err := n.renew(e, now)
	return err
}

// Flush empties the cache for readers, silently for the peer, and counts the entries as destroyed. A reconcile must
// follow; see Internal.Flush.
func (n *InternalExpect) Flush() {
	for i := range n.records {
		if r := &n.records[i]; r.shown() {
			n.conceal(r)
			n.unlink(Ref(i + 1))
			r.hidden = true
		}
	}
}

// BeginReconcile starts a comparison with a dump of the kernel's expectations:
//
//	BeginReconcile, before the dump
//	Reconcile for each expectation of the dump; events go on in between
//	EndReconcile, when the dump was complete
//
// The kernel's table of expectations never moves its entries, so what was there all the time is in the dump.
func (n *InternalExpect) BeginReconcile() {
	n.ended, n.overflow = map[expectKey]struct{}{}, false
	for i := range n.records {
		n.records[i].seen = false
	}
}

// Reconcile takes an expectation of the dump. One that is missing is inserted and is dirty afterwards; changed is true
// then. Otherwise its timeout is refreshed. What ended since BeginReconcile stays ended, and
// what an event brought since stays as it is.
func (n *InternalExpect) Reconcile(e *flow.Expectation, now int64) (changed bool, err error) {
	if !validExpectation(e) {
		n.stats.CreateFailed++
		return false, ErrFamily
	}
	if ref, ok := n.index[n.keyOf(e)]; ok && n.records[ref-1].shown() {
		r := &n.records[ref-1]
		if !r.seen {
			r.e, r.updated, r.seen = *e, now, true
		}
		return false, nil
	}
	if _, ended := n.ended[n.keyOf(e)]; ended {
		return false, nil
	}
	return true, n.New(e, now)
}

// EndReconcile ends what the dump did not show, unless complete is false, and returns how many entries that were. With
// overflow more expectations ended meanwhile than could be remembered: do another one.
func (n *InternalExpect) EndReconcile(complete bool) (ended int, overflow bool) {
	overflow = n.overflow
	n.ended, n.overflow = nil, false
	if !complete {
		return 0, overflow
	}
	for i := range n.records {
		if r := &n.records[i]; r.used && !r.seen && !r.is(dead) {
			n.end(Ref(i + 1))
			ended++
		}
	}
	return ended, overflow
}

// Retain ends every entry that keep refuses.
func (n *InternalExpect) Retain(keep func(*flow.Expectation) bool) {
	for i := range n.records {
		if r := &n.records[i]; r.shown() && !keep(&r.e) {
			n.end(Ref(i + 1))
		}
	}
}
