package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"ctsync/daemon/control"
	"ctsync/daemon/controltest"
	"ctsync/daemon/metrics"
)

// exception is a field that a surface does not show, and why.
type exception struct{ path, why string }

var (
	notInText = []exception{
		{`(Internal|External)\.Total`, "all records, shown as Objects, are in the index"},
		{`Commit\.Expect\.Total`, "the sum of its outcomes"},
		{`Commit\.Expect\.Named\[.*`, "never set in totals"},
		{`Times\..*\.Buckets\[0\]\.Count`, "the text has median and 99 %"},
	}
	notInMetrics = []exception{
		{`Status\.SyncGroup`, "Instance takes its place"},
		{`Commit\.Expect\.Total`, "the sum of its outcomes"},
		{`Commit\.Expect\.Named\[.*`, "never set in totals"},
		{`Status\.PID`, "a name, not a number: it says nothing over time"},
		{`Status\.(Internal|External)`, "the same as Active of the caches in the statistics"},
		{`Status\.Injected`, "the same as Flows of Inject in the statistics"},
		{`Status\.ActiveLink\.(Device|Since|Reason)`, "names and an event: link_info shows which link sends"},
		{`Status\.ActiveLink\.Changes`, "the same as LinkChanges in the statistics"},
		{`Status\.Senders\[0\]\.First`, "an event: when a sender was last heard is there"},
		{`Status\.LastTransition\.Inject\..*`, "an event: what the kernel refuses is counted by Inject in the statistics"},
		{`Inject\.Named\[.*`, "examples: Errors says how many there are"},
		{`Statistics\.Uptime`, "the difference of two moments that are there"},
		{`Status\.(Why|Warnings|NeedRestart|ExpectationSync)\[.*`, "how many there are"},
		{`Status\.LastTransition\.(ID|Type|Group|State|Priority|Source|Boottime|Received|Started|Finished|Outcome)`, "an event: when it was said, and whether it failed"},
		{`Status\.LastTransition\.Warnings\[.*`, "an event: what lasts of it is in Warnings"},
		{`Status\.LastTransition\.Commit\..*`, "added to Commit in the statistics"},
		{`Status\.Restarts\.Last\..*`, "an event: Unasked counts them"},
	}
)

// TestSurfacesAgree fills every field of a frozen snapshot with a value of its own and looks for it in the text, the
// JSON and the metrics: a field that one of them forgets, or shows wrongly, is missing there. The golden file names for
// each metric the field that it shows. What the monitor shows is compared in package tui.
func TestSurfacesAgree(t *testing.T) {
	s, filled := controltest.Snapshot()
	var all, statistics []leaf
	for _, l := range filled {
		all = append(all, leaf(l))
		if strings.HasPrefix(l.Path, "Statistics.") {
			statistics = append(statistics, leaf(l))
		}
	}

	surface(t, "text", texts(s.Statistics), leaf.text, statistics, notInText)
	surface(t, "JSON", toJSON(t, s), leaf.json, all, nil)
	page := gather(t, s)
	surface(t, "metrics", page, leaf.metric, all, notInMetrics)

	for _, l := range all {
		page = regexp.MustCompile(`\b`+regexp.QuoteMeta(l.metric())+`\b`).ReplaceAllString(page, "<"+l.Path+">")
	}
	golden(t, "metrics", []byte(strings.ReplaceAll(page, runtime.Version(), "<Go>")))
}

// texts are the statistics of a daemon without an external cache and of one with it. Each shows what the other has not.
func texts(s control.Statistics) string {
	b := appendDetail(appendStatistics(nil, s), s)
	with := s
	with.Inject = nil
	if s.Expect != nil {
		expect := *s.Expect
		expect.Inject = nil
		with.Expect = &expect
	}
	return string(appendDetail(appendStatistics(b, with), with))
}

// surface looks for every leaf in a text, as it is written there.
func surface(t *testing.T, name, text string, written func(leaf) string, leaves []leaf, exceptions []exception) {
	t.Helper()
	used := make([]bool, len(exceptions))
	for _, l := range leaves {
		i := slices.IndexFunc(exceptions, func(x exception) bool {
			return regexp.MustCompile(`(^|\.)` + x.path + `$`).MatchString(l.Path)
		})
		if i >= 0 {
			used[i] = true
		}
		whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(written(l)) + `\b`)
		if found := whole.MatchString(text); found == (i >= 0) {
			t.Errorf("%s: %s is shown: %v, excepted: %v", name, l.Path, found, i >= 0)
		}
	}
	for i, x := range exceptions {
		if !used[i] {
			t.Errorf("%s: the exception %s (%s) excepts nothing", name, x.path, x.why)
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// gather writes the metrics of s, one a line: name, labels and value.
func gather(t *testing.T, s control.Snapshot) string {
	t.Helper()
	families, err := metrics.NewRegistry(func(context.Context) (control.Snapshot, error) { return s, nil }).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.Metric {
			if !strings.HasPrefix(f.GetName(), "ctsync_") {
				continue // of the process: any number may occur
			}
			b.WriteString(f.GetName())
			for _, l := range m.Label {
				fmt.Fprintf(&b, " %s=%s", l.GetName(), l.GetValue())
			}
			fmt.Fprintf(&b, " %s\n", valueText(m))
		}
	}
	return b.String()
}

func valueText(m *dto.Metric) string {
	switch {
	case m.Counter != nil:
		return fmt.Sprintf("%.0f", m.Counter.GetValue())
	case m.Gauge != nil:
		return fmt.Sprintf("%.0f", m.Gauge.GetValue())
	}
	h := m.Histogram
	text := fmt.Sprintf("%d %.0f", h.GetSampleCount(), h.GetSampleSum())
	for _, b := range h.Bucket {
		text += fmt.Sprintf(" %.0f:%d", b.GetUpperBound(), b.GetCumulativeCount())
	}
	return text
}

// leaf is a value as the surfaces write it.
type leaf controltest.Leaf

func (l leaf) json() string {
	switch v := l.Value.(type) {
	case time.Time:
		return v.Format(time.RFC3339)
	case control.Duration:
		return fmt.Sprint(time.Duration(v).Seconds())
	}
	return fmt.Sprint(l.Value)
}

func (l leaf) metric() string {
	if v, ok := l.Value.(time.Time); ok {
		return fmt.Sprint(v.Unix())
	}
	return l.json()
}

func (l leaf) text() string { return fmt.Sprint(l.Value) }
