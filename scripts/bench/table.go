package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"ctsync/scripts/lab"
)

// median returns the median of every figure by itself.
func median(rounds []Figures) Figures {
	var m Figures
	out := reflect.ValueOf(&m).Elem()
	for i := range out.NumField() {
		values := make([]float64, len(rounds))
		for j := range rounds {
			values[j] = reflect.ValueOf(rounds[j]).Field(i).Float()
		}
		slices.Sort(values)
		out.Field(i).SetFloat(values[len(values)/2])
	}
	return m
}

// table prints the medians, and beside them what ctsyncd has to reach and whether it does.
func (b *Bench) table(kinds []string) string {
	var out strings.Builder
	title := fmt.Sprintf("%d flows, %d/s, medians of %d", b.Flows, b.Rate, len(b.Rounds[kinds[0]]))
	fmt.Fprintf(&out, "%-42s", title)
	for _, kind := range kinds {
		fmt.Fprintf(&out, "%12s", kind)
	}
	fmt.Fprintln(&out, "  wanted of ctsync")
	row := func(title, format, wanted string, figure func(Figures) float64, ok func(float64) bool) {
		fmt.Fprintf(&out, "%-42s", title)
		for _, kind := range kinds {
			fmt.Fprintf(&out, "%12s", fmt.Sprintf(format, figure(b.Median[kind])))
		}
		if ours, measured := b.Median[lab.Ctsync]; wanted != "" && measured {
			word := "reached"
			if !ok(figure(ours)) {
				word = "MISSED"
			}
			wanted += ": " + word
		}
		fmt.Fprintf(&out, "  %s\n", wanted)
	}
	n := float64(b.Flows)
	row("burst: flows in the peer's cache", "%.0f", "all", func(f Figures) float64 { return f.Arrived },
		func(v float64) bool { return v == n })
	row("burst: ENOBUFS", "%.0f", "0", func(f Figures) float64 { return f.Overruns }, func(v float64) bool { return v == 0 })
	row("burst: CPU per flow, sender, µs", "%.2f", "", func(f Figures) float64 { return f.SenderCPU }, nil)
	row("burst: CPU per flow, receiver, µs", "%.2f", "", func(f Figures) float64 { return f.ReceiverCPU }, nil)
	row("memory per flow, internal cache, bytes", "%.0f", "< 200", func(f Figures) float64 { return f.InternalRSS },
		func(v float64) bool { return v < 200 })
	row("memory per flow, external cache, bytes", "%.0f", "< 200", func(f Figures) float64 { return f.ExternalRSS },
		func(v float64) bool { return v < 200 })
	row("commit: flows in the kernel", "%.0f", "all", func(f Figures) float64 { return f.Committed },
		func(v float64) bool { return v == n })
	row("commit: wall clock, s", "%.2f", "", func(f Figures) float64 { return f.CommitWall }, nil)
	row("commit: CPU per flow, µs", "%.2f", "", func(f Figures) float64 { return f.CommitCPU }, nil)
	row("bare ctnetlink writer beside it, µs", "%.2f", "", func(f Figures) float64 { return f.BareCPU }, nil)
	row("commit: CPU against the bare writer", "%.2f", "<= 1.5", func(f Figures) float64 { return f.CommitToBare },
		func(v float64) bool { return v <= 1.5 })
	if theirs, measured := b.Median[lab.Conntrackd]; measured {
		row("commit: CPU against conntrackd", "%.2f", "< 0.8", func(f Figures) float64 { return f.CommitCPU / theirs.CommitCPU },
			func(v float64) bool { return v < 0.8 })
	}
	return out.String()
}
