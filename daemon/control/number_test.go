package control

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// titles returns the blocks of the text with the titles of their numbers.
func titles(s *Statistics) map[string][]string {
	shown := map[string][]string{}
	for _, b := range s.Blocks() {
		for _, n := range b.Numbers {
			if b.Title != "" && n.Title != "" {
				shown[b.Title] = append(shown[b.Title], n.Title)
			}
		}
	}
	return shown
}

// TestBlocksFollowTheMode: the text has the external caches or what replaces them, and expectations while they are
// replicated. Metrics have the numbers of both modes.
func TestBlocksFollowTheMode(t *testing.T) {
	const internal, external, inject = "cache internal memory", "cache external memory", "external inject"
	const internalExpect, externalExpect = "cache internal expect memory", "cache external expect memory"
	all := []string{internal, external, inject, internalExpect, externalExpect}
	for _, tc := range []struct {
		s     Statistics
		shown []string
	}{
		{Statistics{}, []string{internal, external}},
		{Statistics{Expect: &ExpectStatistics{}}, []string{internal, external, internalExpect, externalExpect}},
		{Statistics{Inject: &InjectStatistics{}}, []string{internal, inject}},
		{Statistics{Inject: &InjectStatistics{}, Expect: &ExpectStatistics{}}, []string{internal, inject, internalExpect}},
	} {
		got := titles(&tc.s)
		maps.DeleteFunc(got, func(title string, _ []string) bool { return !slices.Contains(all, title) })
		if d := cmp.Diff(slices.Sorted(slices.Values(tc.shown)), slices.Sorted(maps.Keys(got))); d != "" {
			t.Errorf("inject %v, expect %v (-want +got)\n%s", tc.s.Inject != nil, tc.s.Expect != nil, d)
		}
	}
}

// TestKernelCountersAreAbsent: a counter that the kernel does not have is not shown as 0.
func TestKernelCountersAreAbsent(t *testing.T) {
	var s Statistics
	s.Kernel.Conntrack = ConntrackCounters{Drop: new(uint64(0)), EarlyDrop: new(uint64(3))}
	const block = "kernel (conntrack -S)"
	if d := cmp.Diff([]string{"drop", "early_drop"}, titles(&s)[block]); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, shown := titles(&Statistics{})[block]; shown {
		t.Error("a heading over nothing")
	}
}

// TestLabels: the numbers of a block have its labels and their own, and each its own list of them.
func TestLabels(t *testing.T) {
	b := Block{labels: make([]string, 2, 8)}
	b.labels[0], b.labels[1] = "device", "eth2"
	b.each("dropped: ", map[string]uint64{"b": 2, "a": 1}, "dropped_total", "Dropped.", "reason")
	want := []Number{
		{"dropped: a", uint64(1), "dropped_total", "Dropped.", []string{"device", "eth2", "reason", "a"}},
		{"dropped: b", uint64(2), "dropped_total", "Dropped.", []string{"device", "eth2", "reason", "b"}},
	}
	if d := cmp.Diff(want, b.Numbers); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
