package control

import (
	"maps"
	"slices"
)

// A Number is one value of Statistics as people and programs see it beside the JSON. It is declared once, in
// counters.go: `ctsync show statistics --detail` prints it, package metrics gives it to Prometheus.
type Number struct {
	Title string // in the text; empty where conntrackd's layout, which stands above the detail, has the number
	// Value is a uint64, uint32, int, bool, string, Duration, time.Time or *Histogram. A text is 1 as a metric: the
	// labels say it.
	Value any
	// Metric is the name for Prometheus without the prefix "ctsync_", empty for none. A counter's name ends in
	// "_total"; whatever else is not a *Histogram is a gauge.
	Metric string
	Help   string   // one or two sentences of what the metric counts, the same for all numbers of one Metric
	Labels []string // of the metric: name, value, name, value, ...
}

// A Block is the numbers of one subject.
type Block struct {
	Title    string // heading in the text; empty for a block that only metrics have
	Numbers  []Number
	Examples []string // lines about single flows, below the numbers

	labels []string // that every number of the block has
}

// add adds a number. Its labels follow those of the block. A nil *uint64 is a number that the kernel does not have:
// it is left out.
func (b *Block) add(title string, value any, metric, help string, labels ...string) {
	if p, ok := value.(*uint64); ok {
		if p == nil {
			return
		}
		value = *p
	}
	b.Numbers = append(b.Numbers, Number{title, value, metric, help, slices.Concat(b.labels, labels)})
}

// each adds the counts of m, sorted by their names. The name is the last part of the title and the value of a label.
func (b *Block) each(title string, m map[string]uint64, metric, help, label string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b.add(title+name, m[name], metric, help, label, name)
	}
}

// or returns p, or a zero value where p is nil: most metrics are there from the start.
func or[T any](p *T) *T {
	if p == nil {
		p = new(T)
	}
	return p
}
