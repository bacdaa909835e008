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
	"ctsync/daemon/lifetime"
	"ctsync/daemon/session"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// core is what the loop owns: the caches, the session and everything that changes with them. No other goroutine
// touches a field; they call inbox.do.
type core struct {
	in       *inbox
	events   *ctnetlink.Listener // nil in simulations
	eventsAt int64               // when to look for events; never = when the poller reports one
	block    ctnetlink.Block     // reused by readEvents
	readAt   int64               // when block was read; 0 = not known
	drains   uint64              // times that no more events waited

	log *slog.Logger
	now func() int64  // nanoseconds since the daemon started, monotonic
	seq func() uint32 // the first sequence number of a conversation
	cfg *config.Config

	internal *cache.Internal
	external *cache.External
	session  *session.FTFW
	peer     peer
	filter   flow.Filter

	links        []*channel      // in the order of the configuration
	batch        transport.Batch // reused by readLinks
	tokens       int32           // that the poller has reported links by
	choice       choice          // which of them sends
	chosen       chosen
	reviewed     int64 // when the silence of the peer was last looked at
	datagramSize int   // bytes that every open link carries

	expect expectations
	inject injection
	role   control.Role // as keepalived says

	told     told           // reused by datagram
	outgoing cache.Outgoing // reused by transmit
	scratch  cache.Entry    // for one look at an entry
	at       int64          // when the datagram at hand came: the clock is asked once for all of its messages
	counts   counters
	totals   control.CommitStatistics
	took     durations
	probe    probe

	complained map[string]int64 // when it was last said that a cache is full, by its name
	sync       syncState

	lacksSaid [wire.NumLacks]uint64 // counts.lacks as last logged
	lacksAt   int64                 // when; 0 = never
	watchers  []*watcher
	tapped    []control.Event // gathered for them

	// Requests to the worker goroutines that the loop itself makes; each is a one-slot signal.
	wantReconcile chan struct{}
	wantBulk      chan struct{}
	wantSweep     chan struct{}
	wantReread    chan struct{}
	wantInject    chan struct{}
}

// counters are the numbers that no other part keeps.
type counters struct {
	filtered         uint64 // events of flows that the filter does not let pass
	evicted          uint64 // flows that left the internal cache because the filter changed
	overruns         uint64 // event blocks before which the kernel dropped events
	foreign          uint64 // datagrams from a second sender on a link
	linkChanges      uint64 // times that another link began to send
	expectations     uint64 // expectation messages received while expect-sync is off
	orphans          uint64 // expectations whose master is not replicated
	invalid          uint64 // flows that a cache cannot hold: their tuples make no sense
	refused          uint64 // flows that found a cache full
	swept            uint64 // external entries that the peer no longer has, found after a bulk
	repairs          uint64 // completed comparisons with the kernel
	malformedRecords uint64 // comparisons that met a record which could not be read
	purges           uint64 // times that the timers of the other router's flows were shortened
	repaired         uint64 // differences they found
	trafficBytes     uint64 // of flows that ended, where the kernel counts
	trafficPackets   uint64

	lacks [wire.NumLacks]uint64 // flows and expectations that protocol v1 cannot carry whole
}

// applyEvents puts a block of kernel events into the internal cache.
func (c *core) applyEvents(b *ctnetlink.Block) {
	now, before := c.now(), c.internal.Tail()
	c.internal.Prefetch(b.Flow[:b.N])
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
			err = c.internal.Update(c.completed(f), now)
		case ctnetlink.EventDestroy:
			c.endedHere(f, now)
			c.counts.trafficBytes += f.Bytes[0] + f.Bytes[1]
			c.counts.trafficPackets += f.Packets[0] + f.Packets[1]
			c.internal.Destroy(f, now)
		}
		if err != nil {
			c.refused("internal", &c.sync.internalFull, err)
		}
	}
	if len(c.watchers) > 0 {
		c.publish(false)
	}
	if len(c.expect.orphans) > 0 {
		c.adoptOrphans(now)
	}
	c.followBlock(c.readAt, before)
}

// overrun takes note that the kernel dropped events, and has stopped dropping.
func (c *core) overrun() {
	c.counts.overruns++
	c.sync.suspect = true
	c.log.Warn("kernel dropped conntrack events, comparing with its table", "overruns", c.counts.overruns)
	if len(c.watchers) > 0 {
		c.publish(true)
	}
	signal(c.wantReconcile)
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
	if c.session == nil || c.holdsBack() {
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
		if o.Type != cache.KindDestroy && !c.filter.Pass(&o.Flow.Orig) {
			continue // the filter has changed and will have the flow's end sent, if the peer knows of it
		}
		if l, lacking := wire.FlowLack(&o.Flow); lacking && o.Type != cache.KindDestroy {
			if c.internal.Note(o.Ref) {
				c.counts.lacks[l]++
			}
			if l == wire.LackZone {
				continue // never sent, so the peer has nothing to be told of later either
			}
		}
		lifetime.Age(&o.Flow, o.Updated, now)
		c.trim(&o.Flow)
		seq := c.session.SendFlow(now, wire.Type(o.Type), &o.Flow, session.Ref(o.Ref))
		c.sent(o.Ref, seq)
		if _, ends := c.session.Output(); len(ends) >= outputDatagrams {
			c.flushOutput()
		}
	}
	c.followEnd()
	c.session.Finish()
	c.flushOutput()
}

// trim leaves out what tells the peer nothing: a SYNPROXY state of zeros, which the kernel reports for every flow that
// was made through ctnetlink, and window scales, of which a flow that is restored be-liberal makes no use (conntrackd
// does the same without TCPWindowTracking). A flow that is be-liberal here, because the kernel or a commit met it without
// knowing its scales, is told without them, and so is restored be-liberal there too: the scales that the kernel reports
// of it are not the connection's.
func (c *core) trim(f *flow.Flow) {
	if f.Synproxy == (flow.Synproxy{}) {
		f.Has &^= flow.HasSynproxy
	}
	if !c.cfg.TCPWindowTracking || f.Has.Is(flow.HasTCPFlags) && (f.TCPFlags[0]|f.TCPFlags[1])&flow.TCPFlagBeLiberal != 0 {
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
	if l := c.sending().open; l != nil {
		// What the link cannot send is counted there, and the session sends it again when the peer misses it.
		_ = l.Send(buf, ends)
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
