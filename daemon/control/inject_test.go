package control

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestInjectAdd: what was replaced is created as well, and of the examples the last ones stay.
func TestInjectAdd(t *testing.T) {
	var s InjectStatistics
	var x InjectCounts
	for i := range MaxNamed {
		r := CommitResult{
			Created: 5, Replaced: 1, Updated: 2, Expired: 3, Filtered: 4, Errors: Reasons{"ENOMEM": 1},
			Degraded: Reasons{"master": 1}, Named: []string{fmt.Sprint("flow ", i)},
		}
		if i%2 == 1 {
			r.Expect = &ExpectResult{
				Created: 1, Replaced: 1, Updated: 1, Failed: 3, Errors: Reasons{"ENOENT": 3},
				Named: []string{fmt.Sprint("expectation ", i)},
			}
		}
		s.Add(&r)
		x.AddExpectations(r.Expect)
	}
	sums := InjectStatistics{
		InjectCounts: InjectCounts{Created: 6 * MaxNamed, Updated: 2 * MaxNamed},
		Replaced:     MaxNamed, Expired: 3 * MaxNamed, Filtered: 4 * MaxNamed, Named: s.Named,
		Errors: Reasons{"ENOMEM": MaxNamed, "ENOENT": 3 * MaxNamed / 2}, Degraded: Reasons{"master": MaxNamed},
	}
	if diff := cmp.Diff(sums, s); diff != "" {
		t.Errorf("flows (want, got):\n%s", diff)
	}
	if want := (InjectCounts{Created: MaxNamed, Updated: MaxNamed / 2, CreateFailed: 3 * MaxNamed / 2}); x != want {
		t.Errorf("expectations: %+v, want %+v", x, want)
	}
	last := []string{fmt.Sprint("flow ", MaxNamed-1), fmt.Sprint("expectation ", MaxNamed-1)}
	if n := len(s.Named); n != MaxNamed || !slices.Equal(s.Named[n-2:], last) {
		t.Errorf("%d examples, %v", n, s.Named)
	}
	c := s.Clone()
	s.Add(&CommitResult{Errors: Reasons{"ENOMEM": 1}, Degraded: Reasons{"master": 1}})
	if c.Errors["ENOMEM"] != MaxNamed || c.Degraded["master"] != MaxNamed {
		t.Errorf("a copy changed afterwards: %+v", c)
	}
}
