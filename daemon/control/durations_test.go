package control

import (
	"testing"
	"time"
)

// TestDurations: a duration on a bound belongs below it, and one beyond all bounds is in the count alone.
func TestDurations(t *testing.T) {
	var d Durations
	longest := Bounds[len(Bounds)-1]
	for _, took := range []time.Duration{0, Bounds[0], Bounds[0] + 1, longest, longest + 1} {
		d.Observe(int64(took))
	}
	h := d.Histogram()
	if h.Count != 5 || h.Sum != Duration(2*Bounds[0]+2*longest+2) || len(h.Buckets) != len(Bounds) {
		t.Errorf("%+v", h)
	}
	for i, want := range map[int]uint64{0: 2, 1: 3, len(Bounds) - 2: 3, len(Bounds) - 1: 4} {
		if b := h.Buckets[i]; b.Count != want || b.UpTo != Duration(Bounds[i]) {
			t.Errorf("bucket %d: %+v, want %d", i, b, want)
		}
	}
}
