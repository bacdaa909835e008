package main

import (
	"testing"

	"ctsync/daemon/flow"
)

// The kernel refuses a flow whose tuple exists in either direction, and then the burst would be smaller than it says.
func TestFlowsDiffer(t *testing.T) {
	const n = 240_000
	seen := make(map[flow.Tuple]bool, 2*n)
	translated := 0
	for _, f := range flows(n) {
		if seen[f.Orig] || seen[f.Reply] {
			t.Fatalf("%+v stands there already", f.Orig)
		}
		seen[f.Orig], seen[f.Reply] = true, true
		if f.SNAT() {
			translated++
		}
	}
	if translated != n/4 {
		t.Errorf("%d of %d flows are translated, want a quarter", translated, n)
	}
}

func TestMedianOfEachFigure(t *testing.T) {
	got := median([]Figures{{SenderCPU: 3, CommitWall: 1}, {SenderCPU: 1, CommitWall: 9}, {SenderCPU: 2, CommitWall: 5}})
	if got.SenderCPU != 2 || got.CommitWall != 5 {
		t.Errorf("median %+v", got)
	}
}
