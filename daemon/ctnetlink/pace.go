package ctnetlink

import "time"

// pacer decides how long to let events gather before the next look. A look costs as much as some thirty events, here
// and again at the peer, but the wait is replication delay, so it is no longer than it takes to gather what a look is
// spread over well, and there is none when events are rare.
type pacer struct {
	limit time.Duration // longest wait; 0 = never wait
	gap   time.Duration // running mean of the time between events
	last  time.Duration // when the last look was
}

// newPacer returns a pacer that starts as after a long pause.
func newPacer(limit time.Duration) pacer { return pacer{limit: limit, gap: pacerMemory * limit} }

const (
	pacerGather = 4              // events that a wait of the limit must be expected to gather
	pacerEnough = 16 * BlockSize // events; more would gain nothing: a look's share is then 3 % of an event
	pacerMemory = 16             // limits; a longer pause counts as this long, so that the mean soon follows a burst
)

// delay returns the time until the next look when, at now (on any steady clock), all n waiting events have been read;
// 0 = as soon as there is an event.
func (p *pacer) delay(n int, now time.Duration) time.Duration {
	if p.limit <= 0 {
		return 0
	}
	gap := min((now-p.last)/time.Duration(max(n, 1)), pacerMemory*p.limit)
	p.last = now
	p.gap += (gap - p.gap) / 4
	if p.gap*pacerGather > p.limit {
		return 0
	}
	return min(p.gap*pacerEnough, p.limit)
}
