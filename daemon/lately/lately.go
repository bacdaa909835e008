// Package lately says of what is counted whether it happens now, so that a status names what goes on and not what was
// once.
package lately

import "time"

// within is how long a counter may stand still until what it counts counts as over. What goes wrong with each message
// goes wrong every second: a speaker of the protocol says something so often.
const within = int64(5 * time.Second)

// Count watches a counter. The zero value has seen none of it. Times are in nanoseconds of one clock.
type Count struct {
	total uint64 // of the counter
	began uint64 // total before it began to rise
	at    int64  // when it was last seen to have risen; 0 = never
}

// See takes the present value of the counter. Call it about every second.
func (c *Count) See(total uint64, now int64) {
	if total == c.total {
		return
	}
	if !c.going(now) || total < c.total { // a counter that fell was made anew
		c.began = min(c.total, total)
	}
	c.total, c.at = total, max(now, 1)
}

// Now returns how much was counted since the counter began to rise without a long pause; 0 if it does not rise now.
func (c *Count) Now(now int64) uint64 {
	if !c.going(now) {
		return 0
	}
	return c.total - c.began
}

func (c *Count) going(now int64) bool { return c.at != 0 && now-c.at < within }
