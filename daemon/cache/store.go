package cache

import (
	"errors"
	"hash/maphash"
	"time"

	"ctsync/daemon/flow"
)

// Errors of New, Update, Restored and Reconcile. The flow was not stored, and that was counted.
var (
	ErrFull   = errors.New("cache is full")
	ErrFamily = errors.New("tuple is neither IPv4 nor IPv6, or the two directions differ")
)

// Ref names an entry as long as it is in the cache; 0 names none. The cache reuses the number for another flow, so
// whoever keeps a Ref while the cache changes must load the entry to check it.
type Ref uint32

// Marks of the records of the IPv6 table and of expectations. Below them stands the record number plus one.
const (
	refIPv6   Ref = 1 << numberBits
	refExpect Ref = 2 << numberBits
)

func (r Ref) number() uint32 { return uint32(r&numberMask) - 1 }

func (r Ref) isExpectation() bool { return r>>numberBits == refExpect>>numberBits }

// Entry is one flow of a cache. The times are on the clock of the now arguments, rounded down to the second.
type Entry struct {
	Ref     Ref
	Flow    flow.Flow // its timeout is what was left at Read
	Created int64     // when the flow was inserted or replaced
	Updated int64     // when it last changed or was last seen active
	Read    int64     // Updated, until At turns the entry to another moment
}

// store is what both caches are made of: two tables, the rare attributes, the counters. All refs that methods take
// must be in use unless said otherwise.
type store struct {
	v4     *table[key4]
	v6     *table[key6]
	extras slab[extra]
	limit  int
	active int // entries that readers see
	epoch  int64
	timed  bool // epoch is set
	stats  Stats
	old    flow.Flow // scratch, here so that it is not allocated

	fetched uint64 // of no meaning: see prefetch
}

func (s *store) init(limit int) {
	seed := maphash.MakeSeed()
	s.v4 = &table[key4]{hash: func(k key4) uint64 { return maphash.Bytes(seed, k[:]) }}
	s.v6 = &table[key6]{hash: func(k key6) uint64 { return maphash.Bytes(seed, k[:]) }}
	s.extras = slab[extra]{}
	s.active = 0
	s.SetLimit(limit)
}

// Len returns the number of entries that readers see.
func (s *store) Len() int { return s.active }

// Limit returns the number of entries at which the cache is full.
func (s *store) Limit() int { return s.limit }

// SetLimit changes the number of entries, dead ones included, at which the cache is full. A limit of 0 or less leaves
// the only bound that the index has: 16 773 120 flows per family. Entries above a lowered limit stay.
func (s *store) SetLimit(limit int) {
	if limit <= 0 {
		limit = 2 * maxRecords
	}
	s.limit = limit
}

// total returns the number of records in use, seen or not.
func (s *store) total() int { return s.v4.records.n + s.v6.records.n }

// second converts a time of the caller to that of records. The first one becomes the epoch.
func (s *store) second(now int64) uint32 {
	if !s.timed {
		s.epoch, s.timed = now, true
	}
	return uint32(min(max(now-s.epoch, 0)/int64(time.Second), 1<<32-1))
}

func (s *store) nanosecond(sec uint32) int64 { return s.epoch + int64(sec)*int64(time.Second) }

// valid reports whether f can be stored.
func valid(f *flow.Flow) bool {
	fam := f.Orig.Family
	return (fam == flow.IPv4 || fam == flow.IPv6) && (!f.Has.Is(flow.HasReply) || f.Reply.Family == fam)
}

// find returns the record whose original tuple is t, seen or not, or 0; and the hash of t for insert.
func (s *store) find(t *flow.Tuple) (r Ref, h uint64) {
	if t.Family == flow.IPv4 {
		k := pack4(t)
		h = s.v4.hash(k)
		if i, ok := s.v4.find(&k, h); ok {
			r = Ref(i + 1)
		}
		return r, h
	}
	if t.Family != flow.IPv6 {
		return 0, 0
	}
	k := pack6(t)
	h = s.v6.hash(k)
	if i, ok := s.v6.find(&k, h); ok {
		r = refIPv6 | Ref(i+1)
	}
	return r, h
}

// insert makes an empty record for t, which find did not find and whose hash it returned. 0 means that the cache is
// full.
func (s *store) insert(t *flow.Tuple, h uint64) Ref {
	if s.total() >= s.limit {
		return 0
	}
	if t.Family == flow.IPv4 {
		k := pack4(t)
		if i, ok := s.v4.insert(&k, h); ok {
			return Ref(i + 1)
		}
		return 0
	}
	k := pack6(t)
	if i, ok := s.v6.insert(&k, h); ok {
		return refIPv6 | Ref(i+1)
	}
	return 0
}

// free gives the record back.
func (s *store) free(r Ref) {
	if b := s.body(r); b.extra != 0 {
		s.extras.free(b.extra - 1)
	}
	if r&refIPv6 == 0 {
		s.v4.remove(r.number())
	} else {
		s.v6.remove(r.number())
	}
}

func (s *store) body(r Ref) *body {
	if r&refIPv6 == 0 {
		return &s.v4.records.at(r.number()).body
	}
	return &s.v6.records.at(r.number()).body
}

// sees reports whether r, which may be anything, is an entry that readers see.
func (s *store) sees(r Ref) bool { return r>>(numberBits+1) == 0 && s.shown(r).has(r.number()) }

// chunks returns the number of chunk numbers of r's table.
func (s *store) chunks(r Ref) int {
	if r&refIPv6 == 0 {
		return len(s.v4.records.chunks)
	}
	return len(s.v6.records.chunks)
}

func (s *store) shown(r Ref) bitset {
	if r&refIPv6 == 0 {
		return s.v4.shown
	}
	return s.v6.shown
}

func (s *store) seen(r Ref) bitset {
	if r&refIPv6 == 0 {
		return s.v4.seen
	}
	return s.v6.seen
}

// show makes the record an entry that readers see.
func (s *store) show(r Ref) {
	if b := s.shown(r); !b.has(r.number()) {
		b.set(r.number())
		s.active++
	}
}

// hide takes the record out of the readers' sight and counts it as destroyed, unless that was done before.
func (s *store) hide(r Ref) {
	if b := s.shown(r); b.has(r.number()) {
		b.clear(r.number())
		s.active--
		s.stats.Destroyed++
	}
}

// put writes the content of f, whose original tuple is the record's.
func (s *store) put(r Ref, f *flow.Flow) {
	b := s.body(r)
	b.set(f)
	if x, needed := extraOf(f); needed {
		if b.extra == 0 {
			b.extra = s.extras.alloc() + 1
		}
		*s.extras.at(b.extra - 1) = x
	} else if b.extra != 0 {
		s.extras.free(b.extra - 1)
		b.extra = 0
	}
	plain := !f.Has.Is(flow.HasReply) || f.Orig.Mirrors(&f.Reply)
	if r&refIPv6 == 0 {
		put(s.v4, r.number(), &f.Reply, plain, pack4)
	} else {
		put(s.v6, r.number(), &f.Reply, plain, pack6)
	}
}

func put[K key](t *table[K], i uint32, reply *flow.Tuple, plain bool, pack func(*flow.Tuple) K) {
	rec := t.records.at(i)
	if plain {
		t.setReply(rec, nil)
		return
	}
	k := pack(reply)
	t.setReply(rec, &k)
}

// tuples writes the tuples that the record has, the original one and a reply that is not its inverse.
func (s *store) tuples(r Ref, f *flow.Flow) *body {
	if r&refIPv6 == 0 {
		rec := s.v4.records.at(r.number())
		rec.orig.unpack(&f.Orig)
		if rec.reply != 0 {
			s.v4.replies.at(rec.reply - 1).unpack(&f.Reply)
		}
		return &rec.body
	}
	rec := s.v6.records.at(r.number())
	rec.orig.unpack(&f.Orig)
	if rec.reply != 0 {
		s.v6.replies.at(rec.reply - 1).unpack(&f.Reply)
	}
	return &rec.body
}

// get overwrites f with the content of the record.
func (s *store) get(r Ref, f *flow.Flow) {
	*f = flow.Flow{}
	b := s.tuples(r, f)
	b.get(f)
	if b.extra != 0 {
		s.extras.at(b.extra - 1).get(f)
	}
	if b.reply == 0 && b.has.Is(flow.HasReply) {
		f.Orig.Invert(&f.Reply)
	}
}

// replace writes the content of a new incarnation.
func (s *store) replace(r Ref, f *flow.Flow, now int64) {
	s.put(r, f)
	b := s.body(r)
	b.created = s.second(now)
	b.updated = b.created
	s.stats.Created++
}

// merge puts the attributes that f carries into the record, by the rule of flow.Merge, and with reply also its reply
// tuple, which that rule never changes once it is known. The flow is active now.
func (s *store) merge(r Ref, f *flow.Flow, reply bool, now int64) {
	s.get(r, &s.old)
	s.mergeOld(r, f, reply, true, f.Has.Is(flow.HasTimeout), now)
}

// mergeOld is merge for a record that was read into old. changed and timed are those of settle.
func (s *store) mergeOld(r Ref, f *flow.Flow, reply, changed, timed bool, now int64) {
	b, timeout := s.body(r), s.old.Timeout
	s.old.Merge(f)
	if reply {
		s.old.Reply = f.Reply
	}
	s.old.Timeout, b.updated = settle(timeout, b.updated, s.old.Timeout, s.second(now), changed, timed)
	s.put(r, &s.old)
	s.stats.Updated++
}

// times fills in the ref and the times of e.
func (s *store) times(r Ref, b *body, e *Entry) {
	e.Ref, e.Created, e.Updated = r, s.nanosecond(b.created), s.nanosecond(b.updated)
	e.Read = e.Updated
}

// load fills e, also for a record that readers do not see.
func (s *store) load(r Ref, e *Entry) {
	s.get(r, &e.Flow)
	b := s.body(r)
	s.times(r, b, e)
}

// brief is load without what needs another place of memory in most records: see ScanBrief. What it does not set, it
// leaves alone.
func (s *store) brief(r Ref, e *Entry) {
	f := &e.Flow
	b := s.tuples(r, f)
	b.get(f)
	if b.reply == 0 {
		f.Has &^= flow.HasReply
	}
	if b.extra == 0 {
		f.Helper, f.SCTPState, f.DCCPState = [16]byte{}, 0, 0
	} else {
		x := s.extras.at(b.extra - 1)
		f.Helper, f.SCTPState, f.DCCPState = x.helper, x.sctpState, x.dccpState
	}
	s.times(r, b, e)
}

// Lookup returns the entry whose original tuple, zone included, is key.
func (s *store) Lookup(key *flow.Tuple) (Ref, bool) {
	r, _ := s.find(key)
	if r == 0 || !s.sees(r) {
		return 0, false
	}
	return r, true
}

// Load fills e. It returns false and leaves e alone when ref names no entry that readers see.
func (s *store) Load(ref Ref, e *Entry) bool {
	if !s.sees(ref) {
		return false
	}
	s.load(ref, e)
	return true
}

// full counts a flow that does not fit.
func (s *store) full() error {
	s.stats.CreateFailed++
	s.stats.Full++
	return ErrFull
}
