package daemon

import (
	"fmt"

	"ctsync/daemon/wire"
)

// What protocol v1 cannot carry is counted once for each flow or expectation of this router, by what is lost. The
// statistics, their JSON and, at a bounded rate, the log show it. The peer's commit counts it once more as errors.

// reportLacks logs what has been counted since it was last logged, at most every complainEvery.
func (c *core) reportLacks(now int64) {
	if c.counts.lacks == c.lacksSaid || c.lacksAt != 0 && now-c.lacksAt < complainEvery {
		return
	}
	for l, n := range c.counts.lacks {
		if n != c.lacksSaid[l] {
			c.log.Warn(fmt.Sprintf("%d %s: the peer cannot restore them", n, wire.Lack(l)))
		}
	}
	c.lacksSaid, c.lacksAt = c.counts.lacks, now
}
