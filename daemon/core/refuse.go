package core

import (
	"errors"

	"ctsync/daemon/cache"
	"ctsync/daemon/wire"
)

// Cache names a cache in the log.
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
	c.refused++
	full := &c.Peer.full
	if by == InternalCache || by == InternalExpect {
		full = &c.Own.full
	}
	if !*full {
		c.log.Error("cache is full, entries are not replicated: raise cache-limit, or nf_conntrack_expect_max for expectations",
			"cache", by, "refused", c.refused)
	}
	*full = true
}

// reportLacks logs what protocol v1 cannot carry, as far as it was counted since it was last logged. It is counted once
// for each flow or expectation of this router, and shown in the statistics and their JSON too. The peer's commit counts
// it once more as errors.
func (c *Core) reportLacks() {
	for l, n := range c.lacks {
		if n != c.lacksLogged[l] {
			c.log.Warn(wire.Lack(l).String()+": the peer cannot restore them", "count", n)
		}
	}
	c.lacksLogged = c.lacks
}
