package control

import (
	"slices"
	"time"
)

// Times are how long things took.
type Times struct {
	// EventSent and EventAcknowledged follow one kernel event at a time, from the moment when the daemon had read it:
	// to the message for the peer that carries it, and to the peer's acknowledgement of that message. That is what
	// one router can know. It holds the wait in our queue, the round trip, every repetition after a loss, and the
	// time for which the peer gathers acknowledgements: ctsync 50 to 200 ms, conntrackd up to a second. It does not
	// hold the time for which the kernel kept the event until it was read (at most coalesce).
	EventSent         Histogram `json:"event_sent"`
	EventAcknowledged Histogram `json:"event_acknowledged"`

	Commit   Histogram `json:"commit"`   // completed commits, by keepalived or by hand
	Takeover Histogram `json:"takeover"` // whole role changes to MASTER: commits, comparison with the kernel
}

// Histogram counts durations by how long they were.
type Histogram struct {
	Count   uint64   `json:"count"`
	Sum     Duration `json:"sum_seconds"`
	Buckets []Bucket `json:"buckets,omitempty"` // by UpTo
}

// Bucket counts the durations of at most UpTo, those of the buckets before it included.
type Bucket struct {
	UpTo  Duration `json:"up_to_seconds"`
	Count uint64   `json:"count"`
}

// Bounds are the buckets of a Histogram: from the time of a datagram on a quiet link to that of a large commit.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Mean returns the average, 0 of none.
func (h *Histogram) Mean() Duration {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / Duration(h.Count)
}

// Within returns the least bound within which a share (0 to 1) of the durations lies. ok is false where there are none,
// or where the share reaches beyond the last bound.
func (h *Histogram) Within(share float64) (bound Duration, ok bool) {
	if h.Count == 0 {
		return 0, false
	}
	i := slices.IndexFunc(h.Buckets, func(b Bucket) bool { return float64(b.Count) >= share*float64(h.Count) })
	if i < 0 {
		return 0, false
	}
	return h.Buckets[i].UpTo, true
}

// within words Within.
func (h *Histogram) within(share float64) string {
	if bound, ok := h.Within(share); ok {
		return bound.String()
	}
	return "> " + Bounds[len(Bounds)-1].String()
}
