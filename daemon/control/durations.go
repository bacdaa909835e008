package control

// Durations counts durations by how long they were, for a Histogram. The zero value has counted none. It belongs to one
// goroutine.
type Durations struct {
	counts [len(Bounds) + 1]uint64 // by bound, the last one beyond them all
	sum    int64                   // ns
}

// Observe counts a duration, in nanoseconds.
func (d *Durations) Observe(ns int64) {
	i := 0
	for i < len(Bounds) && ns > int64(Bounds[i]) {
		i++
	}
	d.counts[i]++
	d.sum += ns
}

// Histogram returns what was counted.
func (d *Durations) Histogram() Histogram {
	h := Histogram{Sum: Duration(d.sum), Buckets: make([]Bucket, len(Bounds))}
	for i, n := range d.counts {
		h.Count += n
		if i < len(Bounds) {
			h.Buckets[i] = Bucket{UpTo: Duration(Bounds[i]), Count: h.Count}
		}
	}
	return h
}
