package core

import (
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// tapFlow notes an event of the kernel, or of the peer, before it is applied: the cache still has what the event leaves
// out.
func (c *Core) tapFlow(kind control.EventKind, f *flow.Flow, peer bool) {
	if c.Tap.Full() {
		c.publish(false)
	}
	e := c.Tap.Next()
	*e = control.Event{Kind: kind, Peer: peer, Flow: *f}
	lookup, load := c.Own.Internal.Lookup, c.Own.Internal.Load
	if peer {
		lookup, load = c.Peer.External.Lookup, c.Peer.External.Load
	}
	ref, known := lookup(&f.Orig)
	if kind == control.EventNew || !known || !load(ref, &c.scratch) {
		return
	}
	was := &c.scratch.Flow
	if was.Has.Is(flow.HasID) && f.Has.Is(flow.HasID) && was.ID != f.ID { // of an incarnation before
		return
	}
	e.Ages = c.scratch.At(c.now())
	e.Flow = *was
	e.Flow.Merge(f)
	if f.Has.Is(flow.HasReply) {
		e.Flow.Reply = f.Reply
	}
}

// publish gives what has gathered to the watchers. overrun says that the kernel dropped events before these.
func (c *Core) publish(overrun bool) { c.Tap.Publish(c.wall(), overrun) }
