// Package query answers readers: pages, counts, differences, events; holds up nobody.
//
// Slices of a cache are copied out of the loop first, and everything else, filtering and sorting too, is done outside.
// The kernel's table is read through a socket of its own.
package query

import (
	"context"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// Reader answers readers. Its fields are set once; its methods may be called from any goroutine.
type Reader struct {
	Loop *loop.Inbox[*core.Core]
	Dial func() (kernel.Table, error) // opens a socket for one reader
	Home func() (flow.Home, error)    // for which addresses this router answers; nil = for all
}

// moment is one time on the clock of the caches and on the wall clock. Readers know the latter.
type moment struct {
	cache int64
	wall  time.Time
}

func momentOf(c *core.Core) moment { return moment{c.Now(), c.Wall()} }

// emitFunc receives one flow of a table.
type emitFunc func(f *flow.Flow, m control.Meta) error

// entryFunc receives one entry of a table. Its times are those of now; one of the kernel has none.
type entryFunc func(e *cache.Entry, now moment) error

// errResized ends a reading of the kernel's table that may have missed flows.
var errResized = &control.Error{
	Code:    control.CodeBusy,
	Message: "the kernel's table changed its size while it was read, so flows may be missing", Hint: "try again",
}

// NoExternalCache refuses to show what does not exist.
var NoExternalCache = &control.Error{
	Code: control.CodeDisabled, Message: "there is no external cache with disable-external-cache",
	Hint: "the peer's flows are in the kernel, see ctsync show table",
}

// hasTable refuses the external cache where there is none.
func (r *Reader) hasTable(ctx context.Context, t control.Table) error {
	if t != control.TableExternal {
		return nil
	}
	injecting := false
	if err := r.Loop.Do(ctx, func(c *core.Core) { injecting = c.Injecting() }); err != nil {
		return err
	}
	if injecting {
		return NoExternalCache
	}
	return nil
}
