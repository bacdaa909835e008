package cache

import "ctsync/daemon/flow"

// ExternalExpect is the external cache of expectations: the peer's. It has one owner, and is a ledger while it is
// followed: see ledger.
type ExternalExpect struct {
	expectStore
	follows bool
	orders  orders
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
	ref := x.find(e)
	if ref == 0 {
		return x.create(e, now)
	}
	x.replace(x.at(ref), e, now)
	x.await(ref)
	return nil
}

func (x *ExternalExpect) create(e *flow.Expectation, now int64) error {
	ref, err := x.insert(e, now)
	if err == nil {
		x.await(ref)
	}
	return err
}

// Update takes what the peer sent again of an expectation (EXP_UPD), or inserts it.
func (x *ExternalExpect) Update(e *flow.Expectation, now int64) error {
	if !validExpectation(e) {
		x.stats.UpdateFailed++
		return ErrFamily
	}
	ref := x.lookup(e)
	if ref == 0 {
		return x.New(e, now)
	}
	x.at(ref).repeat(e, now)
	x.stats.Updated++
	x.await(ref)
	return nil
}

// Destroy removes an expectation (EXP_DEL) and reports whether there was one.
func (x *ExternalExpect) Destroy(e *flow.Expectation) bool {
	ref := x.lookup(e)
	if ref == 0 {
		x.stats.DestroyFailed++
		return false
	}
	x.Remove(ref)
	return true
}

// Remove removes an entry and counts it as destroyed. In a ledger its record stays, if the kernel may have the
// expectation from us, until Gone. A ref that names no entry is ignored.
func (x *ExternalExpect) Remove(ref Ref) {
	if !x.uses(ref) || !x.at(ref).shown {
		return
	}
	x.hide(x.at(ref))
	if x.follows && x.orders.placed.has(ref.number()) {
		x.await(ref)
		return
	}
	x.release(ref)
}

// Forget removes an entry and counts it as destroyed, and leaves to the kernel what it has of it. A ref that names no
// entry is ignored.
func (x *ExternalExpect) Forget(ref Ref) {
	if x.uses(ref) && x.at(ref).shown {
		x.hide(x.at(ref))
		x.release(ref)
	}
}

// Reset removes all entries and counts them as destroyed. Refs and scans from before mean nothing afterwards.
func (x *ExternalExpect) Reset() {
	x.stats.Destroyed += uint64(x.active)
	x.init(x.limit)
	x.orders = orders{}
}

// BeginSweep starts to watch which entries the peer confirms; see External.BeginSweep.
func (x *ExternalExpect) BeginSweep() {
	for i := range x.records {
		x.records[i].seen = false
	}
}

// Sweep removes the entries that the peer did not send since BeginSweep, and returns how many. Those that were last
// sent before keep stay.
func (x *ExternalExpect) Sweep(keep int64) (removed int) {
	for i := range x.records {
		if r := &x.records[i]; r.shown && !r.seen && r.updated >= keep {
			x.Remove(x.ref(i))
			removed++
		}
	}
	return removed
}
