package control

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func examples(word string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(word, i)
	}
	return list
}

// TestCommitRounds: a takeover may commit in rounds. Every number of them adds up, and the first examples are kept.
func TestCommitRounds(t *testing.T) {
	round := CommitResult{
		Total: 21, Created: 1, Updated: 2, Replaced: 3, Expired: 4, Filtered: 5, Failed: 6, Duration: 7,
		Errors: Reasons{"EEXIST": 6}, Degraded: Reasons{"master": 1}, Named: examples("flow", 15),
		Expect: &ExpectResult{
			Total: 210, Created: 10, Updated: 20, Replaced: 30, Expired: 40, Filtered: 50, Failed: 60,
			Errors: Reasons{"ENOENT": 60}, Named: examples("expectation", 15),
		},
	}
	want := CommitResult{
		Total: 42, Created: 2, Updated: 4, Replaced: 6, Expired: 8, Filtered: 10, Failed: 12, Duration: 14,
		Errors: Reasons{"EEXIST": 12}, Degraded: Reasons{"master": 2},
		Named: append(examples("flow", 15), examples("flow", 5)...),
		Expect: &ExpectResult{
			Total: 420, Created: 20, Updated: 40, Replaced: 60, Expired: 80, Filtered: 100, Failed: 120,
			Errors: Reasons{"ENOENT": 120}, Named: append(examples("expectation", 15), examples("expectation", 5)...),
		},
	}
	var got CommitResult
	got.Add(&round)
	got.Add(&round)
	got.Add(&CommitResult{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if round.Expect.Created != 10 || round.Errors["EEXIST"] != 6 {
		t.Errorf("a round was changed by its sum: %+v", round)
	}
}

// TestCommitStatistics: the sum of all commits has every outcome and no examples, and its copy does not change with it.
func TestCommitStatistics(t *testing.T) {
	commit := CommitResult{
		Total: 21, Created: 1, Updated: 2, Replaced: 3, Expired: 4, Filtered: 5, Failed: 6,
		Errors: Reasons{"EEXIST": 6}, Named: examples("flow", 1),
		Expect: &ExpectResult{Total: 1, Failed: 1, Errors: Reasons{"ENOENT": 1}, Named: examples("expectation", 1)},
	}
	var s CommitStatistics
	s.Add(&commit)
	once := s.Clone()
	s.Add(&commit)
	for _, c := range []struct {
		n    uint64
		have CommitStatistics
	}{{1, once}, {2, s}} {
		want := CommitStatistics{
			Commits: c.n, Created: c.n, Updated: 2 * c.n, Replaced: 3 * c.n, Expired: 4 * c.n, Filtered: 5 * c.n,
			Failed: 6 * c.n, Errors: Reasons{"EEXIST": 6 * c.n},
			Expect: &ExpectResult{Total: c.n, Failed: c.n, Errors: Reasons{"ENOENT": c.n}},
		}
		if diff := cmp.Diff(want, c.have); diff != "" {
			t.Errorf("after %d commits:\n%s", c.n, diff)
		}
	}
	if len(commit.Expect.Named) != 1 {
		t.Error("the sum took the examples from the commit")
	}
}
