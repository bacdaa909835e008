package cache

import "ctsync/daemon/flow"

// External is the external cache: the peer's flows. It has one owner.
type External struct {
	store
	follows bool
	l4, l6  ledger
	cursor  Ref  // of the last record that was taken
	taken   Item // scratch of Take and Due
}

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
	x.renew(r, f, now)
	return nil
}

// renew makes f the content of a record, which may be one that has ended and that the kernel still has.
func (x *External) renew(r Ref, f *flow.Flow, now int64) {
	x.hide(r)
	moved := x.moves(r, f)
	x.replace(r, f, now)
	x.show(r)
	x.mentioned(r, moved)
}

// Update merges what the peer sent of a flow (CT_UPD), or inserts the flow.
//
// A reply tuple that carries a translation replaces another one. When a tuple is reused, and the new flow changes
// before it is sent, conntrackd sends it as an update, and only the reply tuple shows that it is another flow.
func (x *External) Update(f *flow.Flow, now int64) error {
	if !valid(f) {
		x.stats.UpdateFailed++
		return ErrFamily
	}
	r, h := x.find(&f.Orig)
	if r == 0 {
		return x.create(f, h, now)
	}
	if !x.sees(r) {
		x.renew(r, f, now)
		return nil
	}
	translated := f.Has.Is(flow.HasReply) && !f.Orig.Mirrors(&f.Reply)
	x.get(r, &x.old)
	differences := Differences(&x.old, f) & f.Has
	if !translated && x.old.Has.Is(flow.HasReply) {
		differences &^= flow.HasReply
	}
	// A conntrackd that sends its table repeats the timeout of its last event: it was not read now.
	timed := f.Has.Is(flow.HasTimeout) && (differences != 0 || f.Timeout != x.old.Timeout)
	x.mergeOld(r, f, translated, differences != 0, timed, now)
	x.mentioned(r, translated && differences.Is(flow.HasReply))
	return nil
}

// moves reports whether f has another reply tuple than record r. It matters to a ledger alone: an entry of the kernel
// cannot be given another one.
func (x *External) moves(r Ref, f *flow.Flow) bool {
	if !x.follows {
		return false
	}
	x.get(r, &x.old)
	return x.old.Reply != f.Reply
}

// mentioned notes that the peer sent something of r, in the ledger too.
func (x *External) mentioned(r Ref, moved bool) {
	x.seen(r).set(r.number())
	if !x.follows {
		return
	}
	l, i := x.side(r), r.number()
	l.await(i)
	l.resting.clear(i)
	if moved {
		l.settled.clear(i)
	}
}

func (x *External) create(f *flow.Flow, h uint64, now int64) error {
	r := x.insert(&f.Orig, h)
	if r == 0 {
		return x.full()
	}
	if x.follows {
		x.side(r).grow(x.chunks(r))
	}
	x.replace(r, f, now)
	x.show(r)
	x.mentioned(r, true)
	return nil
}

// Destroy removes the flow whose original tuple is key (CT_DEL) and reports whether there was one.
func (x *External) Destroy(key *flow.Tuple, _ int64) bool {
	r, ok := x.Lookup(key)
	if !ok {
		x.stats.DestroyFailed++
		return false
	}
	x.Remove(r)
	return true
}

// Remove removes an entry (sweep) and counts it as destroyed. In a ledger its record stays until Gone, if the kernel
// may have the flow from us. A ref that names no entry is ignored.
func (x *External) Remove(ref Ref) {
	if !x.sees(ref) {
		return
	}
	x.hide(ref)
	if l := x.side(ref); x.follows && l.placed.has(ref.number()) {
		l.fail(ref.number(), false)
		l.await(ref.number())
		return
	}
	x.release(ref)
}

// Forget removes an entry and counts it as destroyed, and leaves to the kernel what it has of it. A ref that names no
// entry is ignored.
func (x *External) Forget(ref Ref) {
	if x.sees(ref) {
		x.hide(ref)
		x.release(ref)
	}
}

// release frees a record that readers do not see.
func (x *External) release(ref Ref) {
	x.side(ref).clear(ref.number())
	x.free(ref)
}

// Reset removes all entries and counts them as destroyed; the kernel keeps what it has of them. The memory is left to
// the garbage collector, so it takes the same short time whatever the cache held. Refs and scans from before mean
// nothing afterwards.
func (x *External) Reset() {
	x.stats.Destroyed += uint64(x.active)
	x.init(x.limit)
	x.l4, x.l6, x.cursor = ledger{}, ledger{}, 0
}

// Stats returns the present counters.
func (x *External) Stats() Stats {
	st := x.store.Stats()
	st.Bytes += x.l4.bytes() + x.l6.bytes()
	return st
}

// BeginSweep starts to watch which entries the peer confirms: call it when the peer is asked for its whole table, and
// Sweep when all of it has arrived. The times of the entries are too coarse for that.
func (x *External) BeginSweep() {
	clear(x.v4.seen)
	clear(x.v6.seen)
}

// Sweep removes entries that the peer did not send since BeginSweep, looking at no more than max of those, and returns
// how many it removed. Those that were last sent before keep stay. Call it again with next until that is 0.
func (x *External) Sweep(from Ref, max int, keep int64) (removed int, next Ref) {
	looked := 0
	for r := x.unconfirmed(from); r != 0; r = x.unconfirmed(r + 1) {
		if looked == max {
			return removed, r
		}
		looked++
		// What is not seen has ended, and waits to be taken out of the kernel.
		if x.sees(r) && x.nanosecond(x.body(r).updated) >= keep {
			x.Remove(r)
			removed++
		}
	}
	return removed, 0
}
