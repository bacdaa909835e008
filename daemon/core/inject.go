package core

import (
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/loop"
)

// TableWait is how long after its start a daemon waits for the peer's table before it does without.
const TableWait = 3 * time.Second

// Injection is what the core knows of the peer's flows that go straight into the kernel; see owner.go. The counters may
// be added to by package restore.
type Injection struct {
	Counts control.InjectStatistics
	Expect control.InjectCounts

	busy    bool  // the kernel has a block that it did not answer yet
	waiting int   // flows that wait for their master, apart from the ledger's list
	err     error // of the last block
	since   int64 // when something began to wait; 0 = nothing waits
	release int64 // when what is held back leaves at the latest; 0 = the peer has not answered yet
}

// Injecting reports whether the peer's flows go straight into the kernel.
func (c *Core) Injecting() bool { return c.Config.DisableExternalCache }

// followInjection makes the caches of the peer's state what the configuration says.
func (c *Core) followInjection() {
	on := c.Injecting()
	c.Peer.External.Follow(on)
	c.Peer.Expect.Follow(on)
	if on && c.InjectPending() > 0 {
		c.WaitForRoom(nil) // the injection offers to the kernel what it does not have
		c.AskInjection()
	}
}

// AskInjection has the injection look at the ledger.
func (c *Core) AskInjection() {
	if c.Inject.since == 0 {
		c.Inject.since = c.now()
	}
	loop.Signal(c.Want.Inject)
}

// InjectPending returns how many records the kernel does not know of yet.
func (c *Core) InjectPending() int {
	return c.Peer.External.Pending() + c.Peer.Expect.Pending() + c.Inject.waiting
}

// Injected reports whether everything that the peer announced was offered to the kernel.
func (c *Core) Injected() bool { return !c.Inject.busy && c.InjectPending() == 0 }

// InjectError is what broke the last block, nil if nothing did since it was cleared.
func (c *Core) InjectError() error { return c.Inject.err }

// BeginInjection says that a block of the ledger goes to the kernel, while waiting flows wait for their master. busy is
// false when nothing of the block needs a request.
func (c *Core) BeginInjection(waiting int, busy bool) {
	c.Inject.waiting, c.Inject.busy = waiting, busy
	c.restInjection()
}

// EndInjection says what came of the block.
func (c *Core) EndInjection(waiting int, err error) {
	c.Inject.busy, c.Inject.waiting, c.Inject.err = false, waiting, err
	c.restInjection()
}

// restInjection notes it when nothing waits any more.
func (c *Core) restInjection() {
	if c.Injected() {
		c.Inject.since = 0
	}
}

// RetryInjection offers the kernel again what it refused.
func (c *Core) RetryInjection() {
	if !c.Injecting() || !c.Injected() {
		return
	}
	c.retryRefused()
	if c.InjectPending() > 0 {
		c.AskInjection()
	}
}

func (c *Core) retryRefused() {
	c.Peer.External.Retry(false)
	c.Peer.Expect.Retry()
}

// HurryInjection forgets the last error, offers the kernel again what it refused, and returns how many flows it does
// not have yet. on is false when the peer's flows do not go straight into the kernel.
func (c *Core) HurryInjection() (late uint64, on bool) {
	if !c.Injecting() {
		return 0, false
	}
	late = uint64(c.Peer.External.Pending() + c.Inject.waiting)
	c.Inject.err = nil
	c.retryRefused()
	c.AskInjection()
	return late, true
}

// Placements returns how many flows of the peer the kernel has by injection and how many it does not have.
func (c *Core) Placements() (present, failed uint64) {
	failed = uint64(c.Peer.External.Failed() + c.Peer.External.Pending() + c.Inject.waiting)
	return uint64(max(c.Peer.External.Len()-int(failed), 0)), failed
}

// peerAnswered begins the time for which the peer's table is waited for.
func (i *Injection) peerAnswered(now int64) {
	if i.release == 0 {
		i.release = now + int64(TableWait)
	}
}

// Add adds what came of a block to the counters.
func (i *Injection) Add(r *control.CommitResult) {
	i.Counts.Add(r)
	i.Expect.AddExpectations(r.Expect)
}
