// Package daemon puts the parts of ctsyncd together, runs them, follows the configuration, answers the control API.
//
//	core      owns both routers' flows and the session with the peer, in one loop without locks
//	link      keeps the dedicated links open
//	role      decides which of keepalived's words count; takeover does their work
//	restore   puts the peer's flows into the kernel
//	upkeep    keeps the caches true
//	query     answers readers
//
// Long work (commit, injection, comparison, bulk, purge) runs in goroutines of its own, reads like sequential code,
// talks to the kernel there, and enters the loop once per slice of at most loop.SliceSize records, so that events,
// acknowledgements and readers are served in between. Nothing blocks the loop.
package daemon
