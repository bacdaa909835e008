package main

import (
	"testing"

	"ctsync/daemon/flow"
)

// The kernel refuses a flow if either of its tuples exists; then a table would have fewer flows than it should.
func TestFlowsDiffer(t *testing.T) {
	const n, far = 130_000, 3_900_000 // around every carry of the first addresses, and where the largest table ends
	for name, make := range map[string]maker{"translated": translated, "plain6": plain6, "probe": probe} {
		seen := map[flow.Tuple]int{}
		check := func(i int) {
			f := make(i)
			for _, tuple := range []flow.Tuple{f.Orig, f.Reply} {
				if other, there := seen[tuple]; there {
					t.Fatalf("%s: flows %d and %d share %+v", name, other, i, tuple)
				}
				seen[tuple] = i
			}
		}
		last := n
		if name == "probe" {
			last = 60_000
		}
		for i := range last {
			check(i)
		}
		if name == "translated" {
			for i := far; i < 4_000_000; i++ {
				check(i)
			}
		}
	}
	if f := translated(0); !f.SNAT() || f.DNAT() {
		t.Errorf("%+v is not translated at its source", f)
	}
}

func TestMarkedDiffersInItsMark(t *testing.T) {
	a, b := translated(7), marked(7)
	if a.Orig != b.Orig || printListed(&a) == printListed(&b) {
		t.Errorf("an update of %+v to %+v would not be seen", a, b)
	}
}
