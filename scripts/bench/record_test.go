package main

import (
	"math"
	"strings"
	"testing"

	"ctsync/scripts/lab"
)

func TestLinesAreUnique(t *testing.T) {
	ids, titles := map[string]bool{}, map[string]bool{}
	for _, l := range lines() {
		title := l.title + l.unit
		if ids[l.id] || titles[title] {
			t.Errorf("line %s, %q, comes twice", l.id, title)
		}
		ids[l.id], titles[title] = true, true
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		samples []float64
		want    float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4}, 4}, {[]float64{4, 1}, 1}} {
		if got := median(test.samples); got != test.want {
			t.Errorf("median %v = %v, want %v", test.samples, got, test.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestVerdict(t *testing.T) {
	const cpu, lost, pause = "steady/10000/new/sender", "steady/10000/new/" + missing, "large/pause"
	for _, test := range []struct {
		name         string
		id           string
		ours, theirs []float64
		lost         float64
		want         string
	}{
		{"ratio", cpu, []float64{3, 9, 3}, []float64{9, 9, 9}, 0, "reached"},
		{"ratio too high", cpu, []float64{4}, []float64{9}, 0, "MISSED"},
		{"nothing to compare with", cpu, []float64{3}, nil, 0, "MISSED"},
		{"flows lost", cpu, []float64{1}, []float64{9}, 1, "MISSED: the tables differ"},
		{"limit", pause, []float64{20}, []float64{500}, 0, "reached"},
		{"limit passed", pause, []float64{21}, nil, 0, "MISSED"},
		{"lost in one trial of three", lost, []float64{0, 1, 0}, nil, 0, "MISSED: the tables differ"},
		{"not run", pause, nil, []float64{3}, 0, "not run"},
		{"nothing wanted", "ladder/rate", []float64{1}, []float64{2}, 0, ""},
	} {
		r := newRecord(options{})
		for kind, samples := range map[string][]float64{lab.Ctsync: test.ours, lab.Conntrackd: test.theirs} {
			for _, s := range samples {
				r.add(kind, test.id, s)
			}
		}
		if test.lost > 0 {
			r.add(lab.Ctsync, lost, test.lost)
		}
		for _, l := range r.lines {
			if got := r.judge(l).word; l.id == test.id && got != test.want {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
		}
	}
}

// A quick run must say what it left out, so that nobody takes that for reached.
func TestTableNamesWhatWasNotRun(t *testing.T) {
	r := newRecord(options{quick: true})
	r.add(lab.Ctsync, "ladder/rate", 1)
	text := r.table()
	if !strings.Contains(text, "NOT RUN (QUICK") ||
		!strings.Contains(text, "failover/500000/takeover wall, cpu, missing") {
		t.Errorf("the table does not say what was not run:\n%s", text)
	}
	if strings.Contains(text, "ladder ") {
		t.Errorf("the table lists as not run what was run:\n%s", text)
	}
}
