package core

import (
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// With disable-external-cache the peer's flows go into the kernel as they come, and a failover needs no commit. The
// external cache is then a ledger that readers do not see: what the peer has, what of it the kernel has, and what is
// still to be done (see cache.External). Package restore takes what is to be done from it in blocks; a flow that
// changes ten times meanwhile is injected once.
//
// Whose is a flow that both routers have? Three places know of it: the ledger (the peer has it), the internal cache (it
// is ours, and is announced to the peer), and the kernel.
//
//   - What is in the ledger alone is the peer's. Comparisons with the kernel leave it alone; its timer is set again
//     before it expires, as long as the peer keeps it; when the peer ends it, it is deleted.
//   - A kernel event shows that packets of it pass here (asymmetric routes, both routers active): it comes into the
//     internal cache, and is in both. Then an end at the peer deletes nothing here, and what the peer says never takes
//     the kernel's entry backwards. A timer that somebody else than us set shows the same for a flow without events.
//   - On MASTER the ledger is emptied, and the comparison with the kernel makes all of it ours.
//   - When the peer announces a flow that is in the internal cache, but of which no event came since this router became
//     BACKUP (or since it started), it leaves the internal cache, and the peer is not sent its end; see Yields.

// BecomeRole notes what keepalived made of this router. As BACKUP the flows of before are its own only as far as
// packets of them still pass here.
func (c *Core) BecomeRole(state control.State) {
	if c.role = state.Role(); c.role == control.RoleMaster {
		c.beginAnnounce() // the takeover ends with a bulk
	} else {
		c.Own.Internal.ForgetTouched()
		c.WaitForRoom(nil) // they are the new master's
	}
}

// claimed takes note that the peer spoke of f.
func (c *Core) claimed(t wire.Type, f *flow.Flow) {
	if t != wire.CTDestroy {
		c.Disown(&f.Orig)
	} else if !c.Yields(&f.Orig) {
		c.announceAgain(&f.Orig)
	}
	c.AskInjection()
}

// Disown gives a flow that the peer announces up to it, if it is in the internal cache but not ours.
func (c *Core) Disown(key *flow.Tuple) {
	if c.Yields(key) && c.Own.Internal.Disown(key) {
		c.Inject.Counts.Disowned++
	}
}

// Yields reports whether a flow of the internal cache that the peer announces is the peer's: no packets of it pass
// here, as far as events show, and this router is not master. Where keepalived has said nothing, two routers that
// started at the same time announce the same flows to each other: one of them must keep them, or nobody would ever end
// them.
func (c *Core) Yields(key *flow.Tuple) bool {
	switch {
	case c.role == control.RoleMaster, c.Own.Internal.Touched(key):
		return false
	case c.role == control.RoleUnknown && c.Own.Internal.Known(key):
		p := c.Links.Peer() // both ends compare the same two addresses
		return p.At == nil || p.At.Open == nil || p.Addr.Less(p.At.Open.Local())
	}
	return true
}

// completed returns what an UPDATE event says of a flow that was the peer's alone, and now is ours as well, with what
// the peer announced of it: such an event does not carry everything.
func (c *Core) completed(f *flow.Flow) *flow.Flow {
	if !c.Injecting() || c.Own.Internal.Has(&f.Orig) {
		return f
	}
	ref, ok := c.Peer.External.Lookup(&f.Orig)
	if !ok || !c.Peer.External.Load(ref, &c.scratch) {
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
// unless it is a connection whose closing was seen here. If we announced it to the peer as well, the peer's word may be
// out of date: it may have given it up to us, silently. Then a master forgets it, and any other router puts it back
// once; a peer that does have it says so when it hears of the end (see announceAgain).
func (c *Core) endedHere(f *flow.Flow, now int64) {
	if !c.Injecting() {
		return
	}
	ref, ok := c.Peer.External.Lookup(&f.Orig)
	if !ok {
		return
	}
	last := f // recent kernels report the last state in the event
	own, ours := c.Own.Internal.Lookup(&f.Orig)
	announced := ours && c.Own.Internal.Known(&f.Orig)
	if ours && !f.Has.Is(flow.HasTCPState) && c.Own.Internal.Load(own, &c.scratch) {
		last = &c.scratch.Flow
	}
	switch {
	case lifetime.RunsOut(last), c.Peer.External.Resting(ref), announced && c.role == control.RoleMaster:
		c.Peer.External.Forget(ref)
	case announced:
		c.Peer.External.Doubt(ref)
		c.Inject.Counts.Lost++
		c.AskInjection()
	case c.Peer.External.Lost(&f.Orig, now):
		c.Inject.Counts.Lost++
	}
}

// announceAgain announces a flow that goes on here to the peer, whose copy of it ended.
func (c *Core) announceAgain(key *flow.Tuple) {
	if ref, ok := c.Own.Internal.Lookup(key); ok {
		c.Own.Internal.Announce(ref)
	}
}

// holdsBack reports whether nothing is sent yet, because this router started and does not know what of its kernel's
// table is the peer's: injected before the daemon's restart. What the peer's table then does not mention is ours.
func (c *Core) holdsBack() bool {
	if !c.Injecting() || c.role == control.RoleMaster || c.HasTable() {
		return false
	}
	return c.Inject.release == 0 || c.now() < c.Inject.release
}
