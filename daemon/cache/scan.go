package cache

// Reading in the order of storage. A position is a Ref: the IPv4 records first, then the IPv6 ones; 0 is the start.

// nextShown returns the first entry at or behind the position from, or 0.
func (s *store) nextShown(from Ref) Ref {
	from = max(from, 1)
	if from&refIPv6 == 0 {
		if i, ok := s.v4.shown.next(from.number(), nil); ok {
			return Ref(i + 1)
		}
		from = refIPv6 | 1
	}
	if i, ok := s.v6.shown.next(from.number(), nil); ok {
		return refIPv6 | Ref(i+1)
	}
	return 0
}

// unconfirmed returns the first record in use at or behind from, seen by readers or not, that is not in seen, or 0.
func (s *store) unconfirmed(from Ref) Ref { return s.usedBeside(from, s.v4.seen, s.v6.seen) }

// usedBeside returns the first record in use at or behind from that is in neither of two sets, each of its table, or 0.
func (s *store) usedBeside(from Ref, set4, set6 bitset) Ref {
	from = max(from, 1)
	if from&refIPv6 == 0 {
		if i, ok := s.v4.records.used.next(from.number(), set4); ok {
			return Ref(i + 1)
		}
		from = refIPv6 | 1
	}
	if i, ok := s.v6.records.used.next(from.number(), set6); ok {
		return refIPv6 | Ref(i+1)
	}
	return 0
}

// Scan calls fn for at most max entries from the position from on (0 = the beginning), in the order of storage, and
// returns the position to go on from, 0 after the last entry. When fn returns false the scan pauses behind that entry.
//
// The cache may change between two calls and in fn: an entry that is there all the time is passed exactly once, others
// at most once. The Entry is reused; fn must copy what it keeps.
func (s *store) Scan(from Ref, max int, fn func(*Entry) bool) (next Ref) {
	var e Entry
	for r := s.nextShown(from); r != 0; r = s.nextShown(r + 1) {
		if max <= 0 {
			return r
		}
		max--
		s.load(r, &e)
		if !fn(&e) {
			return s.nextShown(r + 1)
		}
	}
	return 0
}
