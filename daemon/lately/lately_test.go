package lately

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	const second = int64(time.Second)
	var c Count
	for i, step := range []struct {
		after int64 // seconds
		total uint64
		want  uint64
	}{
		{0, 0, 0},   // nothing yet
		{5, 3, 3},   // it happens
		{1, 3, 3},   // a moment ago
		{3, 4, 4},   // and again
		{4, 4, 4},   // still a moment ago
		{1, 4, 0},   // over
		{60, 4, 0},  // for long
		{1, 9, 5},   // again, counted from the pause
		{1, 2, 0},   // the counter was made anew
		{1, 3, 1},   // and rises
		{100, 7, 4}, // after a pause in which nobody looked
	} {
		now := second
		for _, s := range []int64{0, 5, 1, 3, 4, 1, 60, 1, 1, 1, 100}[:i+1] {
			now += s * second
		}
		if c.See(step.total, now); c.Now(now) != step.want {
			t.Errorf("step %d: %d, want %d", i, c.Now(now), step.want)
		}
	}
}
