package main

import (
	"time"

	"ctsync/daemon/control"
)

// appendTimes appends how long things took.
func appendTimes(b []byte, t control.Times) []byte {
	for _, h := range []struct {
		name string
		control.Histogram
	}{
		{"time from event to message", t.EventSent}, {"time from event to acknowledgement", t.EventAcknowledged},
		{"time of a commit", t.Commit}, {"time of a takeover", t.Takeover},
	} {
		rows := []row{{"measured", h.Count}}
		if h.Count > 0 {
			rows = append(rows, row{"together", h.Sum}, row{"on average", h.Mean()}, row{"half of them within", within(&h.Histogram, 0.5)}, row{"99 % of them within", within(&h.Histogram, 0.99)})
		}
		b = appendBlock(b, h.name, rows)
	}
	return b
}

// within words a bound; it is one of those of the buckets.
func within(h *control.Histogram, share float64) string {
	if bound, ok := h.Within(share); ok {
		return bound.String()
	}
	return "> " + time.Duration(control.Bounds[len(control.Bounds)-1]).String()
}
