package control

import (
	"fmt"
	"maps"
	"slices"

	"ctsync/daemon/flow"
)

// MaxNamed is how many flows a result names.
const MaxNamed = 20

// CommitResult says what became of every flow of the external cache in one commit. Total is the sum of the outcomes.
type CommitResult struct {
	Total    uint64   `json:"total"`
	Created  uint64   `json:"created"`
	Updated  uint64   `json:"updated"`  // the kernel had the flow and got what it lacked
	Replaced uint64   `json:"replaced"` // another flow had the tuple and was deleted first
	Expired  uint64   `json:"expired"`  // its timeout had passed
	Filtered uint64   `json:"filtered"` // the filter does not let it pass
	Failed   uint64   `json:"failed"`
	LeftOut  uint64   `json:"left_out"`           // translated to an address of the other router; see ForeignNAT
	NoRoom   uint64   `json:"no_room"`            // of a takeover: wait in the external cache, the kernel's table is full
	Errors   Reasons  `json:"errors,omitempty"`   // failed, by errno name
	Degraded Reasons  `json:"degraded,omitempty"` // restored without something, by what: "helper ftp", "master"
	Named    []string `json:"named,omitempty"`    // examples of what was lost, at most MaxNamed

	// ForeignNAT counts flows that cannot work here, by where they are translated to: "203.0.113.2, which is in wan0's
	// network but is no address of this router". They were restored, or with restore-foreign-nat = false left out.
	ForeignNAT Reasons `json:"foreign_nat,omitempty"`

	Expect *ExpectResult `json:"expect,omitempty"` // nil while expect-sync is off

	Duration Duration `json:"duration_seconds"`
}

// Add adds another round of the same takeover.
func (r *CommitResult) Add(round *CommitResult) {
	r.Total += round.Total
	r.Created += round.Created
	r.Updated += round.Updated
	r.Replaced += round.Replaced
	r.Expired += round.Expired
	r.Filtered += round.Filtered
	r.Failed += round.Failed
	r.LeftOut += round.LeftOut
	r.NoRoom += round.NoRoom
	r.ForeignNAT.Add(round.ForeignNAT)
	r.Errors.Add(round.Errors)
	r.Degraded.Add(round.Degraded)
	r.Name(round.Named...)
	r.Expect = r.Expect.Add(round.Expect)
	r.Duration += round.Duration
}

// Clone returns a copy to which Add can add without changing r.
func (r *CommitResult) Clone() CommitResult {
	c := *r
	c.Errors, c.Degraded, c.Named = maps.Clone(r.Errors), maps.Clone(r.Degraded), slices.Clone(r.Named)
	c.ForeignNAT = maps.Clone(r.ForeignNAT)
	if r.Expect != nil {
		x := *r.Expect
		x.Errors, x.Named = maps.Clone(x.Errors), slices.Clone(x.Named)
		c.Expect = &x
	}
	return c
}

// AddAgain adds another round of the same takeover, which took up again what had no room.
func (r *CommitResult) AddAgain(round *CommitResult) {
	r.Total -= r.NoRoom
	r.NoRoom = 0
	r.Add(round)
}

// Name adds examples to Named, as far as there is room.
func (r *CommitResult) Name(examples ...string) { r.Named = appendNamed(r.Named, examples) }

// ExpectResult says what became of every expectation of the external cache in one commit. Total is the sum of the
// outcomes.
type ExpectResult struct {
	Total    uint64   `json:"total"`
	Created  uint64   `json:"created"`
	Updated  uint64   `json:"updated"`  // the kernel had it and got its timeout
	Replaced uint64   `json:"replaced"` // another one for the same connection was deleted first
	Expired  uint64   `json:"expired"`  // its timeout had passed
	Filtered uint64   `json:"filtered"` // the filter does not let its master pass
	Failed   uint64   `json:"failed"`
	Errors   Reasons  `json:"errors,omitempty"` // failed, by errno and its meaning, or by what protocol v1 lacks
	Named    []string `json:"named,omitempty"`  // examples of what was lost, at most MaxNamed
}

// Add adds more to r and returns r. Either may be nil; the sum is a new result when r is nil and more is not.
func (r *ExpectResult) Add(more *ExpectResult) *ExpectResult {
	if more == nil {
		return r
	}
	if r == nil {
		r = &ExpectResult{}
	}
	r.Total += more.Total
	r.Created += more.Created
	r.Updated += more.Updated
	r.Replaced += more.Replaced
	r.Expired += more.Expired
	r.Filtered += more.Filtered
	r.Failed += more.Failed
	r.Errors.Add(more.Errors)
	r.Name(more.Named...)
	return r
}

// Name adds examples to Named, as far as there is room.
func (r *ExpectResult) Name(examples ...string) { r.Named = appendNamed(r.Named, examples) }

func appendNamed(named, more []string) []string {
	return append(named, more[:min(len(more), max(MaxNamed-len(named), 0))]...)
}

// CommitStatistics sum up all commits by outcome of their flows.
type CommitStatistics struct {
	Commits  uint64        `json:"commits"`
	Created  uint64        `json:"created"`
	Updated  uint64        `json:"updated"`
	Replaced uint64        `json:"replaced"`
	Expired  uint64        `json:"expired"`
	Filtered uint64        `json:"filtered"`
	Failed   uint64        `json:"failed"`
	LeftOut  uint64        `json:"left_out"`         // translated to an address of the other router
	NoRoom   uint64        `json:"no_room"`          // flows that wait now because the kernel's table is full
	Errors   Reasons       `json:"errors,omitempty"` // failed, by errno name
	Expect   *ExpectResult `json:"expect,omitempty"` // of expectations, without Named; nil while none were committed
}

// Add adds a commit.
func (s *CommitStatistics) Add(r *CommitResult) {
	s.Commits++
	s.AddOutcomes(r)
}

// AddOutcomes adds what came later of flows that a commit left.
func (s *CommitStatistics) AddOutcomes(r *CommitResult) {
	s.Created += r.Created
	s.Updated += r.Updated
	s.Replaced += r.Replaced
	s.Expired += r.Expired
	s.Filtered += r.Filtered
	s.Failed += r.Failed
	s.LeftOut += r.LeftOut
	s.Errors.Add(r.Errors)
	if s.Expect = s.Expect.Add(r.Expect); s.Expect != nil {
		s.Expect.Named = nil
	}
}

// Clone returns a copy that shares nothing with s: the core loop goes on counting while the copy is written to a
// client.
func (s *CommitStatistics) Clone() CommitStatistics {
	c := *s
	c.Errors = maps.Clone(s.Errors)
	if s.Expect != nil {
		expect := *s.Expect
		expect.Errors = maps.Clone(expect.Errors)
		c.Expect = &expect
	}
	return c
}

// ForeignNAT says where f is translated to: an address of another router, in the network of an interface of this one.
func ForeignNAT(f *flow.Flow, at flow.Addr, device string) string {
	return fmt.Sprintf("%s, which is in %s's network but is no address of this router", at.IP(f.Orig.Family), device)
}
