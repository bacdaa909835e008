package cache

import "ctsync/daemon/flow"

// InternalExpect is the internal cache of expectations: this kernel's, and what the peer knows of each. It has one
// owner and follows the rules of Internal, with which it shares the queue to the peer.
type InternalExpect struct {
	expectStore
	flows *Internal

	ended    map[expectKey]struct{} // during a reconcile: what ended since it began
	overflow bool
}

// NewInternalExpect returns an empty cache that is full at limit records; for limit <= 0 see SetLimit. Its expectations
// stand in the queue of flows, whose methods Sent, Acked, Lost and PeerForgot serve both. flows has one such cache.
func NewInternalExpect(limit int, flows *Internal) *InternalExpect {
	n := &InternalExpect{flows: flows}
	n.init(limit)
	flows.expect = n
	return n
}

// New takes a NEW event. It replaces the same expectation if it is cached, and goes out as NEW.
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

func (n *InternalExpect) mark(ref Ref) { n.flows.out.mark(ref, &n.at(ref).state) }

// renew makes e the content of its record, as an incarnation that the peer does not know. It queues nothing.
func (n *InternalExpect) renew(e *flow.Expectation, now int64) (Ref, error) {
	out := &n.flows.out
	ref := n.find(e)
	if ref == 0 {
		n.flows.reclaim()
		ref, err := n.insert(e, now)
		if err == nil {
			out.side(ref).grow(int(ref.number()>>chunkShift) + 1)
		}
		return ref, err
	}
	r := n.at(ref)
	out.renew(ref, &r.state)
	n.replace(r, e, now)
	return ref, nil
}

// Destroy takes a DESTROY event. One that carries another ID than the entry is the end of an earlier one.
func (n *InternalExpect) Destroy(e *flow.Expectation) {
	if n.ended != nil {
		if len(n.ended) == maxTombstones {
			n.overflow = true
		} else {
			n.ended[n.keyOf(e)] = struct{}{}
		}
	}
	ref := n.find(e)
	if ref == 0 {
		return
	}
	r := n.at(ref)
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
	r := n.at(ref)
	n.hide(r)
	if !n.flows.out.end(ref, &r.state) {
		n.flows.drop(ref, &r.state)
	}
}

// Restored takes an expectation that our own commit put into the kernel, of which no event comes. It is cached and not
// sent: a bulk update follows a commit.
func (n *InternalExpect) Restored(e *flow.Expectation, now int64) error {
	ref := n.find(e)
	switch {
	case !validExpectation(e) || ref != 0 && n.at(ref).is(dead):
		return n.New(e, now) // invalid, or its end is still to reach the peer
	case ref != 0 && n.at(ref).shown:
		n.at(ref).repeat(e, now)
		n.stats.Updated++
		return nil
	}
	_, err := n.renew(e, now)
	return err
}

// OutgoingExpect is an expectation to be sent.
type OutgoingExpect struct {
	Type Kind // +3 is the protocol's number
	ExpectEntry
}

// Next takes the expectation that became dirty first from the queue and fills o. It returns false when nothing is
// dirty, or when a flow is first: see Internal.Next. The caller sends the expectation and calls Internal.Sent.
func (n *InternalExpect) Next(o *OutgoingExpect) bool {
	ref := n.flows.out.oldest()
	if !ref.isExpectation() {
		return false
	}
	o.Type = n.flows.out.take(ref, &n.at(ref).state)
	n.load(ref, &o.ExpectEntry)
	return true
}

// Announce makes every entry dirty, as a bulk update does, and returns how many there are.
func (n *InternalExpect) Announce() int {
	for i := range n.records {
		if n.records[i].shown {
			n.mark(n.ref(i))
		}
	}
	return n.active
}

// Flush empties the cache for readers, silently for the peer, and counts the entries as destroyed. A reconcile must
// follow; see Internal.Flush.
func (n *InternalExpect) Flush() {
	for i := range n.records {
		n.hide(&n.records[i])
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
// then. Otherwise its timeout is read. What ended since BeginReconcile stays ended, and what an event brought since
// stays as it is.
func (n *InternalExpect) Reconcile(e *flow.Expectation, now int64) (changed bool, err error) {
	if !validExpectation(e) {
		n.stats.CreateFailed++
		return false, ErrFamily
	}
	if ref := n.lookup(e); ref != 0 {
		r := n.at(ref)
		if !r.seen {
			r.repeat(e, now)
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
			n.end(n.ref(i))
			ended++
		}
	}
	return ended, overflow
}

// Retain ends every entry that keep refuses.
func (n *InternalExpect) Retain(keep func(*flow.Expectation) bool) {
	for i := range n.records {
		if r := &n.records[i]; r.shown && !keep(&r.e) {
			n.end(n.ref(i))
		}
	}
}

// Stats returns the present counters.
func (n *InternalExpect) Stats() Stats {
	st := n.expectStore.Stats()
	st.Bytes += n.flows.out.sides[refExpect>>numberBits].bytes()
	return st
}
