// Package upkeep keeps the caches true: compares with the kernel, sends our table, sweeps what the peer no longer has.
//
// Each has a task that waits for the core's signals, and steps that the loop runs, about a thousand records each.
package upkeep

import (
	"log/slog"
	"sync/atomic"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// Upkeep keeps the caches true. Its fields are set once; its methods may be called from any goroutine.
type Upkeep struct {
	Loop   *loop.Inbox[*core.Core]
	Kernel kernel.Turn // for reading
	Jobs   *job.List
	Log    *slog.Logger

	// Limits returns how many flows and expectations a cache may hold now. It is called in the loop.
	Limits func() (flows, expectations int)

	// Interval is the least time between two periodic comparisons.
	Interval func() time.Duration

	eventsOff atomic.Bool // the kernel raises no events, and that was said
}
