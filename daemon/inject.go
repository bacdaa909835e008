package daemon

import (
	"maps"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// With disable-external-cache the peer's flows go into the kernel as they come, and a failover needs no commit. The
// external cache is then a ledger that nobody is shown: what the peer has, what of it the kernel has, and what is still to
// be done (see cache.External). One goroutine (runInject) takes what is to be done from it in blocks; a flow that changes
// ten times meanwhile is injected once.
//
// Whose is a flow that both routers have? Three places know of it: the ledger (the peer has it), the internal cache (it is
// ours, and the peer is told of it), and the kernel.
//
//   - What is in the ledger alone is the peer's. Comparisons with the kernel leave it alone; its timer is set again before
//     it expires, as long as the peer keeps it; when the peer ends it, it is deleted.
//   - A kernel event tells that packets of it pass here (asymmetric routes, both routers active): it comes into the internal
//     cache, and is in both. Then an end at the peer deletes nothing here, and what the peer tells never takes the kernel's
//     entry backwards. A timer that was set by somebody else than us tells the same of a flow without events.
//   - On MASTER the ledger is emptied and the comparison with the kernel makes all of it ours.
//   - When the peer tells of a flow that is in the internal cache, but of which no event came since this router became
//     BACKUP (or since it started), it leaves the internal cache, and the peer is not told that it ended; see yields.

// injection is the core's part of it.
type injection struct {
	counts  control.InjectStatistics
	expect  control.InjectCounts
	busy    bool  // a block is on its way to the kernel
	waiting int   // flows that wait for their master, apart from the ledger's list
	err     error // of the last block
	since   int64 // when something began to wait; 0 = nothing waits
	release int64 // when what is held back leaves at the latest; 0 = the peer has not answered yet
}

// injecting reports whether the peer's flows go straight into the kernel.
func (c *core) injecting() bool { return c.cfg.DisableExternalCache }

// followInjection makes the caches of the peer's state what the configuration says.
func (c *core) followInjection() {
	on := c.injecting()
	c.external.Follow(on)
	c.expect.external.Follow(on)
	if on && c.injectPending() > 0 {
		c.askInjection(c.now())
	}
}

// refilterInjection offers the kernel what it does not have: the new filter may let it pass.
func (c *core) refilterInjection() {
	if c.injecting() {
		c.external.Retry(true)
		c.askInjection(c.now())
	}
}

// askInjection has the goroutine look at the ledger.
func (c *core) askInjection(now int64) {
	if c.inject.since == 0 {
		c.inject.since = now
	}
	signal(c.wantInject)
}

// injectPending returns how many records the kernel is still to be told of.
func (c *core) injectPending() int {
	return c.external.Pending() + c.expect.external.Pending() + c.inject.waiting
}

// injected reports whether everything that the peer told was offered to the kernel.
func (c *core) injected() bool { return !c.inject.busy && c.injectPending() == 0 }

// restInjection notes it when nothing waits any more.
func (c *core) restInjection() {
	if c.injected() {
		c.inject.since = 0
	}
}

// claimed takes note that the peer spoke of f.
func (c *core) claimed(t wire.Type, f *flow.Flow, now int64) {
	if t != wire.CTDestroy {
		c.disown(&f.Orig)
	} else if !c.yields(&f.Orig) {
		c.tellAgain(&f.Orig)
	}
	c.askInjection(now)
}

// disown gives a flow that the peer tells of up to it, if it is in the internal cache but not ours.
func (c *core) disown(key *flow.Tuple) {
	if c.yields(key) && c.internal.Disown(key) {
		c.inject.counts.Disowned++
	}
}

// yields reports whether a flow of the internal cache that the peer tells of is the peer's: no packets of it pass here, as
// far as events tell, and this router is not master. Where keepalived has said nothing, two routers that started at the
// same time tell each other of the same flows: one of them must keep them, or nobody would ever end them.
func (c *core) yields(key *flow.Tuple) bool {
	switch {
	case c.role == control.RoleMaster, c.internal.Touched(key):
		return false
	case c.role == control.RoleUnknown && c.internal.Known(key):
		at := c.peer.at // both ends compare the same two addresses
		return at == nil || at.open == nil || c.peer.addr.Less(at.open.Local())
	}
	return true
}

// completed returns what an UPDATE event says of a flow that was the peer's alone, and now is ours as well, with what the
// peer told of it: such an event does not carry everything.
func (c *core) completed(f *flow.Flow) *flow.Flow {
	if !c.injecting() || c.internal.Has(&f.Orig) {
		return f
	}
	ref, ok := c.external.Lookup(&f.Orig)
	if !ok || !c.external.Load(ref, &c.scratch) {
		return f
	}
	whole := &c.scratch.Flow
	whole.Merge(f)
	if f.Has.Is(flow.HasReply) {
		whole.Reply = f.Reply
	}
	return whole
}

// endedHere takes the end of a flow in this kernel, before the internal cache does. One that the peer has is put back,
// unless it is a connection whose closing was seen here. If we told the peer that we have it too, the peer's word may be
// out of date: it may have given it up to us, silently. Then a master forgets it, and any other router puts it back once;
// a peer that does have it says so when it hears of the end (see tellAgain).
func (c *core) endedHere(f *flow.Flow, now int64) {
	if !c.injecting() {
		return
	}
	ref, ok := c.external.Lookup(&f.Orig)
	if !ok {
		return
	}
	last := f // recent kernels tell the last state in the event
	own, ours := c.internal.Lookup(&f.Orig)
	told := ours && c.internal.Known(&f.Orig)
	if ours && !f.Has.Is(flow.HasTCPState) && c.internal.Load(own, &c.scratch) {
		last = &c.scratch.Flow
	}
	switch {
	case lifetime.RunsOut(last), c.external.Resting(ref), told && c.role == control.RoleMaster:
		c.external.Forget(ref)
	case told:
		c.external.Doubt(ref)
		c.inject.counts.Lost++
		c.askInjection(now)
	case c.external.Lost(&f.Orig, now):
		c.inject.counts.Lost++
	}
}

// tellAgain tells the peer, whose copy of a flow ended, that the flow goes on here, if it does.
func (c *core) tellAgain(key *flow.Tuple) {
	if ref, ok := c.internal.Lookup(key); ok {
		c.internal.Announce(ref)
	}
}

// holdsBack reports whether nothing is sent yet, because this router started and does not know what of its kernel's table
// is the peer's: injected in the daemon's former life. What the peer's table then does not mention is ours.
func (c *core) holdsBack() bool {
	if !c.injecting() || c.role == control.RoleMaster || c.sync.table || !c.cfg.StartupResync {
		return false
	}
	return c.inject.release == 0 || c.now() < c.inject.release
}

// peerAnswered begins the time for which the peer's table is waited for.
func (i *injection) peerAnswered(now int64) {
	if i.release == 0 {
		i.release = now + int64(tableWait)
	}
}

// whyNotInjected says what stands against the kernel having all that the peer told.
func (c *core) whyNotInjected(say func(format string, args ...any)) {
	if n := c.injectPending(); n > transmitSlice || n > 0 && c.now()-c.inject.since > int64(aliveInterval) {
		say("%d flows of the peer wait to be put into the kernel", n)
	}
	if c.sync.externalFull {
		say("more flows of the peer than cache-limit allows, some are not in the kernel: raise it")
	}
	if n := c.external.Failed(); n > 0 {
		say("%d flows of the peer are refused by the kernel: see ctsync show statistics --detail", n)
	}
}

// injectStatistics is the part of the statistics.
func (c *core) injectStatistics(s *control.Statistics) {
	st := cacheStats(c.external.Stats(), c.external.Limit())
	i := c.inject.counts
	i.Errors, i.Degraded = maps.Clone(i.Errors), maps.Clone(i.Degraded)
	i.Named = append([]string(nil), i.Named...)
	i.Flows, i.Waiting, i.Missing = st.Active, uint64(c.injectPending()), uint64(c.external.Failed())
	i.Bytes, i.Limit, i.Full = st.Bytes, st.Limit, st.Full
	s.Inject, s.External = &i, control.CacheStats{}
	if s.Expect != nil {
		s.Expect.Inject, s.Expect.External = new(c.inject.expect), control.CacheStats{}
	}
}

// addInjected adds what came of a block to the counters. named are kept to the last control.MaxNamed.
func (i *injection) addInjected(r *control.CommitResult) {
	t := &i.counts
	t.Created += r.Created + r.Replaced
	t.Replaced += r.Replaced
	t.Updated += r.Updated
	t.Expired += r.Expired
	t.Filtered += r.Filtered
	t.Errors.Add(r.Errors)
	t.Degraded.Add(r.Degraded)
	named := r.Named
	if x := r.Expect; x != nil {
		i.expect.Created += x.Created + x.Replaced
		i.expect.Updated += x.Updated
		i.expect.CreateFailed += x.Failed
		t.Errors.Add(x.Errors)
		named = append(named, x.Named...)
	}
	t.Named = append(t.Named, named...)
	t.Named = t.Named[max(0, len(t.Named)-control.MaxNamed):]
}

// seconds is how long a timer of the kernel still runs that was set to life seconds at set.
func seconds(it *cache.Item, now int64) int64 {
	return int64(it.Life) - (now-it.Set)/int64(time.Second)
}
