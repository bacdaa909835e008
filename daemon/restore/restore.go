// Package restore puts the peer's flows and expectations into the kernel: all at a takeover (Commit), or each as it
// comes (Run), with disable-external-cache.
//
// Both take blocks of flows through the same steps, because what a block meets in the kernel is the same:
//
//	load     in the loop: what of the cache is to be in the kernel, and how to begin (path)
//	place    outside: update, create, look at what conflicts, replace it (outcome)
//	note     in the loop: what came of it, in the caches and the counters
//
// What differs is the peer. A commit takes its word for everything, because it has ended. An injection meets entries
// that packets change at the same time; see progress.go.
package restore

import (
	"log/slog"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// blockSize is how many flows travel in one request: beyond it the kernel gains nothing.
const blockSize = 500

// Restorer puts the peer's flows into the kernel. Its fields are set once; its methods may be called from any
// goroutine.
type Restorer struct {
	Loop   *loop.Inbox[*core.Core]
	Kernel kernel.Turn // changes made through it raise no event on our event socket
	Jobs   *job.List
	Log    *slog.Logger

	// Home says for which addresses this router answers. nil = for all.
	Home func() (flow.Home, error)
}
