package control

import (
	"maps"
	"slices"
)

// Add adds what came of a block that was injected: its flows, and the reasons and examples of its expectations, whose
// numbers InjectCounts.AddExpectations takes. The last MaxNamed examples are kept.
func (s *InjectStatistics) Add(r *CommitResult) {
	s.Created += r.Created + r.Replaced
	s.Replaced += r.Replaced
	s.Updated += r.Updated
	s.Expired += r.Expired
	s.Filtered += r.Filtered
	s.Errors.Add(r.Errors)
	s.Degraded.Add(r.Degraded)
	s.Named = append(s.Named, r.Named...)
	if x := r.Expect; x != nil {
		s.Errors.Add(x.Errors)
		s.Named = append(s.Named, x.Named...)
	}
	s.Named = s.Named[max(0, len(s.Named)-MaxNamed):]
}

// AddExpectations adds what came of a block of expectations that was injected, nil for none.
func (c *InjectCounts) AddExpectations(r *ExpectResult) {
	if r == nil {
		return
	}
	c.Created += r.Created + r.Replaced
	c.Updated += r.Updated
	c.CreateFailed += r.Failed
}

// Clone returns a copy that shares nothing with s: the core loop goes on counting while the copy is written to a
// client.
func (s *InjectStatistics) Clone() InjectStatistics {
	c := *s
	c.Errors, c.Degraded, c.Named = maps.Clone(s.Errors), maps.Clone(s.Degraded), slices.Clone(s.Named)
	return c
}
