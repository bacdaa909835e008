package control

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestReasonsAreBounded: what a peer can choose neither grows without end nor loses a count, in one commit and over
// many.
func TestReasonsAreBounded(t *testing.T) {
	const commits, flows = 3, 200
	var total Reasons
	for i := range commits {
		var one Reasons
		for k := range flows {
			one.Count(fmt.Sprintf("helper %d.%d", i, k), 1)
		}
		if len(one) != maxReasons+1 || one[otherReasons] != flows-maxReasons {
			t.Errorf("%d reasons of one commit, %d of them others", len(one), one[otherReasons])
		}
		total.Add(one)
	}
	var sum uint64
	for _, n := range total {
		sum += n
	}
	if len(total) > maxReasons+1 || sum != commits*flows || total[otherReasons] == 0 {
		t.Errorf("%d reasons, %d in all, %d others", len(total), sum, total[otherReasons])
	}
}

// TestReasonsInLogLines: an operator reads counts and reasons, not how Go prints a map.
func TestReasonsInLogLines(t *testing.T) {
	var line strings.Builder
	slog.New(slog.NewTextHandler(&line, nil)).Info("x", "why", Reasons{"helper ftp": 1, "EEXIST": 3}, "none", Reasons(nil))
	if got := line.String(); !strings.Contains(got, `why="3 EEXIST, 1 helper ftp" none=""`) {
		t.Error(got)
	}
}
