package core

import (
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/wire"
)

// complainEvery is how often one and the same trouble is logged at most.
const complainEvery = int64(10 * time.Second)

// complaints is what was logged, and when, so that it is not logged too often.
type complaints struct {
	at      map[string]int64      // by the subject
	lacks   [wire.NumLacks]uint64 // Core.lacks as last logged
	lacksAt int64                 // when; 0 = never
}

// Complain reports whether a trouble may be logged again now, and notes that it is.
func (c *Core) Complain(of string) bool {
	now := c.now()
	if at, before := c.complaints.at[of]; before && now-at < complainEvery {
		return false
	}
	c.complaints.at[of] = now
	return true
}

// Cache names a cache in complaints.
type Cache string

// The caches.
const (
	InternalCache  Cache = "internal"
	ExternalCache  Cache = "external"
	InternalExpect Cache = "internal expect"
	ExternalExpect Cache = "external expect"
)

// Refused counts a flow or expectation that a cache did not take, and says so when the cache is full. Such a pair is
// not in step until it was offered again and taken.
func (c *Core) Refused(by Cache, err error) {
	if !errors.Is(err, cache.ErrFull) {
		c.invalid++
		return
	}
	if by == InternalCache || by == InternalExpect {
		c.Own.full = true
	} else {
		c.Peer.full = true
	}
	c.refused++
	if c.Complain(string(by)) {
		c.log.Error("cache is full, entries are not replicated: raise cache-limit, or nf_conntrack_expect_max for expectations",
			"cache", by, "refused", c.refused)
	}
}

// reportLacks logs what protocol v1 cannot carry, as far as it was counted since it was last logged. It is counted once
// for each flow or expectation of this router, and shown in the statistics and their JSON too. The peer's commit counts
// it once more as errors.
func (c *Core) reportLacks(now int64) {
	x := &c.complaints
	if c.lacks == x.lacks || x.lacksAt != 0 && now-x.lacksAt < complainEvery {
		return
	}
	for l, n := range c.lacks {
		if n != x.lacks[l] {
			c.log.Warn(fmt.Sprintf("%d %s: the peer cannot restore them", n, wire.Lack(l)))
		}
	}
	x.lacks, x.lacksAt = c.lacks, now
}
