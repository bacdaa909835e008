package cache

import "ctsync/daemon/flow"

// ExternalExpect as the ledger of what the kernel was told; see ledger. Of a record's states dirty means that the kernel
// is to be told, dead that the peer ended it, and known that the kernel may have it from us.

// Follow makes the cache a ledger, in which every entry is pending at first, or a mere cache again.
func (x *ExternalExpect) Follow(on bool) {
	if on == x.follows {
		return
	}
	x.follows = on
	for i := range x.records {
		switch r := &x.records[i]; {
		case !r.used:
		case on:
			x.await(r)
		case r.is(dead):
			x.release(Ref(i + 1))
		default:
			x.unawait(r)
		}
	}
}

func (x *ExternalExpect) await(r *expectRecord) {
	if x.follows && !r.is(dirty) {
		r.state |= dirty
		x.waiting++
	}
}

func (x *ExternalExpect) unawait(r *expectRecord) {
	if r.is(dirty) {
		r.state &^= dirty
		x.waiting--
	}
}

// release frees a record that readers do not see.
func (x *ExternalExpect) release(ref Ref) {
	x.unawait(&x.records[ref-1])
	x.drop(ref)
}

// Pending returns how many records wait for the kernel to be told, ended ones included.
func (x *ExternalExpect) Pending() int { return x.waiting }

// Injected reports whether e is the peer's: an entry while the cache is followed.
func (x *ExternalExpect) Injected(e *flow.Expectation) bool {
	if !x.follows {
		return false
	}
	ref, ok := x.index[x.keyOf(e)]
	return ok && x.records[ref-1].shown()
}

// Retry makes the entries pending again that the kernel does not have.
func (x *ExternalExpect) Retry() {
	for i := range x.records {
		if r := &x.records[i]; r.shown() && !r.known {
			x.await(r)
		}
	}
}

// Take moves at most max pending records off the list into began, those that the kernel is to have, and ended. The caller
// says with Placed, Refused or Gone what came of each.
func (x *ExternalExpect) Take(max int) (began, ended []ExpectEntry) {
	for i := 0; i < len(x.records) && x.waiting > 0 && len(began)+len(ended) < max; i++ {
		r := &x.records[i]
		if !r.is(dirty) {
			continue
		}
		x.unawait(r)
		e := ExpectEntry{Ref: Ref(i + 1), Expectation: r.e, Created: r.created, Updated: r.updated}
		if r.is(dead) {
			ended = append(ended, e)
			continue
		}
		r.known = true
		began = append(began, e)
	}
	return began, ended
}

// held returns the record of e if that is still ref, or nil.
func (x *ExternalExpect) held(ref Ref, e *flow.Expectation) *expectRecord {
	if r, ok := x.index[x.keyOf(e)]; !ok || r != ref {
		return nil
	}
	return &x.records[ref-1]
}

// Again makes the record of e pending, if it is still ref.
func (x *ExternalExpect) Again(ref Ref, e *flow.Expectation) {
	if r := x.held(ref, e); r != nil {
		x.await(r)
	}
}

// Refused says that the kernel does not have the expectation. Retry offers it again.
func (x *ExternalExpect) Refused(ref Ref, e *flow.Expectation) {
	if r := x.held(ref, e); r != nil && !r.is(dead) {
		r.known = false
	}
}

// Gone says that the kernel was told of the end of the expectation.
func (x *ExternalExpect) Gone(ref Ref, e *flow.Expectation) {
	if r := x.held(ref, e); r != nil && r.is(dead) {
		x.release(ref)
	}
}
