package daemon

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"ctsync/daemon/flow"
)

// TestReasonsAreBounded: what a peer can choose neither grows for ever nor loses a count, in one commit and over many.
func TestReasonsAreBounded(t *testing.T) {
	const commits, flows = 3, 200
	var total map[string]uint64
	for i := range commits {
		m := newCommitment(&Daemon{}, nil)
		for k := range flows {
			m.degraded(&flow.Flow{}, fmt.Sprintf("helper %d.%d", i, k))
			m.lost(&flow.Flow{}, fmt.Sprintf("reason %d", k))
		}
		if len(m.result.Degraded) > maxReasons+1 || len(m.result.Errors) > maxReasons+1 {
			t.Errorf("%d and %d reasons in a commit", len(m.result.Degraded), len(m.result.Errors))
		}
		total = addCounts(total, m.result.Degraded)
	}
	var sum uint64
	for _, n := range total {
		sum += n
	}
	if len(total) > maxReasons+1 || sum != commits*flows || total[otherReasons] == 0 {
		t.Errorf("%d reasons, %d in all, %d others", len(total), sum, total[otherReasons])
	}
}

// A helper's name from the wire may be anything.
func TestHelperName(t *testing.T) {
	for raw, want := range map[string]string{"ftp": "ftp", "netbios-ns": "netbios-ns", "\x1b]0;x\x07": "?]0;x?", "a\xffb": "a?b", "a b\nc": "a?b?c"} {
		var name [16]byte
		copy(name[:], raw)
		if got := flow.HelperName(&name); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}
