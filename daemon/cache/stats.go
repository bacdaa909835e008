package cache

import "unsafe"

// Stats are the counters of a cache, counted as conntrackd counts them (its -s cache).
type Stats struct {
	Active        uint64 // entries that readers see
	Created       uint64 // inserted; a NEW over an existing entry counts one destroyed and one created
	CreateFailed  uint64 // not inserted: Full, or ErrFamily
	Updated       uint64 // merged into an existing entry
	UpdateFailed  uint64 // not merged: ErrFamily
	Destroyed     uint64 // ended, replaced, removed or flushed
	DestroyFailed uint64 // internal: DESTROY of another incarnation; external: ends of what is not cached
	Objects       uint64 // records in memory, with those of ended flows whose end the peer has not acknowledged
	Total         uint64 // records in the index: the same
	Full          uint64 // refused with ErrFull
	Limit         uint64 // of Total
	Bytes         uint64 // memory held
}

// Stats returns the present counters.
func (s *store) Stats() Stats {
	st := s.stats
	st.Active = uint64(s.active)
	st.Objects = uint64(s.total())
	st.Total, st.Limit = st.Objects, uint64(s.limit)
	st.Bytes = s.v4.bytes() + s.v6.bytes() + s.extras.bytes()
	return st
}

func (t *table[K]) bytes() uint64 {
	return uint64(unsafe.Sizeof(*t)) + 8*uint64(t.slots()) + t.records.bytes() + t.replies.bytes() +
		8*uint64(cap(t.shown)+cap(t.seen))
}

func (s *slab[T]) bytes() uint64 {
	return uint64(s.held)*uint64(unsafe.Sizeof([chunkSize]T{})) + 8*uint64(cap(s.used)+cap(s.chunks)) +
		2*uint64(cap(s.counts)+cap(s.hints)) + 4*uint64(cap(s.room))
}

func (s *side) bytes() uint64 {
	return uint64(len(s.chunks))*uint64(unsafe.Sizeof([chunkSize]track{})) + 8*uint64(cap(s.chunks)+cap(s.known))
}

func (h *heard) bytes() uint64 { return 8 * uint64(cap(h.recent)+cap(h.touched)) }
