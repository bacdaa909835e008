package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/control"
)

// appendLastTransitions is appendTransitions without the oldest transitions for which a terminal of that many rows has
// no room. With 0 rows it appends all.
func appendLastTransitions(b []byte, ts []control.Transition, rows int) []byte {
	for {
		text := appendTransitions(nil, ts)
		if rows == 0 || len(ts) <= 1 || bytes.Count(text, []byte("\n")) < rows { // the last row stays empty
			return append(b, text...)
		}
		ts = ts[1:]
	}
}

// appendTransitions appends one line per transition, the newest last, and below it what a commit did with the flows.
func appendTransitions(b []byte, ts []control.Transition) []byte {
	if len(ts) == 0 {
		return append(b, "no transition yet!\n"...)
	}
	const columns = "%6s  %-19s  %-8s  %-16s  %9s  %-24s  %s\n"
	b = fmt.Appendf(b, columns, "ID", "SENT", "STATE", "GROUP", "TOOK", "SOURCE", "OUTCOME")
	for i := range ts {
		t := &ts[i]
		group := t.Group
		if t.Type == control.TypeInstance {
			group += " (instance)"
		}
		sent := t.Sent.Local().Format(timeLayout)
		b = fmt.Appendf(b, columns, fmt.Sprint(t.ID), sent, t.State, group, took(t), t.Source, oneLine(t.Outcome))
		for _, w := range t.Warnings {
			b = fmt.Appendf(b, "%8swarning: %s\n", "", oneLine(w))
		}
		if t.Commit != nil {
			b = appendCommit(b, t.Commit)
		}
		if i := t.Inject; i != nil {
			b = fmt.Appendf(b, "%8sno commit: the kernel had %d flows of the peer, %d came late (%s), ",
				"", i.Present, i.Late, i.Waited)
			b = fmt.Appendf(b, "%d were refused; reading the kernel's table took %s\n", i.Failed, i.DumpDuration)
		}
	}
	return b
}

// took returns the time from keepalived's notification to the end of the work that it caused.
func took(t *control.Transition) string {
	if t.Finished.IsZero() {
		return "-"
	}
	return t.Finished.Sub(t.Sent).Round(time.Millisecond).String()
}

// appendCommit appends what a commit did with the flows and expectations.
func appendCommit(b []byte, c *control.CommitResult) []byte {
	b = fmt.Appendf(b, "%8scommit of %d flows in %s: %s\n", "", c.Total, c.Duration, outcomes(c))
	for _, what := range slices.Sorted(maps.Keys(c.Degraded)) {
		b = fmt.Appendf(b, "%8s%d restored without %s\n", "", c.Degraded[what], what)
	}
	for _, to := range slices.Sorted(maps.Keys(c.ForeignNAT)) {
		b = fmt.Appendf(b, "%8s%d flows are translated to %s\n", "", c.ForeignNAT[to], oneLine(to))
	}
	for _, name := range c.Named {
		b = fmt.Appendf(b, "%8s%s\n", "", oneLine(name))
	}
	if x := c.Expect; x != nil && x.Total > 0 {
		b = fmt.Appendf(b, "%8sthen %d expectations: %s\n", "", x.Total, outcomes(&control.CommitResult{
			Created: x.Created, Updated: x.Updated, Replaced: x.Replaced, Expired: x.Expired, Filtered: x.Filtered,
			Failed: x.Failed, Errors: x.Errors,
		}))
		for _, name := range x.Named {
			b = fmt.Appendf(b, "%8s%s\n", "", oneLine(name))
		}
	}
	return b
}

// outcomes returns the outcomes that occurred, with the number of flows.
func outcomes(c *control.CommitResult) string {
	var parts []string
	for _, o := range []struct {
		n    uint64
		name string
	}{
		{c.Created, "created"}, {c.Updated, "updated"}, {c.Replaced, "replaced"},
		{c.Expired, "expired"}, {c.Filtered, "filtered"}, {c.LeftOut, "left out for their translation"},
		{c.NoRoom, "waiting for room in the kernel's table"}, {c.Failed, "failed"},
	} {
		if o.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", o.n, o.name))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	if c.Failed > 0 {
		parts[len(parts)-1] += " (" + c.Errors.String() + ")"
	}
	return strings.Join(parts, ", ")
}
