package cache

import (
	"hash/maphash"
	"unsafe"

	"ctsync/daemon/flow"
)

// Expectations are few (nf_conntrack_expect_max is some thousands) and live for minutes. Their caches are a slice of
// whole records, found through a map, and work on the whole of them is done in one go.

// ExpectEntry is an expectation in a cache. Times are nanoseconds on the caller's clock.
type ExpectEntry struct {
	Ref         Ref
	Expectation flow.Expectation
	Created     int64 // when it was inserted or replaced
	Updated     int64 // when something was last heard of it
}

// expectKey is the identity of an expectation, which is conntrackd's: its tuples, and everything else but the timeout
// and the ID. An expectation that differs in anything is another one, and the peer is told of the end of the former.
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

	// Of the internal cache; see InternalExpect.
	place      uint64
	next, prev Ref // in the dirty list; next also links the free records
	seq        uint32

	used, known, seen, hidden bool
	state                     state
}

func (r *expectRecord) is(s state) bool { return r.state&s != 0 }

// shown reports whether readers see r.
func (r *expectRecord) shown() bool { return r.used && !r.hidden && !r.is(dead) }

// expectStore is what both caches of expectations are made of. Ref r is records[r-1].
type expectStore struct {
	records []expectRecord
	index   map[expectKey]Ref
	seed    maphash.Seed
	free    Ref
	limit   int
	active  int
	stats   Stats
}

func (s *expectStore) init(limit int) {
	s.records, s.index, s.free, s.active = nil, map[expectKey]Ref{}, 0, 0
	s.seed = maphash.MakeSeed()
	s.SetLimit(limit)
}

// maxExpectations bounds any limit.
const maxExpectations = 1 << numberBits

// SetLimit changes how many records the cache may hold; limit <= 0 is the most there can be. What is there stays.
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
	st.Bytes = uint64(cap(s.records))*uint64(unsafe.Sizeof(expectRecord{})) + st.Objects*uint64(unsafe.Sizeof(expectKey{})+unsafe.Sizeof(Ref(0)))
	return st
}

// at returns the record of ref, which may be anything, or nil when it is not in use.
func (s *expectStore) at(ref Ref) *expectRecord {
	if ref == 0 || int(ref) > len(s.records) || !s.records[ref-1].used {
		return nil
	}
	return &s.records[ref-1]
}

// insert makes a record of e that readers see.
func (s *expectStore) insert(e *flow.Expectation, now int64) (Ref, error) {
	if len(s.index) >= s.limit {
		s.stats.CreateFailed++
		s.stats.Full++
		return 0, ErrFull
	}
	r := s.free
	if r == 0 {
		s.records = append(s.records, expectRecord{})
		r = Ref(len(s.records))
	} else {
		s.free = s.records[r-1].next
	}
	s.records[r-1] = expectRecord{e: *e, created: now, updated: now, used: true, seen: true}
	s.index[s.keyOf(e)] = r
	s.active++
	s.stats.Created++
	return r, nil
}

// conceal takes a record from the readers.
func (s *expectStore) conceal(r *expectRecord) {
	if r.shown() {
		s.active--
		s.stats.Destroyed++
	}
}

// drop frees a record that readers do not see and that is in no list.
func (s *expectStore) drop(ref Ref) {
	r := &s.records[ref-1]
	delete(s.index, s.keyOf(&r.e))
	*r = expectRecord{next: s.free}
	s.free = ref
}

// validExpectation reports whether e can be cached: it has the identity of an expectation.
func validExpectation(e *flow.Expectation) bool {
	f := e.Expect.Family
	return (f == flow.IPv4 || f == flow.IPv6) && e.Has.Is(flow.HasMaster) && e.Master.Family == f
}

// Load fills entry with what ref names and reports whether readers see it.
func (s *expectStore) Load(ref Ref, entry *ExpectEntry) bool {
	r := s.at(ref)
	if r == nil || !r.shown() {
		return false
	}
	*entry = ExpectEntry{Ref: ref, Expectation: r.e, Created: r.created, Updated: r.updated}
	return true
}

// Scan calls fn for at most max entries from the position from on (0 = the beginning) and returns the position to go on
// from, 0 after the last entry. The entry is reused. fn may change the cache.
func (s *expectStore) Scan(from Ref, max int, fn func(*ExpectEntry)) (next Ref) {
	var entry ExpectEntry
	for i := int(from); i < len(s.records); i++ {
		if max == 0 {
			return Ref(i)
		}
		if s.Load(Ref(i+1), &entry) {
			max--
			fn(&entry)
		}
	}
	return 0
}
