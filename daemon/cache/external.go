package cache

import "ctsync/daemon/flow"

// External is the external cache: the peer's flows. It has one owner.
type External struct{ store }

// NewExternal returns an empty cache that is full at limit entries; for limit <= 0 see SetLimit.
func NewExternal(limit int) *External {
	x := new(External)
	x.init(limit)
	return x
}

// New stores a flow that the peer announced (CT_NEW). It replaces an entry with the same original tuple.
func (x *External) New(f *flow.Flow, now int64) error {
	if !valid(f) {
		x.stats.CreateFailed++
		return ErrFamily
	}
	r, h := x.find(&f.Orig)
	if r == 0 {
		return x.create(f, h, now)
	}
	x.stats.Destroyed++
	x.replace(r, f, now)
	x.seen(r).set(r.number())
	return nil
}

// Update merges what the peer said of a flow (CT_UPD), or inserts the flow.
//
// A reply tuple that carries a translation takes the place of another one: conntrackd sends a flow whose tuple was used
// again as an update when the new flow changed before it was sent, and then only the reply tuple tells.
func (x *External) Update(f *flow.Flow, now int64) error {
	if !valid(f) {
		x.stats.UpdateFailed++
		return ErrFamily
	}
	r, h := x.find(&f.Orig)
	if r == 0 {
		return x.create(f, h, now)
	}
	translated := f.Has.Is(flow.HasReply) && f.Reply != f.Orig.Inverse()
	x.merge(r, f, translated, now)
	x.seen(r).set(r.number())
	return nil
}

func (x *External) create(f *flow.Flow, h uint64, now int64) error {
	r := x.insert(&f.Orig, h)
	if r == 0 {
		return x.full()
	}
	x.replace(r, f, now)
	x.show(r)
	x.seen(r).set(r.number())
	return nil
}

// Destroy removes the flow whose original tuple is key (CT_DEL) and reports whether there was one.
func (x *External) Destroy(key *flow.Tuple, _ int64) bool {
	r, _ := x.find(key)
	if r == 0 {
		x.stats.DestroyFailed++
		return false
	}
	x.Remove(r)
	return true
}

// Remove removes an entry (expiry, sweep) and counts it as destroyed. A ref that names no entry is ignored.
func (x *External) Remove(ref Ref) {
	if x.sees(ref) {
		x.hide(ref)
		x.free(ref)
	}
}

// Reset removes all entries and counts them as destroyed. The memory is left to the garbage collector, so it takes the
// same short time whatever the cache held. Refs and scans from before mean nothing afterwards.
func (x *External) Reset() {
	x.stats.Destroyed += uint64(x.active)
	x.init(x.limit)
}

// BeginSweep starts to watch which entries the peer confirms: call it when the whole table is requested from the peer,
// and Sweep when all of it has arrived. Entry times are too coarse to tell that.
func (x *External) BeginSweep() {
	clear(x.v4.seen)
	clear(x.v6.seen)
}

// Sweep removes entries of which nothing was heard since BeginSweep, looking at no more than max entries, and returns
// how many it removed. Call it again with next until that is 0.
func (x *External) Sweep(from Ref, max int) (removed int, next Ref) {
	for r := x.unconfirmed(from); r != 0; r = x.unconfirmed(r + 1) {
		if removed == max {
			return removed, r
		}
		x.Remove(r)
		removed++
	}
	return removed, 0
}
