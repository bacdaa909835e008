package cache

import "ctsync/daemon/flow"

// ExternalExpect is the external cache of expectations: the peer's. It has one owner.
type ExternalExpect struct {
	expectStore
	follows bool
	waiting int // records that are dirty
}

// NewExternalExpect returns an empty cache that is full at limit entries; for limit <= 0 see SetLimit.
func NewExternalExpect(limit int) *ExternalExpect {
	x := new(ExternalExpect)
	x.init(limit)
	return x
}

// New stores an expectation that the peer announced (EXP_NEW). It replaces the same one.
func (x *ExternalExpect) New(e *flow.Expectation, now int64) error {
	if !validExpectation(e) {
		x.stats.CreateFailed++
		return ErrFamily
	}
	ref, ok := x.index[x.keyOf(e)]
	if !ok {
		return x.create(e, now)
	}
	r := &x.records[ref-1]
	x.conceal(r)
	r.state &^= dead
	r.e, r.created, r.updated, r.seen = *e, now, now, true
	x.active++
	x.stats.Created++
	x.await(r)
	return nil
}

func (x *ExternalExpect) create(e *flow.Expectation, now int64) error {
	ref, err := x.insert(e, now)
	if err == nil {
		x.await(&x.records[ref-1])
	}
	return err
}

// Update takes what the peer said again of an expectation (EXP_UPD), or inserts it.
func (x *ExternalExpect) Update(e *flow.Expectation, now int64) error {
	if !validExpectation(e) {
		x.stats.UpdateFailed++
		return ErrFamily
	}
	ref, ok := x.index[x.keyOf(e)]
	if !ok {
		return x.create(e, now)
	}
	r := &x.records[ref-1]
	if r.is(dead) {
		return x.New(e, now)
	}
	r.e, r.updated, r.seen = *e, now, true
	x.stats.Updated++
	x.await(r)
	return nil
}

// Destroy removes an expectation (EXP_DEL) and reports whether there was one.
func (x *ExternalExpect) Destroy(e *flow.Expectation) bool {
	ref, ok := x.index[x.keyOf(e)]
	ok = ok && x.records[ref-1].shown()
	if !ok {
		x.stats.DestroyFailed++
	}
	x.Remove(ref)
	return ok
}

// Remove removes an entry and counts it as destroyed. In a ledger its record stays until the kernel, if it may have the
// expectation from us, was told. A ref that names no entry is ignored.
func (x *ExternalExpect) Remove(ref Ref) {
	r := x.at(ref)
	if r == nil || r.is(dead) {
		return
	}
	x.conceal(r)
	if x.follows && r.known {
		r.state |= dead
		x.await(r)
		return
	}
	x.release(ref)
}

// Forget removes an entry and counts it as destroyed, and leaves to the kernel what it has of it. A ref that names no
// entry is ignored.
func (x *ExternalExpect) Forget(ref Ref) {
	if r := x.at(ref); r != nil && !r.is(dead) {
		x.conceal(r)
		x.release(ref)
	}
}

// Reset removes all entries and counts them as destroyed. Refs and scans from before mean nothing afterwards.
func (x *ExternalExpect) Reset() {
	x.stats.Destroyed += uint64(x.active)
	x.init(x.limit)
	x.waiting = 0
}

// BeginSweep starts to watch which entries the peer confirms; see External.BeginSweep.
func (x *ExternalExpect) BeginSweep() {
	for i := range x.records {
		x.records[i].seen = false
	}
}

// Sweep removes the entries of which nothing was heard since BeginSweep and returns how many.
func (x *ExternalExpect) Sweep() (removed int) {
	for i := range x.records {
		if r := &x.records[i]; r.shown() && !r.seen {
			x.Remove(Ref(i + 1))
			removed++
		}
	}
	return removed
}
