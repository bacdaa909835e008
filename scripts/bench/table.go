package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ctsync/scripts/lab"
)

// table returns every line as text: medians with their range, the ratio of the two daemons, the target, and whether it
// was reached.
func (r *record) table() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d CPUs, %s, %s, %s buckets, load %s\n%s beside %s, took %s\n\n",
		m.Kernel, m.CPUs, m.Memory, m.Go, m.Buckets, m.Load, m.Ctsync, m.Conntrackd, r.Took)
	const layout = "%-66s %-12s %25s %25s %6s  %-14s %s\n"
	fmt.Fprintf(&b, layout, "median (min-max)", "unit", lab.Ctsync, lab.Conntrackd, "ratio", "wanted", "")
	for _, l := range r.lines {
		v := r.judge(l)
		if v.word == "not run" {
			continue
		}
		ratio := ""
		if !math.IsNaN(v.ratio) {
			ratio = fmt.Sprintf("%.2f", v.ratio)
		}
		s := r.samples[l.id]
		ours, theirs := spread(s[lab.Ctsync]), spread(s[lab.Conntrackd])
		fmt.Fprintf(&b, layout, l.title, l.unit, ours, theirs, ratio, l.want, v.word)
	}
	if left := r.notRun(); len(left) > 0 {
		why := ""
		if r.Quick {
			why = " (QUICK leaves these out)"
		}
		fmt.Fprintf(&b, "\nNOT RUN%s:\n  %s\n", why, strings.Join(left, "\n  "))
	}
	return b.String()
}

// notRun returns a row for each group of lines without a sample: its id, and the names of its lines.
func (r *record) notRun() (rows []string) {
	group := ""
	for _, l := range r.lines {
		last := l.id[len(l.group())+1:]
		switch {
		case len(r.samples[l.id][lab.Ctsync]) > 0:
		case l.group() == group:
			rows[len(rows)-1] += ", " + last
		default:
			group = l.group()
			rows = append(rows, fmt.Sprintf("%-24s %s", group, last))
		}
	}
	return rows
}

// spread formats samples as their median and, if there are several, the range.
func spread(samples []float64) string {
	switch len(samples) {
	case 0:
		return "-"
	case 1:
		return number(samples[0])
	}
	return fmt.Sprintf("%s (%s-%s)", number(median(samples)), number(slices.Min(samples)), number(slices.Max(samples)))
}

// number formats v with about three digits.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) || v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
