package daemon

import (
	"math"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// expectations is the core's part that keeps expectations (expect-sync). It is there even while expect-sync is off: what
// the peer has been told of is then still to be taken back.
type expectations struct {
	internal *cache.InternalExpect
	external *cache.ExternalExpect

	outgoing cache.OutgoingExpect // reused by transmit
	orphans  []orphan             // expectations whose master is not in the internal cache yet
	adjusted []flow.Tuple         // masters to be read again, see rereadMasters
}

// orphan is an expectation that came before its master: a helper that expects something upon the first packet of a
// connection (SIP, TFTP) raises its event before the connection itself is confirmed and raises one.
type orphan struct {
	e  flow.Expectation
	at int64
}

// Bounds of what waits: masters come in the same block of events or the next.
const (
	orphanLife   = int64(time.Second)
	maxOrphans   = 256
	maxAdjusted  = 256
	expectWaits  = 2 << 12 // records of a cache where the kernel does not say how many expectations it may have
	expectFactor = 2       // records per expectation that the kernel may have: some have ended and wait to be told
)

func newExpectations(limit int, flows *cache.Internal) expectations {
	return expectations{internal: cache.NewInternalExpect(limit, flows), external: cache.NewExternalExpect(limit)}
}

// expectLimit returns how many expectations a cache may hold.
func expectLimit() int {
	if n := sysctl("nf_conntrack_expect_max"); n > 0 {
		return expectFactor * n
	}
	return expectWaits
}

// expecting reports whether expectations are replicated.
func (c *core) expecting() bool { return len(c.cfg.ExpectSync) > 0 }

// expectsHelper reports whether the expectations of e's helper are replicated.
func expectsHelper(cfg *config.Config, e *flow.Expectation) bool {
	n := 0
	for n < len(e.Helper) && e.Helper[n] != 0 {
		n++
	}
	return cfg.ExpectHelper(string(e.Helper[:n]))
}

// expectationBegan takes the event of a new expectation.
func (c *core) expectationBegan(e *flow.Expectation, now int64) {
	if !expectsHelper(c.cfg, e) {
		c.counts.filtered++
		return
	}
	x := &c.expect
	if _, ok := c.internal.Lookup(&e.Master); ok {
		c.keepExpectation(e, now)
	} else if len(x.orphans) < maxOrphans {
		x.orphans = append(x.orphans, orphan{*e, now})
	} else {
		c.counts.orphans++
	}
}

func (c *core) keepExpectation(e *flow.Expectation, now int64) {
	if err := c.expect.internal.New(e, now); err != nil {
		c.refused("internal expect", &c.sync.internalFull, err)
	}
	switch {
	case !e.Has.Is(flow.HasNAT):
	case len(c.expect.adjusted) < maxAdjusted:
		c.expect.adjusted = append(c.expect.adjusted, e.Master)
		signal(c.wantReread)
	default:
		signal(c.wantReconcile) // too many at once to be looked at one by one
	}
}

// expectationEnded takes the event of the end of an expectation.
func (c *core) expectationEnded(e *flow.Expectation) {
	x := &c.expect
	for i := range x.orphans {
		if o := &x.orphans[i].e; o.Expect == e.Expect && o.Master == e.Master {
			x.orphans = append(x.orphans[:i], x.orphans[i+1:]...)
			break
		}
	}
	x.internal.Destroy(e)
}

// adoptOrphans looks for the masters of expectations that came before them. One whose master is not replicated has none
// for good: the master is excluded, or in a conntrack zone, which the kernel does not tell for expectations.
func (c *core) adoptOrphans(now int64) {
	x := &c.expect
	left := x.orphans[:0]
	for i := range x.orphans {
		o := &x.orphans[i]
		if _, ok := c.internal.Lookup(&o.e.Master); ok {
			c.keepExpectation(&o.e, now)
		} else if now-o.at < orphanLife {
			left = append(left, *o)
		} else {
			c.counts.orphans++
		}
	}
	x.orphans = left
}

// sendExpectation sends the expectation that is first in the queue, and reports whether that is one and not a flow.
func (c *core) sendExpectation(now int64) bool {
	o := &c.expect.outgoing
	if !c.expect.internal.Next(o) {
		return false
	}
	e := &o.Expectation
	if l, lacking := wire.ExpectationLack(e); lacking {
		if c.internal.Note(o.Ref) {
			c.counts.lacks[l]++
		}
		return true // never sent, so the peer has nothing to be told of later either
	}
	if passed := (now - o.Updated) / int64(time.Second); passed > 0 && e.Has.Is(flow.HasTimeout) {
		e.Timeout = lifetime.Left(e.Timeout, passed)
	}
	seq := c.session.SendExpectation(now, wire.ExpNew+wire.Type(o.Type), e, session.Ref(o.Ref))
	c.sent(o.Ref, seq)
	return true
}

// peerExpectation applies one message of the peer to the external cache.
func (c *core) peerExpectation(t wire.Type, e *flow.Expectation) {
	if !c.expecting() {
		c.counts.expectations++
		return
	}
	now := c.now()
	var err error
	switch t {
	case wire.ExpNew:
		err = c.expect.external.New(e, now)
	case wire.ExpUpdate:
		err = c.expect.external.Update(e, now)
	case wire.ExpDestroy:
		c.expect.external.Destroy(e)
	}
	if err != nil {
		c.refused("external expect", &c.sync.externalFull, err)
	}
	if c.injecting() {
		c.askInjection(now)
	}
}

// sent, acked and lost say what became of a flow or an expectation that left the queue.
func (c *core) sent(r cache.Ref, seq uint32) {
	c.internal.Sent(r, seq)
	if c.probe.state == probeQueued {
		c.followSent(seq)
	}
}

func (c *core) acked(r session.Ref, seq uint32) {
	c.followAcked(seq)
	c.internal.Acked(cache.Ref(r), seq)
}

func (c *core) lost(r session.Ref, seq uint32) {
	c.internal.Lost(cache.Ref(r), seq)
	c.followLost(seq)
}

// sweepExpectations removes the external expectations whose time is up and returns how many.
func (c *core) sweepExpectations() (removed int) {
	now := c.now()
	c.expect.external.Scan(0, math.MaxInt, func(x *cache.ExpectEntry) {
		if lifetime.ExpectationExpired(&x.Expectation, x.Updated, c.peer.heard, now) {
			c.expect.external.Forget(x.Ref)
			removed++
		}
	})
	return removed
}

// retainExpectations ends the internal expectations that are not replicated any more: their helper is not listed, or the
// filter does not let their master pass.
func (c *core) retainExpectations() {
	c.expect.internal.Retain(func(e *flow.Expectation) bool { return expectsHelper(c.cfg, e) && c.filter.Pass(&e.Master) })
}

// followExpectSync makes the caches fit a new list of helpers: what is not replicated any more is taken back from the
// peer, and what the peer sends is not kept while expect-sync is off. What is new comes with the next reconcile.
func (c *core) followExpectSync() {
	c.retainExpectations()
	if !c.expecting() {
		c.expect.orphans = nil
		c.expect.external.Reset()
		return
	}
	signal(c.wantReconcile)
	c.requestResync()
}
