package daemon

import (
	"errors"
	"log/slog"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// core is what the loop owns: the caches, the session and everything that changes with them. No other goroutine
// touches a field; they call inbox.do.
type core struct {
	in  *inbox
	log *slog.Logger
	now func() int64  // nanoseconds since the daemon started, monotonic
	seq func() uint32 // the first sequence number of a conversation
	cfg *config.Config

	internal *cache.Internal
	external *cache.External
	session  *session.FTFW
	link     link
	peer     peer
	filter   flow.Filter

	expect expectations

	outgoing cache.Outgoing // reused by transmit
	scratch  cache.Entry    // for one look at an entry
	popped   uint64         // records taken from the dirty list since the start
	counts   counters
	totals   control.CommitStatistics

	linkBefore transport.Stats  // of links that are gone
	complained map[string]int64 // when it was last said that a cache is full, by its name
	sync       syncState

	watchers []*watcher
	tapped   []control.Event // gathered for them

	// Requests to the worker goroutines that the loop itself makes; each is a one-slot signal.
	wantReconcile chan struct{}
	wantBulk      chan struct{}
	wantSweep     chan struct{}
	wantReread    chan struct{}
}

// counters are the numbers that no other part keeps.
type counters struct {
	filtered         uint64 // events of flows that the filter does not let pass
	evicted          uint64 // flows that left the internal cache because the filter changed
	overruns         uint64 // event blocks before which the kernel dropped events
	foreign          uint64 // datagrams from a second sender on the link
	expectations     uint64 // expectation messages received while expect-sync is off
	orphans          uint64 // expectations whose master is not replicated
	expectZones      uint64 // expectations not sent because protocol v1 has no zone for them
	expectNAT6       uint64 // expectations not sent because protocol v1 has no IPv6 address for their translation
	invalid          uint64 // flows that a cache cannot hold: their tuples make no sense
	directionalZones uint64 // times a flow was not sent because protocol v1 has no zones for one direction
	refused          uint64 // flows that found a cache full
	swept            uint64 // external entries that the peer no longer has, found after a bulk
	repairs          uint64 // completed comparisons with the kernel
	repaired         uint64 // differences they found
	trafficBytes     uint64 // of flows that ended, where the kernel counts
	trafficPackets   uint64
}

// applyEvents puts a block of kernel events into the internal cache.
func (c *core) applyEvents(b *eventBlock) {
	if b.overrun {
		c.counts.overruns++
		c.sync.suspect = true
		c.log.Warn("kernel dropped conntrack events, comparing with its table", "overruns", c.counts.overruns)
		signal(c.wantReconcile)
	}
	now := c.now()
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
		if !c.filter.Pass(&f.Orig) {
			c.counts.filtered++
			c.filteredEvent(b.Kind[i], f)
			continue
		}
		if len(c.watchers) > 0 {
			c.tap(control.EventKind(b.Kind[i]), f, false) // the first three kinds are the same
		}
		var err error
		switch b.Kind[i] {
		case ctnetlink.EventNew:
			err = c.internal.New(f, now)
		case ctnetlink.EventUpdate:
			err = c.internal.Update(f, now)
		case ctnetlink.EventDestroy:
			c.counts.trafficBytes += f.Bytes[0] + f.Bytes[1]
			c.counts.trafficPackets += f.Packets[0] + f.Packets[1]
			c.internal.Destroy(f, now)
		}
		if err != nil {
			c.refused("internal", &c.sync.internalFull, err)
		}
	}
	if len(c.watchers) > 0 {
		c.publish(b.overrun)
	}
	if len(c.expect.orphans) > 0 {
		c.adoptOrphans(now)
	}
}

// filteredEvent takes the end of a flow that does not pass, but did when it began: before the filter changed.
func (c *core) filteredEvent(kind ctnetlink.Kind, f *flow.Flow) {
	if kind == ctnetlink.EventDestroy && c.internal.Has(&f.Orig) {
		c.internal.Destroy(f, c.now())
	}
}

// complainEvery is how often one and the same trouble is logged at most.
const complainEvery = int64(10 * time.Second)

// refused counts a flow that a cache did not take, and says so when the cache is full. Such a pair is not in step until
// the flow was offered again and taken.
func (c *core) refused(name string, full *bool, err error) {
	if !errors.Is(err, cache.ErrFull) {
		c.counts.invalid++
		return
	}
	*full = true
	c.counts.refused++
	now := c.now()
	if at, before := c.complained[name]; !before || now-at >= complainEvery {
		c.complained[name] = now
		c.log.Error("cache is full, entries are not replicated: raise cache-limit, or nf_conntrack_expect_max for expectations", "cache", name, "refused", c.counts.refused)
	}
}

// transmitSlice bounds how many messages leave in one turn of the loop, so that events are read in between.
const transmitSlice = 4096

// transmit sends what is dirty in the internal cache as far as the session has room.
func (c *core) transmit() {
	if c.session == nil {
		return
	}
	now := c.now()
	o := &c.outgoing
	for n := 0; n < transmitSlice && c.session.Room() > 0; n++ {
		if c.sendExpectation(now) {
			continue
		}
		if !c.internal.Next(o) {
			break
		}
		c.popped++
		if o.Type != cache.KindDestroy && !c.filter.Pass(&o.Flow.Orig) {
			continue // the filter has changed and will have the flow's end sent, if the peer knows of it
		}
		if _, whole := o.Flow.Zone(); !whole {
			c.counts.directionalZones++ // never sent, so the peer has nothing to be told of later either
			continue
		}
		age(&o.Flow, o.Updated, now)
		c.trim(&o.Flow)
		seq := c.session.SendFlow(now, wire.Type(o.Type), &o.Flow, session.Ref(o.Ref))
		c.internal.Sent(o.Ref, seq)
		if _, ends := c.session.Output(); len(ends) >= outputDatagrams {
			c.flushOutput()
		}
	}
	c.session.Finish()
	c.flushOutput()
}

// trim leaves out what tells the peer nothing: a SYNPROXY state of zeros, which the kernel reports for every flow that
// was made through ctnetlink, and window scales, of which a flow that is restored be-liberal makes no use (conntrackd
// does the same without TCPWindowTracking).
func (c *core) trim(f *flow.Flow) {
	if f.Synproxy == (flow.Synproxy{}) {
		f.Has &^= flow.HasSynproxy
	}
	if !c.cfg.TCPWindowTracking {
		f.Has &^= flow.HasTCPWScale
	}
}

// outputDatagrams is how many finished datagrams are handed to the link at once: the most that one UDP_SEGMENT call
// takes.
const outputDatagrams = 64

func (c *core) flushOutput() {
	buf, ends := c.session.Output()
	if len(ends) == 0 {
		return
	}
	if c.link != nil {
		// What the link cannot send is counted there, and the session sends it again when the peer misses it.
		_ = c.link.Send(buf, ends)
	}
	c.session.Reset()
}

// signal wakes the goroutine that waits on a one-slot channel; a second signal before it wakes is the same signal.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
