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
	orphanWait = int64(time.Second)
	maxOrphans = 256
	maxPartial = 4096
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
	if e.Has.Is(flow.HasNAT) {
		c.readAgain(&e.Master)
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

// readAgain asks for a flow to be read from the kernel, because no event says all of it.
func (c *Core) readAgain(key *flow.Tuple) {
	if len(c.Own.partial) == maxPartial {
		c.wantCompare() // too many at once to be looked at one by one
		return
	}
	c.Own.partial = append(c.Own.partial, *key)
	loop.Signal(c.Want.Reread)
}

// Partial returns, once, the flows to be read from the kernel again: masters of expectations, for a helper that puts
// another address into the payload shifts the sequence numbers, of which the kernel raises no event; and flows that
// began to pass the filter by an event, which does not carry everything.
func (c *Core) Partial() []flow.Flow {
	keys := make([]flow.Flow, len(c.Own.partial))
	for i := range keys {
		keys[i].Orig = c.Own.partial[i]
	}
	c.Own.partial = c.Own.partial[:0]
	return keys
}

// retainExpectations ends the internal expectations that are not replicated any more: their helper is not listed, or
// the filter does not let their master pass.
func (c *Core) retainExpectations() {
	c.Own.Expect.Retain(func(e *flow.Expectation) bool {
		return expectsHelper(c.Config, e) && c.Own.Filter.PassOrig(&e.Master)
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
