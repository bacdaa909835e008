package control

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := Histogram{Count: 10, Sum: Duration(20 * time.Millisecond), Buckets: []Bucket{
		{Duration(time.Millisecond), 5}, {Duration(2 * time.Millisecond), 8}, {Duration(5 * time.Millisecond), 9},
	}}
	if h.Mean() != Duration(2*time.Millisecond) || (&Histogram{}).Mean() != 0 {
		t.Errorf("mean %v", h.Mean())
	}
	for share, ms := range map[float64]time.Duration{0.5: 1, 0.51: 2, 0.8: 2, 0.9: 5} {
		if got, ok := h.Within(share); !ok || time.Duration(got) != ms*time.Millisecond {
			t.Errorf("%v within %v, want %d ms", share, got, ms)
		}
	}
	if _, ok := h.Within(0.99); ok {
		t.Error("a share that lies beyond the last bound")
	}
	if _, ok := (&Histogram{}).Within(0.5); ok {
		t.Error("half of none")
	}
	for i := 1; i < len(Bounds); i++ {
		if Bounds[i] <= Bounds[i-1] {
			t.Errorf("bound %v after %v", Bounds[i], Bounds[i-1])
		}
	}
}
