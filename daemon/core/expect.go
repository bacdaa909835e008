package core

import (
	"bytes"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
)

// orphan is an expectation that came before its master: a helper that expects something upon the first packet of a
// connection (SIP, TFTP) raises its event before the connection itself is confirmed and raises one.
type orphan struct {
	e  flow.Expectation
	at int64
}

// Bounds of what waits: masters come in the same block of events or the next.
const (
	orphanWait  = int64(time.Second)
	maxOrphans  = 256
	maxAdjusted = 256
)

// Expecting reports whether expectations are replicated.
func (c *Core) Expecting() bool { return len(c.Config.ExpectSync) > 0 }

// expectsHelper reports whether the expectations of e's helper are replicated.
func expectsHelper(cfg *config.Config, e *flow.Expectation) bool {
	name, _, _ := bytes.Cut(e.Helper[:], []byte{0}) // not flow.CString, which allocates
	return cfg.ExpectHelper(string(name))
}

// expectationBegan takes the event of a new expectation.
func (c *Core) expectationBegan(e *flow.Expectation, now int64) {
	if !expectsHelper(c.Config, e) {
		c.Own.counts.filtered++
		return
	}
	if _, ok := c.Own.Internal.Lookup(&e.Master); ok {
		c.keepExpectation(e, now)
	} else if len(c.Own.orphans) < maxOrphans {
		c.Own.orphans = append(c.Own.orphans, orphan{*e, now})
	} else {
		c.Own.counts.orphans++
	}
}

func (c *Core) keepExpectation(e *flow.Expectation, now int64) {
	if err := c.Own.Expect.New(e, now); err != nil {
		c.Refused(InternalExpect, err)
	}
	switch {
	case !e.Has.Is(flow.HasNAT):
	case len(c.Own.adjusted) < maxAdjusted:
		c.Own.adjusted = append(c.Own.adjusted, e.Master)
		loop.Signal(c.Want.Reread)
	default:
		c.wantCompare() // too many at once to be looked at one by one
	}
}

// expectationEnded takes the event of the end of an expectation.
func (c *Core) expectationEnded(e *flow.Expectation) {
	list := c.Own.orphans
	for i := range list {
		if o := &list[i].e; o.Expect == e.Expect && o.Master == e.Master {
			c.Own.orphans = append(list[:i], list[i+1:]...)
			break
		}
	}
	c.Own.Expect.Destroy(e)
}

// adoptOrphans looks for the masters of expectations that came before them. One whose master is not replicated never
// gets one: the master is excluded, or in a conntrack zone, which the kernel does not report for expectations.
func (c *Core) adoptOrphans(now int64) {
	left := c.Own.orphans[:0]
	for i := range c.Own.orphans {
		o := &c.Own.orphans[i]
		if _, ok := c.Own.Internal.Lookup(&o.e.Master); ok {
			c.keepExpectation(&o.e, now)
		} else if now-o.at < orphanWait {
			left = append(left, *o)
		} else {
			c.Own.counts.orphans++
		}
	}
	c.Own.orphans = left
}

// Adjusted returns, once, the masters whose sequence numbers may have shifted since they were last read: a helper that
// puts another address into the payload shifts them, of which the kernel raises no event.
func (c *Core) Adjusted() []flow.Flow {
	keys := make([]flow.Flow, len(c.Own.adjusted))
	for i := range keys {
		keys[i].Orig = c.Own.adjusted[i]
	}
	c.Own.adjusted = c.Own.adjusted[:0]
	return keys
}

// Readjust updates a cached flow whose sequence numbers are shifted otherwise than the cache says.
func (c *Core) Readjust(f *flow.Flow) {
	ref, ok := c.Own.Internal.Lookup(&f.Orig)
	if !ok || !c.Own.Internal.Load(ref, &c.scratch) {
		return
	}
	have := &c.scratch.Flow
	if f.Has.Is(flow.HasSeqAdj) && (have.SeqAdj != f.SeqAdj || !have.Has.Is(flow.HasSeqAdj)) {
		if err := c.Own.Internal.Update(f, c.now()); err != nil {
			c.Refused(InternalCache, err)
		}
	}
}

// retainExpectations ends the internal expectations that are not replicated any more: their helper is not listed, or
// the filter does not let their master pass.
func (c *Core) retainExpectations() {
	c.Own.Expect.Retain(func(e *flow.Expectation) bool {
		return expectsHelper(c.Config, e) && c.Own.Filter.Pass(&e.Master)
	})
}

// followExpectSync makes the caches fit a new list of helpers: the peer is sent the end of what is not replicated any
// more, and what the peer sends is not kept while expect-sync is off. What is new comes with the next comparison.
func (c *Core) followExpectSync() {
	c.retainExpectations()
	if !c.Expecting() {
		c.Own.orphans = nil
		c.Peer.Expect.Reset()
		return
	}
	c.wantCompare()
	c.RequestResync()
}
