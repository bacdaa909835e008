package metrics

import "ctsync/daemon/control"

// cacheLabels tell which cache: internal or external, of the table main (flows) or expect (expectations), as VyOS calls
// them. The caches of expectations are shown while expect-sync is on.
var cacheLabels = []string{"cache", "table"}

func perCache(v func(*control.CacheStats) uint64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) {
		add(float64(v(&s.Statistics.Internal)), control.CacheInternal, control.EntriesMain)
		add(float64(v(&s.Statistics.External)), control.CacheExternal, control.EntriesMain)
		if x := s.Statistics.Expect; x != nil {
			add(float64(v(&x.Internal)), control.CacheInternal, control.EntriesExpect)
			add(float64(v(&x.External)), control.CacheExternal, control.EntriesExpect)
		}
	}
}

var cacheFamilies = []family{
	gauge("cache_entries", "Entries in a cache. internal: of this router's kernel; external: of the peer.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Active })),
	gauge("cache_limit_entries", "How many entries a cache can hold (cache-limit).", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Limit })),
	gauge("cache_records", "Records of a cache in memory: its entries, and ended ones whose end the peer has not acknowledged.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Objects })),
	gauge("cache_indexed_records", "Records that are found by their tuple.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Total })),
	gauge("cache_memory_bytes", "Memory that a cache holds; of expectations an estimate.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Bytes })),
	counter("cache_created_total", "Entries put into a cache.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Created })),
	counter("cache_create_failures_total", "Entries that a cache did not take.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.CreateFailed })),
	counter("cache_refused_total", "Entries that a cache did not take because it was full: raise cache-limit. Each is also a create failure.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Full })),
	counter("cache_updated_total", "Changes of entries of a cache.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Updated })),
	counter("cache_update_failures_total", "Changes that a cache did not take.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.UpdateFailed })),
	counter("cache_destroyed_total", "Entries that left a cache.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.Destroyed })),
	counter("cache_destroy_failures_total", "Ends of flows that fitted no entry: they were of an earlier flow with the same tuple.", cacheLabels,
		perCache(func(c *control.CacheStats) uint64 { return c.DestroyFailed })),
	counter("ended_flows_bytes_total", "Traffic of flows that ended on this router; 0 unless net.netfilter.nf_conntrack_acct is on.", nil,
		one(func(s *control.Statistics) uint64 { return s.Traffic.Bytes })),
	counter("ended_flows_packets_total", "Packets of flows that ended on this router; 0 unless net.netfilter.nf_conntrack_acct is on.", nil,
		one(func(s *control.Statistics) uint64 { return s.Traffic.Packets })),
	counter("unsupported_total", "Flows and expectations that were not replicated because protocol v1 does not carry them, by what it lacks.", []string{"reason"},
		each(func(s *control.Statistics) map[string]uint64 { return s.Unsupported })),
	counter("expectations_ignored_total", "Expectations of the peer that were ignored because expect-sync is off here.", nil,
		one(func(s *control.Statistics) uint64 { return s.ExpectationsIgnored })),
}
