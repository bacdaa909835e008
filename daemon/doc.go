// Package daemon builds every part of ctsyncd from a Config, owns every goroutine and the core loop, and carries out
// role changes.
//
// One goroutine, the core loop, owns both caches and the session without locks (type core). It reads the event socket
// and the link itself, a block at a time, because handing blocks from one thread to another costs more than what is in
// them; type poller says how it sleeps. Everybody else asks it closures that return within about a millisecond:
//
//	kernel         ── blocks of ctnetlink events ──►┐
//	peer           ── batches of datagrams ────────►│  core   ──► session ──► active link
//	control server ── closures ────────────────────►│  loop
//	work           ── closures ────────────────────►┘
//
// Long work (commit, injection, reconcile, bulk, purge, flush) runs in goroutines of its own, reads like sequential code, talks to
// the kernel there, and enters the loop once per slice of at most sliceSize records, so that events, acknowledgements
// and readers are served in between. Nothing blocks the loop.
//
// There may be several links to the peer: each has a task that keeps it open (link.go), a channel in the core, and one of
// them, by the rules of choice.go, sends.
//
// Work that belongs to a role (see role.go) runs under a context that ends with the role.
package daemon
