package cache

import "ctsync/daemon/flow"

// ExternalExpect is the external cache of expectations: the peer's. It has one owner.
type ExternalExpect struct{ expectStore }

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
	if ref, ok := x.index[x.keyOf(e)]; ok {
		x.Remove(ref)
	}
	_, err := x.insert(e, now)
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
		_, err := x.insert(e, now)
		return err
	}
	r := &x.records[ref-1]
	r.e, r.updated, r.seen = *e, now, true
	x.stats.Updated++
	return nil
}

// Destroy removes an expectation (EXP_DEL) and reports whether there was one.
func (x *ExternalExpect) Destroy(e *flow.Expectation) bool {
	ref, ok := x.index[x.keyOf(e)]
	if !ok {
		x.stats.DestroyFailed++
	}
	x.Remove(ref)
	return ok
}

// Remove removes an entry and counts it as destroyed. A ref that names no entry is ignored.
func (x *ExternalExpect) Remove(ref Ref) {
	if r := x.at(ref); r != nil {
		x.conceal(r)
		x.drop(ref)
	}
}

// Reset removes all entries and counts them as destroyed. Refs and scans from before mean nothing afterwards.
func (x *ExternalExpect) Reset() {
	x.stats.Destroyed += uint64(x.active)
	x.init(x.limit)
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
		if r := &x.records[i]; r.used && !r.seen {
			x.Remove(Ref(i + 1))
			removed++
		}
	}
	return removed
}
