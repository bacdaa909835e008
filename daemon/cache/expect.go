package cache

import (
	"hash/maphash"
	"time"
	"unsafe"

	"ctsync/daemon/flow"
)

// Expectations are few (nf_conntrack_expect_max is some thousands) and last for minutes. Their caches are a slice of
// whole records, found through a map, and what concerns all of them is done in one call.

// ExpectEntry is an expectation in a cache. Its times are nanoseconds on the caller's clock.
type ExpectEntry struct {
	Ref         Ref
	Expectation flow.Expectation
	Created     int64 // when it was inserted or replaced
	Updated     int64 // when it last changed
	Read        int64 // for when Expectation.Timeout holds: Updated, until At turns the entry to another moment
}

// expectKey is the identity of an expectation, which is conntrackd's: its tuples, and everything else but the timeout
// and the ID. An expectation that differs in anything else is another one, and the end of the earlier one
// is sent to the peer.
type expectKey struct {
	expect, mask, master flow.Tuple
	rest                 uint64 // keyed hash: names make the key too long to lie in a map
}

func (s *expectStore) keyOf(e *flow.Expectation) expectKey {
	rest := struct {
		nat               flow.Tuple
		dir, flags, class uint32
		helper            [16]byte
		fn                [32]byte
	}{e.NAT, e.NATDir, e.Flags, e.Class, e.Helper, e.Fn}
	return expectKey{e.Expect, e.Mask, e.Master, maphash.Comparable(s.seed, rest)}
}

type expectRecord struct {
	e                flow.Expectation
	created, updated int64
	next             Ref // free: the next free record

	used  bool
	shown bool // readers see it: it has neither ended nor been flushed
	seen  bool // confirmed since the reconcile (internal) or the sweep (external) began
	state      // used by the internal cache
}

// expectStore is what both caches of expectations are made of. Their refs are marked with refExpect.
type expectStore struct {
	records []expectRecord
	index   map[expectKey]Ref
	seed    maphash.Seed
	vacant  Ref // the first free record
	limit   int
	active  int
	stats   Stats
}

func (s *expectStore) init(limit int) {
	s.records, s.index, s.vacant, s.active = nil, map[expectKey]Ref{}, 0, 0
	s.seed = maphash.MakeSeed()
	s.SetLimit(limit)
}

// maxExpectations bounds any limit.
const maxExpectations = 1 << numberBits

// SetLimit changes how many records the cache may hold; limit <= 0 means as many as possible. Present ones stay.
func (s *expectStore) SetLimit(limit int) {
	if limit <= 0 || limit > maxExpectations {
		limit = maxExpectations
	}
	s.limit = limit
}

// Limit returns how many records the cache may hold.
func (s *expectStore) Limit() int { return s.limit }

// Len returns the number of entries that readers see.
func (s *expectStore) Len() int { return s.active }

// Stats returns the present counters.
func (s *expectStore) Stats() Stats {
	st := s.stats
	st.Active = uint64(s.active)
	st.Objects = uint64(len(s.index))
	st.Total, st.Limit = st.Objects, uint64(s.limit)
	st.Bytes = uint64(cap(s.records))*uint64(unsafe.Sizeof(expectRecord{})) +
		st.Objects*uint64(unsafe.Sizeof(expectKey{})+unsafe.Sizeof(Ref(0)))
	return st
}

// ref returns the ref of the record with an index.
func (s *expectStore) ref(i int) Ref { return refExpect | Ref(i+1) }

// at returns the record of ref.
func (s *expectStore) at(ref Ref) *expectRecord { return &s.records[ref.number()] }

// uses reports whether ref, which may be anything, is a record in use.
func (s *expectStore) uses(ref Ref) bool {
	return ref.isExpectation() && int(ref.number()) < len(s.records) && s.at(ref).used
}

// find returns the record of e, seen by readers or not, or 0.
func (s *expectStore) find(e *flow.Expectation) Ref { return s.index[s.keyOf(e)] }

// lookup returns the entry of e, or 0.
func (s *expectStore) lookup(e *flow.Expectation) Ref {
	if r := s.find(e); r != 0 && s.at(r).shown {
		return r
	}
	return 0
}

// insert makes a record of e that readers see.
func (s *expectStore) insert(e *flow.Expectation, now int64) (Ref, error) {
	if len(s.index) >= s.limit {
		s.stats.CreateFailed++
		s.stats.Full++
		return 0, ErrFull
	}
	r := s.vacant
	if r == 0 {
		r = s.ref(len(s.records))
		s.records = append(s.records, expectRecord{})
	} else {
		s.vacant = s.at(r).next
	}
	*s.at(r) = expectRecord{used: true}
	s.index[s.keyOf(e)] = r
	s.replace(s.at(r), e, now)
	return r, nil
}

// replace makes e the content of a record, as a new entry that readers see.
func (s *expectStore) replace(r *expectRecord, e *flow.Expectation, now int64) {
	s.hide(r)
	r.e, r.created, r.updated, r.seen, r.shown = *e, now, now, true, true
	s.active++
	s.stats.Created++
}

// repeat takes what the kernel or the peer reports again of an entry: see reread.
func (r *expectRecord) repeat(e *flow.Expectation, now int64) {
	timeout, updated := r.e.Timeout, uint32(0)
	if e.Has.Is(flow.HasTimeout) {
		timeout, updated = reread(timeout, 0, e.Timeout, uint32(max(now-r.updated, 0)/int64(time.Second)))
	}
	r.e, r.seen = *e, true
	r.e.Timeout = timeout
	r.updated += int64(updated) * int64(time.Second)
}

// hide takes the record out of the readers' sight and counts it as destroyed, unless that was done before.
func (s *expectStore) hide(r *expectRecord) {
	if r.shown {
		r.shown = false
		s.active--
		s.stats.Destroyed++
	}
}

// free gives the record, which readers do not see, back.
func (s *expectStore) free(ref Ref) {
	r := s.at(ref)
	delete(s.index, s.keyOf(&r.e))
	*r = expectRecord{next: s.vacant}
	s.vacant = ref
}

// validExpectation reports whether e can be cached: it has the identity of an expectation.
func validExpectation(e *flow.Expectation) bool {
	f := e.Expect.Family
	return (f == flow.IPv4 || f == flow.IPv6) && e.Has.Is(flow.HasMaster) && e.Master.Family == f
}

// Load fills entry with what ref names and reports whether readers see it.
func (s *expectStore) Load(ref Ref, entry *ExpectEntry) bool {
	if !s.uses(ref) || !s.at(ref).shown {
		return false
	}
	s.load(ref, entry)
	return true
}

// load fills entry, also from a record that readers do not see.
func (s *expectStore) load(ref Ref, entry *ExpectEntry) {
	r := s.at(ref)
	*entry = ExpectEntry{Ref: ref, Expectation: r.e, Created: r.created, Updated: r.updated, Read: r.updated}
}

// Scan calls fn for at most max entries from the position from on (0 = the beginning) and returns the position to go on
// from, 0 after the last entry. The entry is reused. fn may change the cache.
func (s *expectStore) Scan(from Ref, max int, fn func(*ExpectEntry)) (next Ref) {
	var entry ExpectEntry
	for i := int(from); i < len(s.records); i++ {
		if max == 0 {
			return Ref(i)
		}
		if s.Load(s.ref(i), &entry) {
			max--
			fn(&entry)
		}
	}
	return 0
}
