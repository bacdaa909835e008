// Package cache holds the internal and the external cache: compact, pointer-free stores of flows with the counters of
// conntrackd, a dirty list, and ordered and paged reads.
//
// The internal cache (Internal) mirrors this router's kernel table and knows what the peer was sent of each flow.
// The external cache (External) holds the peer's flows until a commit puts them into the kernel. Both have one owner
// and no locks; neither reads a clock: now is nanoseconds on the caller's monotonic clock.
//
// # Layout
//
// A flow is found by its original tuple, zone included. IPv4 and IPv6 flows live in tables of their own:
//
//	index     1024 shards of open addressing, 8-byte slots: 40 bits of the hash, 24 bits record number;
//	          load <= 3/4. A shard grows alone, so no insert waits for a rehash of the table. The hash has a
//	          random key per cache, because strangers choose the tuples.
//	records   56 bytes (IPv4) or 80 bytes (IPv6) in chunks of 4096; freed records are reused
//	replies   16 or 40 bytes, only for flows whose reply tuple is not the plain inverse of the original (NAT,
//	          per-direction zones)
//	extras    124 bytes, only for flows with a master, sequence adjustment, SYNPROXY, helper, labels, or a
//	          state of SCTP or DCCP
//	tracks    12 bytes, internal cache only: place in a queue, or sequence number of the last message
//	timers    8 bytes, external cache only, while it is followed (see ledger): what the kernel's timer was
//	          set to, and when
//
// None of this contains a pointer, so the work of the garbage collector does not grow with the number of flows. States
// that change for the whole table at once (visible, compared with the kernel, known to the peer) are bit sets: to
// forget what the peer knows, or to hide everything, clears one bit per flow.
//
// Expectations (InternalExpect, ExternalExpect) follow the same rules. They are few, so whole records are
// kept.
//
// # What is not kept
//
// Use, counters and timestamps are dropped: the kernel changes them without an event, and the protocol does not carry
// them. The entry's own times are kept in whole seconds, rounded down.
package cache
