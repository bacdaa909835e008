package control

import (
	"fmt"
	"testing"
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
				Created: 1, Replaced: 1, Updated: 1, Failed: 3, Errors: Reasons{"ENOENT": 3}, Named: []string{fmt.Sprint("expectation ", i)},
			}
		}
		s.Add(&r)
		x.AddExpectations(r.Expect)
	}
	if s.Created != 6*MaxNamed || s.Replaced != MaxNamed || s.Updated != 2*MaxNamed || s.Expired != 3*MaxNamed ||
		s.Filtered != 4*MaxNamed || s.Errors["ENOMEM"] != MaxNamed || s.Errors["ENOENT"] != 3*MaxNamed/2 || s.Degraded["master"] != MaxNamed {
		t.Errorf("flows: %+v", s)
	}
	if want := (InjectCounts{Created: MaxNamed, Updated: MaxNamed / 2, CreateFailed: 3 * MaxNamed / 2}); x != want {
		t.Errorf("expectations: %+v, want %+v", x, want)
	}
	if n := len(s.Named); n != MaxNamed || s.Named[n-1] != fmt.Sprint("expectation ", MaxNamed-1) || s.Named[n-2] != fmt.Sprint("flow ", MaxNamed-1) {
		t.Errorf("%d examples, %v", n, s.Named)
	}
	c := s.Clone()
	s.Add(&CommitResult{Errors: Reasons{"ENOMEM": 1}, Degraded: Reasons{"master": 1}})
	if c.Errors["ENOMEM"] != MaxNamed || c.Degraded["master"] != MaxNamed {
		t.Errorf("a copy changed afterwards: %+v", c)
	}
}
