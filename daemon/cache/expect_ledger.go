package cache

import "ctsync/daemon/flow"

// ExternalExpect as the ledger of what the kernel has; see ledger. A record that readers do not see was ended by the
// peer.

// Follow makes the cache a ledger, in which every entry is pending at first, or a mere cache again.
func (x *ExternalExpect) Follow(on bool) {
	if on == x.follows {
		return
	}
	x.follows = on
	x.orders.none()
	for i := range x.records {
		switch r := &x.records[i]; {
		case on && r.shown:
			x.await(x.ref(i))
		case !on && r.used && !r.shown:
			x.release(x.ref(i))
		}
	}
}

func (x *ExternalExpect) await(ref Ref) {
	if x.follows {
		x.orders.grow(int(ref.number()>>chunkShift) + 1)
		x.orders.await(ref.number())
	}
}

// release frees a record that readers do not see.
func (x *ExternalExpect) release(ref Ref) {
	x.orders.drop(ref.number())
	x.free(ref)
}

// Pending returns how many records the kernel must still be given, or lose.
func (x *ExternalExpect) Pending() int { return x.orders.waiting }

// Injected reports whether e is the peer's: an entry while the cache is followed.
func (x *ExternalExpect) Injected(e *flow.Expectation) bool { return x.follows && x.lookup(e) != 0 }

// Retry makes the entries pending again that the kernel does not have.
func (x *ExternalExpect) Retry() {
	for i := range x.records {
		if x.records[i].shown && !x.orders.placed.has(uint32(i)) {
			x.await(x.ref(i))
		}
	}
}

// Take moves at most max pending records off the list into began, those that the kernel is to have, and ended. The
// caller calls Refused or Gone for each that is not in the kernel afterwards.
func (x *ExternalExpect) Take(max int) (began, ended []ExpectEntry) {
	var e ExpectEntry
	pending := x.orders.pending
	for i, ok := pending.next(0, nil); ok && len(began)+len(ended) < max; i, ok = pending.next(i+1, nil) {
		x.orders.unawait(i)
		x.load(x.ref(int(i)), &e)
		if !x.records[i].shown {
			ended = append(ended, e)
			continue
		}
		x.orders.placed.set(i)
		began = append(began, e)
	}
	return began, ended
}

// held reports whether ref is still the record of e.
func (x *ExternalExpect) held(ref Ref, e *flow.Expectation) bool { return ref != 0 && x.find(e) == ref }

// Again makes the record of e pending, if it is still ref.
func (x *ExternalExpect) Again(ref Ref, e *flow.Expectation) {
	if x.held(ref, e) {
		x.await(ref)
	}
}

// Refused records that the kernel does not have the expectation. Retry offers it again.
func (x *ExternalExpect) Refused(ref Ref, e *flow.Expectation) {
	if i := ref.number(); x.held(ref, e) && x.at(ref).shown && x.orders.placed.has(i) {
		x.orders.placed.clear(i)
	}
}

// Gone records that the kernel does not have the expectation any more, after its end. The record is freed, unless the
// peer announced the expectation again meanwhile.
func (x *ExternalExpect) Gone(ref Ref, e *flow.Expectation) {
	if x.held(ref, e) && !x.at(ref).shown {
		x.release(ref)
	}
}
