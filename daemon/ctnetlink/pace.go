package ctnetlink

import "time"

// pacer decides how long to let events gather before the next drain. Waking up costs far more than an event (measured:
// 50 µs and 1 µs), but the wait is replication delay, so it is only worth it when events come fast.
type pacer struct {
	limit time.Duration // longest wait; 0 = never wait
	gap   time.Duration // running mean of the time between events
	last  time.Duration // when the last drain ended
}

// newPacer begins as after a long pause.
func newPacer(limit time.Duration) pacer { return pacer{limit: limit, gap: pacerMemory * limit} }

const (
	pacerGather = 2  // events that a wait must be expected to gather
	pacerMemory = 16 // limits; a longer pause counts as this long, so that the mean soon follows a burst
)

// delay is told that a drain ended at now (on any steady clock) with n events, and gives the time until the next. full
// says that the drain filled its buffers, so that more is waiting.
func (p *pacer) delay(n int, now time.Duration, full bool) time.Duration {
	if p.limit <= 0 {
		return 0
	}
	gap := min((now-p.last)/time.Duration(max(n, 1)), pacerMemory*p.limit)
	p.last = now
	p.gap += (gap - p.gap) / 4
	if full || p.gap*pacerGather > p.limit {
		return 0
	}
	return p.limit
}
