// Package daemon builds every part of ctsyncd from a Config, owns every goroutine and the core loop, and carries out
// role changes.
//
// One goroutine, the core loop, owns both caches and the session without locks (type core). Everything else hands it
// whole blocks or asks it closures that return within about a millisecond:
//
//	event reader   ── blocks of ctnetlink events ──►┐
//	link reader    ── batches of datagrams ────────►│  core   ──► session ──► link
//	control server ── closures ────────────────────►│  loop
//	work           ── closures ────────────────────►┘
//
// Long work (commit, injection, reconcile, bulk, purge, flush) runs in goroutines of its own, reads like sequential code, talks to
// the kernel there, and enters the loop once per slice of at most sliceSize records, so that events, acknowledgements
// and readers are served in between. Nothing blocks the loop.
//
// Work that belongs to a role (see role.go) runs under a context that ends with the role.
package daemon
