package daemon

// maxReasons bounds the reasons that are counted apart: names of helpers are among them, which the peer chooses.
const maxReasons = 64

// otherReasons counts what found no room.
const otherReasons = "for other reasons"

// count adds n for a reason to t, which may be nil, and returns t.
func count(t map[string]uint64, why string, n uint64) map[string]uint64 {
	if t == nil {
		t = map[string]uint64{}
	}
	if _, known := t[why]; !known && len(t) >= maxReasons {
		why = otherReasons
	}
	t[why] += n
	return t
}

// addCounts adds the reasons of r to t, which may be nil, and returns t.
func addCounts(t, r map[string]uint64) map[string]uint64 {
	for why, n := range r {
		t = count(t, why, n)
	}
	return t
}
