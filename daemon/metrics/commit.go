package metrics

import "ctsync/daemon/control"

var commitFamilies = []family{
	counter("commits_total", "Commits of the external cache into the kernel.", nil,
		one(func(s *control.Statistics) uint64 { return s.Commit.Commits })),
	counter("commit_flows_total", "Flows of commits by outcome: created, updated, replaced (a stranger on the tuple was deleted), expired, filtered, failed.",
		[]string{"outcome"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			c := &s.Statistics.Commit
			outcomes(add, c.Created, c.Updated, c.Replaced, c.Expired, c.Filtered, c.Failed)
		}),
	counter("commit_flow_failures_total", "Flows that a commit could not restore, by errno or by what protocol v1 does not carry.", []string{"reason"},
		each(func(s *control.Statistics) map[string]uint64 { return s.Commit.Errors })),
	counter("commit_expectations_total", "Expectations of commits by outcome, as commit_flows_total.", []string{"outcome"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			x := s.Statistics.Commit.Expect
			if x == nil {
				x = &control.ExpectResult{}
			}
			outcomes(add, x.Created, x.Updated, x.Replaced, x.Expired, x.Filtered, x.Failed)
		}),
	counter("commit_expectation_failures_total", "Expectations that a commit could not restore, by errno and what it means here, or by what protocol v1 does not carry.", []string{"reason"},
		each(func(s *control.Statistics) map[string]uint64 {
			if s.Commit.Expect == nil {
				return nil
			}
			return s.Commit.Expect.Errors
		})),
}

func outcomes(add func(float64, ...string), created, updated, replaced, expired, filtered, failed uint64) {
	add(float64(created), "created")
	add(float64(updated), "updated")
	add(float64(replaced), "replaced")
	add(float64(expired), "expired")
	add(float64(filtered), "filtered")
	add(float64(failed), "failed")
}

var timeFamilies = []family{
	histogram("event_sent_seconds", "How long a kernel event took from the moment when ctsyncd had read it to the message for the peer that carries it. Sampled: one event is followed at a time.",
		func(t *control.Times) *control.Histogram { return &t.EventSent }),
	histogram("event_acknowledged_seconds", "How long a kernel event took from the moment when ctsyncd had read it to the peer's acknowledgement of the message that carries it: our queue, the way there and back, repetitions after a loss, and the time for which the peer gathers acknowledgements (ctsync 50 to 200 ms, conntrackd up to 1 s). Sampled: one event is followed at a time.",
		func(t *control.Times) *control.Histogram { return &t.EventAcknowledged }),
	histogram("commit_duration_seconds", "How long commits of the external cache took that came to their end.",
		func(t *control.Times) *control.Histogram { return &t.Commit }),
	histogram("takeover_duration_seconds", "How long it took to become MASTER, from the beginning of its work: commits of the external cache or, with disable-external-cache, a comparison with the kernel's table.",
		func(t *control.Times) *control.Histogram { return &t.Takeover }),
}
