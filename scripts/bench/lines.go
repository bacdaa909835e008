package main

import (
	"fmt"
	"strings"
)

// line is one row of the table. Its id is a path: lines with the same part before the last slash are measured together,
// and fail together if the tables differ.
type line struct {
	id, title, unit string
	want            want
}

func (l line) group() string { return l.id[:strings.LastIndexByte(l.id, '/')] }

// missing is the last part of the ids of lines that count the entries in which two tables differ.
const missing = "missing"

// want is the target for ctsyncd; the zero value is no target.
type want struct {
	ratio float64 // largest ratio of its median to conntrackd's
	most  float64 // largest median
	none  bool    // 0 in every trial
}

func (w want) String() string {
	switch {
	case w.none:
		return "0"
	case w.ratio > 0:
		return fmt.Sprintf("ratio <= %.2f", w.ratio)
	case w.most > 0:
		return fmt.Sprintf("<= %g", w.most)
	}
	return ""
}

// ok reports whether the medians, or all samples of ctsyncd, reach the target. Without a figure of conntrackd a ratio
// is not reached.
func (w want) ok(v verdict, ours []float64) bool {
	switch {
	case w.none:
		for _, s := range ours {
			if s != 0 {
				return false
			}
		}
		return true
	case w.ratio > 0:
		const rounding = 0.005 // of the table
		return v.ratio <= w.ratio+rounding
	}
	return v.ours <= w.most
}

// The sizes and rates of the full run.
var (
	steadyRates   = []int{2000, 10_000, 50_000}
	failoverSizes = []int{10_000, 100_000, 500_000, 1_000_000, 4_000_000}
	losses        = []int{1, 5, 20}
)

// lines returns every line of the table, including those that a quick run leaves out.
func lines() []line {
	var all []line
	add := func(w want, unit, id, title string) {
		all = append(all, line{id: id, title: title, unit: unit, want: w})
	}
	for _, rate := range steadyRates {
		for _, what := range changes {
			steadyLines(add, rate, what.name)
		}
	}
	for _, what := range []string{"udp", "tcp"} {
		packetLines(add, what)
	}
	latencyLines(add)
	burstLines(add)
	for _, n := range failoverSizes {
		failoverLines(add, n)
	}
	add(want{ratio: 0.27}, "bytes", "memory6/internal", "memory per IPv6 flow, internal cache")
	add(want{ratio: 0.27}, "bytes", "memory6/external", "memory per IPv6 flow, external cache")
	largeLines(add)
	monitorLines(add)
	for _, percent := range losses {
		lossLines(add, percent)
	}
	return all
}

// adder adds a line to the table.
type adder func(w want, unit, id, title string)

func steadyLines(add adder, rate int, what string) {
	w := want{ratio: 0.35}
	if rate < 10_000 {
		w.ratio = 0.6
	}
	id, title := fmt.Sprintf("steady/%d/%s/", rate, what), fmt.Sprintf("%s %d/s: ", what, rate)
	add(w, "µs", id+"sender", title+"CPU per flow, sender")
	add(w, "µs", id+"receiver", title+"CPU per flow, receiver")
	add(want{}, "µs", id+"system", title+"CPU per flow, system")
	add(want{ratio: 1}, "bytes", id+"bytes", title+"on the wire per flow")
	add(want{ratio: 1}, "packets", id+"packets", title+"on the wire per flow")
	add(want{none: true}, "flows", id+missing, title+"missing or different")
}

func packetLines(add adder, what string) {
	id, title := "packets/"+what+"/", what+" packets: "
	add(want{}, "per s", id+"rate", title+"flows, rate reached")
	add(want{ratio: 0.35}, "µs", id+"sender", title+"CPU per flow, sender")
	add(want{ratio: 0.35}, "µs", id+"receiver", title+"CPU per flow, receiver")
	add(want{}, "µs", id+"system", title+"CPU per flow, system")
	add(want{ratio: 1}, "bytes", id+"bytes", title+"on the wire per flow")
	add(want{none: true}, "flows", id+missing, title+"missing or different")
}

func latencyLines(add adder) {
	add(want{most: 1}, "ms", "latency/idle/p50", "latency, one flow at a time: p50")
	add(want{}, "ms", "latency/idle/p99", "latency, one flow at a time: p99")
	add(want{}, "ms", "latency/busy/p50", "latency, 10000/s: p50")
	add(want{most: 10}, "ms", "latency/busy/p99", "latency, 10000/s: p99")
	add(want{}, "per s", "ladder/rate", "highest rate without loss")
}

func monitorLines(add adder) {
	for _, who := range [][2]string{{"none", "alone"}, {"tui", "ctsync tui open"}} {
		id, title := "monitor/"+who[0]+"/", "10000/s beside 1000000 flows, "+who[1]+": "
		add(want{}, "µs", id+"sender", title+"CPU per flow, sender")
		add(want{}, "µs", id+"receiver", title+"CPU per flow, receiver, with what asks it for the latency")
		add(want{}, "ms", id+"p50", title+"latency p50")
		add(want{most: 10}, "ms", id+"p99", title+"latency p99")
	}
	add(want{none: true}, "flows", "monitor/tui/"+missing,
		"10000/s beside 1000000 flows, ctsync tui open: missing or different")
}

func burstLines(add adder) {
	add(want{none: true}, "flows", "burst/"+missing, "burst of 500000: missing or different")
	add(want{}, "times", "burst/overruns", "burst of 500000: event buffer overrun")
	add(want{}, "s", "burst/wall", "burst of 500000: until all have arrived")
	add(want{ratio: 0.35}, "µs", "burst/sender", "burst of 500000: CPU per flow, sender")
	add(want{ratio: 0.35}, "µs", "burst/receiver", "burst of 500000: CPU per flow, receiver")
}

func lossLines(add adder, percent int) {
	id, title := fmt.Sprintf("loss/%d/", percent), fmt.Sprintf("link that loses %d %%: ", percent)
	add(want{none: true}, "flows", id+missing, title+"missing or different")
	add(want{}, "s", id+"wall", title+"until all have arrived")
	add(want{}, "bytes", id+"bytes", title+"on the wire per flow")
}
