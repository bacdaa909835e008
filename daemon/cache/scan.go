package cache

// Reading in the order of storage. A position is a Ref: the IPv4 records first, then the IPv6 ones; 0 is the start.

// first returns the first record at or behind the position from that is in a set and not in except, each of them given
// for the IPv4 and the IPv6 records, or 0.
func first(from Ref, set4, except4, set6, except6 bitset) Ref {
	from = max(from, 1)
	if from&refIPv6 == 0 {
		if i, ok := set4.next(from.number(), except4); ok {
			return Ref(i + 1)
		}
		from = refIPv6 | 1
	}
	if i, ok := set6.next(from.number(), except6); ok {
		return refIPv6 | Ref(i+1)
	}
	return 0
}

// nextShown returns the first entry at or behind the position from, or 0.
func (s *store) nextShown(from Ref) Ref { return first(from, s.v4.shown, nil, s.v6.shown, nil) }

// unconfirmed returns the first record in use at or behind from, seen by readers or not, that is not in seen, or 0.
func (s *store) unconfirmed(from Ref) Ref {
	return first(from, s.v4.records.used, s.v4.seen, s.v6.records.used, s.v6.seen)
}

// Scan calls fn for at most max entries from the position from on (0 = the beginning), in the order of storage, and
// returns the position to go on from, 0 after the last entry. When fn returns false the scan pauses behind that entry.
//
// The cache may change between two calls and in fn: an entry that is there all the time is passed exactly once, others
// at most once. The Entry is reused; fn must copy what it keeps.
func (s *store) Scan(from Ref, max int, fn func(*Entry) bool) (next Ref) {
	return s.scan(from, max, (*store).load, fn)
}

// ScanBrief is Scan for those who count or sort: of the flow the original tuple, a reply tuple that is not its inverse,
// the helper, the states and what every record has are there, and nothing else.
func (s *store) ScanBrief(from Ref, max int, fn func(*Entry) bool) (next Ref) {
	return s.scan(from, max, (*store).brief, fn)
}

func (s *store) scan(from Ref, max int, load func(*store, Ref, *Entry), fn func(*Entry) bool) (next Ref) {
	var e Entry
	for r := s.nextShown(from); r != 0; r = s.nextShown(r + 1) {
		if max <= 0 {
			return r
		}
		max--
		load(s, r, &e)
		if !fn(&e) {
			return s.nextShown(r + 1)
		}
	}
	return 0
}
