package cache

import "ctsync/daemon/flow"

// While the peer's flows and expectations go straight into the kernel (Follow), the external caches are the ledger of
// that: beside what the peer sent, they know of each record what the kernel has and what it must still be given. A
// record that readers do not see has ended at the peer and is kept until the kernel no longer has it.
//
// All of it is bit sets and two numbers per record, apart from the records: a cache that nobody follows pays nothing.

// orders are what the kernel is still to be given, flows or expectations.
type orders struct {
	pending bitset // the kernel is to get it, or to lose it if it has ended
	placed  bitset // the kernel may have it from us
	waiting int    // members of pending
}

// grow makes room for the records of the chunks below n.
func (o *orders) grow(n int) {
	o.pending.grow(n)
	o.placed.grow(n)
}

func (o *orders) await(i uint32) {
	if !o.pending.has(i) {
		o.pending.set(i)
		o.waiting++
	}
}

func (o *orders) unawait(i uint32) {
	if o.pending.has(i) {
		o.pending.clear(i)
		o.waiting--
	}
}

// drop forgets everything of record i.
func (o *orders) drop(i uint32) {
	o.unawait(i)
	if o.placed.has(i) {
		o.placed.clear(i)
	}
}

// none empties the list of what is pending.
func (o *orders) none() {
	clear(o.pending)
	o.waiting = 0
}

// ledger is what the external cache of flows keeps for one table.
type ledger struct {
	orders
	settled  bitset // the kernel has this very flow from us: to change it in place is enough
	failed   bitset // the kernel refused it
	resting  bitset // its timer is not to be set again
	timers   []*[chunkSize]timer
	failures int // members of failed
}

// timer is what the kernel's timer of a flow was set to, and when, in seconds of the store; zero: never.
type timer struct{ set, timeout uint32 }

// grow makes room for the records of the chunks below n.
func (l *ledger) grow(n int) {
	for len(l.timers) < n {
		l.timers = append(l.timers, new([chunkSize]timer))
	}
	l.orders.grow(n)
	for _, b := range []*bitset{&l.settled, &l.failed, &l.resting} {
		b.grow(n)
	}
}

func (l *ledger) timer(i uint32) *timer { return &l.timers[i>>chunkShift][i&chunkMask] }

func (l *ledger) bytes() uint64 {
	return uint64(len(l.timers))*8*chunkSize +
		8*uint64(cap(l.pending)+cap(l.placed)+cap(l.settled)+cap(l.failed)+cap(l.resting))
}

func (l *ledger) fail(i uint32, failed bool) {
	switch {
	case failed && !l.failed.has(i):
		l.failed.set(i)
		l.failures++
	case !failed && l.failed.has(i):
		l.failed.clear(i)
		l.failures--
	}
}

// clear forgets everything of record i.
func (l *ledger) clear(i uint32) {
	if int(i>>chunkShift) >= len(l.timers) {
		return
	}
	l.drop(i)
	l.fail(i, false)
	l.settled.clear(i)
	l.resting.clear(i)
	*l.timer(i) = timer{}
}

func (x *External) side(r Ref) *ledger {
	if r&refIPv6 == 0 {
		return &x.l4
	}
	return &x.l6
}

// Ended calls fn for every flow that the peer ended and the kernel may still have from us. The Item is reused.
// Follow(false) forgets them.
func (x *External) Ended(fn func(*Item)) {
	for r := x.nextUnseen(1); r != 0; r = x.nextUnseen(r + 1) {
		if x.side(r).placed.has(r.number()) {
			x.item(r, &x.taken)
			fn(&x.taken)
		}
	}
}

// Follow makes the cache a ledger, in which every entry is pending at first, or a mere cache again. Then the records of
// flows that ended are dropped; which entries the kernel may have is still known, for Placements.
func (x *External) Follow(on bool) {
	if on == x.follows {
		return
	}
	x.follows, x.cursor = on, 0
	if on {
		for _, l := range []*ledger{&x.l4, &x.l6} {
			clear(l.settled) // the peer may have sent other values since
		}
		x.l4.grow(len(x.v4.records.chunks))
		x.l6.grow(len(x.v6.records.chunks))
		x.Retry(true)
		return
	}
	for r := x.nextUnseen(1); r != 0; r = x.nextUnseen(r + 1) {
		x.release(r)
	}
	x.l4.none()
	x.l6.none()
}

// nextUnseen returns the first record in use at or behind from that readers do not see, or 0.
func (x *External) nextUnseen(from Ref) Ref {
	return first(from, x.v4.records.used, x.v4.shown, x.v6.records.used, x.v6.shown)
}

// Retry makes the entries pending again that the kernel refused, and with all every entry that it does not have from
// us.
func (x *External) Retry(all bool) {
	for _, s := range []struct {
		l     *ledger
		shown bitset
	}{{&x.l4, x.v4.shown}, {&x.l6, x.v6.shown}} {
		from := s.l.failed
		var except bitset
		if all {
			from, except = s.shown, s.l.settled
		}
		for i, ok := from.next(0, except); ok; i, ok = from.next(i+1, except) {
			s.l.await(i)
		}
	}
}

// Pending returns how many records the kernel must still be given, or lose.
func (x *External) Pending() int { return x.l4.waiting + x.l6.waiting }

// Failed returns how many entries the kernel refused.
func (x *External) Failed() int { return x.l4.failures + x.l6.failures }

// Waits reports whether the flow with the original tuple key is pending.
func (x *External) Waits(key *flow.Tuple) bool {
	r, _ := x.find(key)
	return r != 0 && x.side(r).pending.has(r.number())
}

// Injected reports whether the flow with the original tuple key is the peer's as far as the kernel goes: a record while
// the cache is followed, until Gone if it has ended, and afterwards a record that was placed then.
func (x *External) Injected(key *flow.Tuple) bool {
	if len(x.l4.timers) == 0 && len(x.l6.timers) == 0 {
		return false
	}
	r, _ := x.find(key)
	return r != 0 && (x.follows || x.side(r).placed.has(r.number()))
}

// Item is a record whose turn has come: see Take and Due.
type Item struct {
	Entry
	Ended   bool   // the peer ended it: it is to leave the kernel
	Settled bool   // the kernel has this very flow: to change it in place is enough
	Set     int64  // when the kernel's timer was last set
	Timer   uint32 // to how many seconds; 0 = it was not
}

func (x *External) item(r Ref, it *Item) {
	x.load(r, &it.Entry)
	l, i := x.side(r), r.number()
	t := l.timer(i)
	it.Ended, it.Settled = !x.shown(r).has(i), l.settled.has(i)
	it.Set, it.Timer = x.nanosecond(t.set), t.timeout
}

// Take calls fn for at most max pending records, going round, and takes them off the list. The caller hands them to the
// kernel and reports the outcome by Placed, Refused, Unplaced or Gone. The Item is reused. fn may change the cache.
func (x *External) Take(max int, fn func(*Item)) {
	for range max {
		r := x.nextPending(x.cursor + 1)
		if r == 0 {
			if r = x.nextPending(1); r == 0 {
				return
			}
		}
		x.cursor = r
		x.take(r, fn)
	}
}

// TakeEntry is Take for the one entry ref, unless it is pending, or settled since, or ref names none.
func (x *External) TakeEntry(ref Ref, fn func(*Item)) {
	if !x.follows || !x.sees(ref) {
		return
	}
	if l, i := x.side(ref), ref.number(); !l.pending.has(i) && !l.settled.has(i) {
		x.take(ref, fn)
	}
}

func (x *External) take(r Ref, fn func(*Item)) {
	l, i := x.side(r), r.number()
	l.unawait(i)
	l.placed.set(i)
	x.item(r, &x.taken)
	fn(&x.taken)
}

func (x *External) nextPending(from Ref) Ref {
	return first(from, x.l4.pending, nil, x.l6.pending, nil)
}

// held reports whether ref, which may be anything, is still the record of key.
func (x *External) held(ref Ref, key *flow.Tuple) bool {
	r, _ := x.find(key)
	return ref != 0 && r == ref && int(r.number()>>chunkShift) < len(x.side(r).timers)
}

// Again makes the record of key pending, if it is still ref.
func (x *External) Again(ref Ref, key *flow.Tuple) {
	if x.held(ref, key) {
		x.side(ref).await(ref.number())
	}
}

// Placed records that the kernel has the flow now, its timer set to timeout seconds.
func (x *External) Placed(ref Ref, key *flow.Tuple, timeout uint32, now int64) {
	if !x.held(ref, key) {
		return
	}
	l, i := x.side(ref), ref.number()
	l.placed.set(i)
	l.fail(i, false)
	if !l.pending.has(i) { // else the peer has sent something new meanwhile
		l.settled.set(i)
	}
	*l.timer(i) = timer{set: x.second(now), timeout: timeout}
}

// Refused records that the kernel did not take the flow. Retry offers it again.
func (x *External) Refused(ref Ref, key *flow.Tuple) {
	if x.Unplaced(ref, key); x.held(ref, key) {
		x.side(ref).fail(ref.number(), true)
	}
}

// Unplaced records that the flow is not in the kernel, and is not to be until something of it changes.
func (x *External) Unplaced(ref Ref, key *flow.Tuple) {
	if x.held(ref, key) {
		l, i := x.side(ref), ref.number()
		l.placed.clear(i)
		l.settled.clear(i)
		*l.timer(i) = timer{}
	}
}

// Gone records that the kernel does not have the flow any more, after its end. The record is freed, unless the peer
// announced the flow again meanwhile.
func (x *External) Gone(ref Ref, key *flow.Tuple) {
	if !x.held(ref, key) {
		return
	}
	if !x.sees(ref) {
		x.release(ref)
		return
	}
	x.side(ref).settled.clear(ref.number())
}

// Lost records that the kernel ended a flow by itself. Its entry, if there is one, comes with the next Due.
func (x *External) Lost(key *flow.Tuple, now int64) bool {
	if !x.follows {
		return false
	}
	r, ok := x.Lookup(key)
	if !ok {
		return false
	}
	l, i := x.side(r), r.number()
	if !l.placed.has(i) || l.pending.has(i) {
		return false
	}
	l.settled.clear(i)
	l.resting.clear(i)
	*l.timer(i) = timer{set: x.second(now), timeout: 1}
	return true
}

// Doubt puts a flow back once that the kernel ended by itself and that this router had too. Its timer is not set again
// until the peer sends the flow.
func (x *External) Doubt(ref Ref) {
	if x.follows && x.sees(ref) {
		l, i := x.side(ref), ref.number()
		l.settled.clear(i)
		l.resting.set(i)
		l.await(i)
	}
}

// Resting reports whether the timer of an entry is left to run out.
func (x *External) Resting(ref Ref) bool {
	return x.follows && x.sees(ref) && x.side(ref).resting.has(ref.number())
}

// Due calls fn for at most `most` entries whose kernel timer has run for half of its timeout or longer and is not
// resting, looking at no more than look records from the position from on, and returns the position to go on from, 0
// after the last one. The Item is reused. fn may change the cache.
func (x *External) Due(from Ref, look, most int, now int64, fn func(*Item)) (next Ref) {
	sec := x.second(now)
	for r := max(from, 1); ; r++ {
		i, ok := x.shown(r).next(r.number(), x.side(r).resting)
		switch {
		case !ok && r&refIPv6 != 0:
			return 0
		case !ok:
			r = refIPv6 // and none of it was seen yet
			continue
		}
		r = r&refIPv6 | Ref(i+1)
		if look == 0 || most == 0 {
			return r
		}
		look--
		if l := x.side(r); l.due(i, sec) {
			most--
			x.item(r, &x.taken)
			fn(&x.taken)
		}
	}
}

// due reports whether the timer of record i has run for half of its timeout.
func (l *ledger) due(i, sec uint32) bool {
	t := l.timer(i)
	return t.timeout != 0 && sec >= t.set && sec-t.set >= t.timeout/2 && !l.pending.has(i)
}

// Refreshed records that the kernel's timer was set to timeout seconds, and nothing else.
func (x *External) Refreshed(ref Ref, key *flow.Tuple, timeout uint32, now int64) {
	if x.held(ref, key) {
		*x.side(ref).timer(ref.number()) = timer{set: x.second(now), timeout: timeout}
	}
}

// Placements calls fn for at most `most` entries that the kernel may have from us, from the position from on, and
// returns the position to go on from, 0 after the last one. The Item is reused. fn may change the cache.
func (x *External) Placements(from Ref, most int, fn func(*Item)) (next Ref) {
	for r := x.nextShown(from); r != 0; r = x.nextShown(r + 1) {
		if l, i := x.side(r), r.number(); l.placed.has(i) {
			if most == 0 {
				return r
			}
			most--
			x.item(r, &x.taken)
			fn(&x.taken)
		}
	}
	return 0
}

// Rest records that the kernel's timer of an entry is left to run out.
func (x *External) Rest(ref Ref, key *flow.Tuple) {
	if x.held(ref, key) {
		x.side(ref).resting.set(ref.number())
	}
}
