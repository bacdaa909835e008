package core

import (
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// Apply puts a block of kernel events into the internal cache.
func (c *Core) Apply(b *ctnetlink.Block) {
	now, before := c.now(), c.Own.Internal.Tail()
	c.Own.Internal.Prefetch(b.Flow[:b.N])
	next := 0 // of b.Expect
	for i := range b.N {
		switch b.Kind[i] {
		case ctnetlink.EventExpectNew:
			c.expectationBegan(&b.Expect[next], now)
			next++
			continue
		case ctnetlink.EventExpectDestroy:
			c.expectationEnded(&b.Expect[next])
			next++
			continue
		}
		f := &b.Flow[i]
		if !c.passes(b.Kind[i], f) {
			c.Own.counts.filtered++
			continue
		}
		if c.Tap.Watched() {
			c.tapFlow(control.EventKind(b.Kind[i]), f, false) // the kinds of flows are numbered alike
		}
		var err error
		switch b.Kind[i] {
		case ctnetlink.EventNew:
			err = c.Own.Internal.New(f, now)
		case ctnetlink.EventUpdate:
			if c.Own.Filter.Varies() && !c.Own.Internal.Has(&f.Orig) {
				c.readAgain(&f.Orig)
			}
			err = c.Own.Internal.Update(c.completed(f), now)
		case ctnetlink.EventDestroy:
			c.endedHere(f, now)
			c.Own.counts.trafficBytes += f.Bytes[0] + f.Bytes[1]
			c.Own.counts.trafficPackets += f.Packets[0] + f.Packets[1]
			c.Own.Internal.Destroy(f, now)
		}
		if err != nil {
			c.Refused(InternalCache, err)
		}
	}
	if c.Tap.Watched() {
		c.publish(false)
	}
	if len(c.Own.orphans) > 0 {
		c.adoptOrphans(now)
	}
	c.followBlock(c.reader.readAt, before)
}

// overrun takes note that the kernel dropped events, and has stopped dropping.
func (c *Core) overrun() {
	c.Own.counts.overruns++
	c.Own.suspect = true
	c.log.Warn("kernel dropped conntrack events, comparing with its table", "overruns", c.Own.counts.overruns)
	if c.Tap.Watched() {
		c.publish(true)
	}
	c.wantCompare()
}

// passes reports whether the filter lets an event pass, and takes the end of a flow that does not pass now, but did
// when it began: before the filter changed. A flow that is not in the cache is in a state that does not pass if the
// event says nothing of it.
func (c *Core) passes(kind ctnetlink.Kind, f *flow.Flow) bool {
	x := &c.Own.Filter
	switch end := kind == ctnetlink.EventDestroy; {
	case !x.PassTuples(f):
		if end && c.Own.Internal.Has(&f.Orig) {
			c.Own.Internal.Destroy(f, c.now())
		}
		return false
	case end || !x.Varies():
		return true
	}
	return x.Pass(f) && (x.Judges(f) || c.Own.Internal.Has(&f.Orig))
}

// wantCompare asks for a comparison with the kernel's table.
func (c *Core) wantCompare() { loop.Signal(c.Want.Reconcile) }
