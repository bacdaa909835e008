package main

import (
	"slices"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// A line of a daemon's list must parse into what the kernel's table has of the flow.
func TestParseEntry(t *testing.T) {
	unreplied := probe(1)
	unreplied.Status &^= flow.StatusSeenReply | flow.StatusAssured
	for _, f := range []flow.Flow{translated(0), marked(70_000), plain6(5), probe(1), unreplied} {
		line := flow.AppendConntrackd(nil, &f, flow.Line{External: true})
		got, err := parseEntry(line)
		if err != nil || got != listed(&f) {
			t.Errorf("%s: %+v, %v, want %+v", line, got, err, listed(&f))
		}
	}
}

func TestParseEntryRefuses(t *testing.T) {
	for _, line := range []string{
		"tcp tcp ESTABLISHED src=1.2.3.4", "tcp 6 SOMETHING src=1.2.3.4", "tcp 6 ESTABLISHED src=1.2.3",
		"udp 17 src=1.2.3.4 sport=x",
	} {
		if e, err := parseEntry([]byte(line)); err == nil {
			t.Errorf("%q is read as %+v", line, e)
		}
	}
}

func TestDifferent(t *testing.T) {
	for _, test := range []struct {
		a, b prints
		want int
	}{
		{nil, nil, 0},
		{prints{1, 2, 3}, prints{1, 2, 3}, 0},
		{prints{1, 2, 3}, nil, 3},
		{prints{1, 3}, prints{1, 2, 3}, 1},
		{prints{1, 2}, prints{1, 9}, 1},    // an attribute differs
		{prints{1, 1, 2}, prints{1, 2}, 1}, // one came twice
	} {
		if got := different(test.a, test.b); got != test.want {
			t.Errorf("different(%v, %v) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestRestoredSeesTranslation(t *testing.T) {
	a := translated(1)
	b := a
	b.Reply = b.Orig.Inverse()
	if printRestored(&a) == printRestored(&b) {
		t.Error("a flow that lost its translation counts as restored")
	}
}

func TestDelays(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	made := []count{{2, at(0)}, {3, at(10)}}
	arrived := []count{{0, at(1)}, {1, at(4)}, {2, at(5)}, {3, at(11)}}
	want := []time.Duration{4 * time.Millisecond, 5 * time.Millisecond, time.Millisecond}
	if got := delays(made, arrived); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := delays(made, arrived[:1]); got[0] != time.Millisecond {
		t.Errorf("%v for flows that never arrived", got)
	}
}
