package cache

// The dirty list of InternalExpect; see Internal for what the states mean.

// mark makes a record dirty; one that is dirty keeps its place.
func (n *InternalExpect) mark(ref Ref) {
	r := &n.records[ref-1]
	if r.is(dirty) {
		return
	}
	r.state = r.state&^inFlight | dirty
	r.place, r.next, r.prev = n.now(), 0, n.tail
	if n.tail == 0 {
		n.head = ref
	} else {
		n.records[n.tail-1].next = ref
	}
	n.tail = ref
	n.dirty++
}

// unlink takes a record out of the dirty list if it is in it.
func (n *InternalExpect) unlink(ref Ref) {
	r := &n.records[ref-1]
	if !r.is(dirty) {
		return
	}
	if r.prev == 0 {
		n.head = r.next
	} else {
		n.records[r.prev-1].next = r.next
	}
	if r.next == 0 {
		n.tail = r.prev
	} else {
		n.records[r.next-1].prev = r.prev
	}
	r.state &^= dirty
	r.next, r.prev = 0, 0
	n.dirty--
}

// OutgoingExpect is an expectation to be sent.
type OutgoingExpect struct {
	Type Kind // +3 is the protocol's number
	ExpectEntry
}

func (r *expectRecord) kind() Kind {
	switch {
	case r.is(dead):
		return KindDestroy
	case r.is(asNew) || !r.known:
		return KindNew
	}
	return KindUpdate
}

// Dirty returns the number of expectations that wait to be sent.
func (n *InternalExpect) Dirty() int { return n.dirty }

// Next takes the expectation that became dirty first from the list, if its place is not behind passed, and fills o. The
// caller sends it and says so with Sent.
func (n *InternalExpect) Next(passed uint64, o *OutgoingExpect) bool {
	ref := n.head
	if ref == 0 || n.records[ref-1].place > passed {
		return false
	}
	r := &n.records[ref-1]
	n.unlink(ref)
	o.Type = r.kind()
	o.ExpectEntry = ExpectEntry{Ref: ref, Expectation: r.e, Created: r.created, Updated: r.updated}
	return true
}

// Note reports whether it is called for the first time for the expectation of ref since that was new; see Internal.Note.
func (n *InternalExpect) Note(ref Ref) (first bool) {
	r := n.at(ref)
	if r == nil {
		return false
	}
	first = !r.is(noted)
	r.state |= noted
	return first
}

// Sent says that what Next gave for ref went out with sequence number seq. Call it before the cache changes again.
func (n *InternalExpect) Sent(ref Ref, seq uint32) {
	r := n.at(ref)
	if r == nil || r.is(dirty) {
		return
	}
	if r.kind() == KindNew {
		r.state = r.state&^asNew | sentNew
	}
	r.state |= inFlight
	r.seq, r.known = seq, true
}

// Acked says that the peer has what was sent with seq: an ended expectation is freed if that was the latest.
func (n *InternalExpect) Acked(ref Ref, seq uint32) {
	r := n.latest(ref, seq)
	if r == nil {
		return
	}
	r.state &^= inFlight | sentNew
	if r.is(dead) {
		n.drop(ref)
	}
}

// Lost says that the message seq will not reach the peer: what it told is dirty again, unless it was sent or changed
// since.
func (n *InternalExpect) Lost(ref Ref, seq uint32) {
	if r := n.at(ref); r != nil && r.is(sentNew) {
		r.state |= asNew // seq may have been that NEW, whatever was sent since
	}
	if r := n.latest(ref, seq); r != nil {
		r.state &^= inFlight
		if !r.hidden {
			n.mark(ref)
		}
	}
}

// latest returns the record whose last message was seq, if that is still in flight.
func (n *InternalExpect) latest(ref Ref, seq uint32) *expectRecord {
	if r := n.at(ref); r != nil && r.is(inFlight) && r.seq == seq {
		return r
	}
	return nil
}

// Announce makes every entry dirty, as a bulk update does, and returns how many there are.
func (n *InternalExpect) Announce() int {
	for i := range n.records {
		if n.records[i].shown() {
			n.mark(Ref(i + 1))
		}
	}
	return n.active
}

// PeerForgot says that the peer restarted and knows nothing: see Internal.PeerForgot.
func (n *InternalExpect) PeerForgot() {
	for i := range n.records {
		r := &n.records[i]
		r.known = false
		if r.used && r.is(dead) {
			n.unlink(Ref(i + 1))
			n.drop(Ref(i + 1))
		}
	}
}
