// Package core is what the loop owns: both routers' flows, the conversation, and the rules between them; it waits in
// one place, the loop's.
//
// One goroutine (Run) owns a Core without locks. It reads the event socket and the links itself, a block at a time,
// because handing blocks from one thread to another costs more than what is in them. Others enter through loop.Inbox,
// with functions that return within about a millisecond:
//
//	kernel   ── blocks of ctnetlink events ──►┐
//	peer     ── batches of datagrams ────────►│  Core ──► session ──► the link that sends
//	readers  ── functions ───────────────────►│
//	work     ── functions ───────────────────►┘
//
// Own is this router's side and knows no session. Peer is the other router's and knows no kernel event. What lies
// between them is transmit.go (from Own to Peer), owner.go (whose is a flow that both have) and verdict.go (in step, or
// why not). Work outside the loop changes state by verbs that say what it does (BeginCompare, Settle, BecomeRole, ...).
package core

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/lately"
	"ctsync/daemon/link"
	"ctsync/daemon/loop"
	"ctsync/daemon/wire"
)

// Core is what the loop owns. It has no lock, nothing in it waits but Run, and it asks no clock but the two it was made
// with. No other goroutine touches a field; they enter by loop.Inbox.
type Core struct {
	Config *config.Config // in force
	Own    Own
	Peer   Peer
	Links  link.Set
	Inject Injection
	Want   Want
	Times  Times
	Tap    control.Tap // shows events to those who watch

	// Compared is closed when the internal cache has first been compared with the kernel's table.
	Compared chan struct{}

	log  *slog.Logger
	now  func() int64     // nanoseconds since the daemon started, monotonic
	wall func() time.Time // for readers
	seq  func() uint32    // the first sequence number of a session
	role control.Role     // as keepalived says

	in       *loop.Inbox[*Core] // nil in simulations
	reader   reader
	outgoing outgoing
	probe    probe

	commits int // that run
	totals  control.CommitStatistics
	scratch cache.Entry // for one look at an entry
	invalid uint64      // flows that a cache cannot hold: their tuples make no sense
	refused uint64      // flows that found a cache full

	ignoring lately.Count // expectations of the peer, while expect-sync is off

	lacks, lacksLogged [wire.NumLacks]uint64 // counted, and as last logged
}

// Want are requests to the workers outside the loop. Each is a one-slot signal; see loop.Signal.
type Want struct {
	Reconcile chan struct{} // compare the internal cache with the kernel
	Bulk      chan struct{} // send the internal cache to the peer
	Sweep     chan struct{} // remove what the peer no longer has
	Reread    chan struct{} // read some flows again; see Partial
	Inject    chan struct{} // put the peer's flows into the kernel
}

// Options are what a Core is made of. Inbox and Events may be nil in simulations.
type Options struct {
	Config      *config.Config
	Inbox       *loop.Inbox[*Core]
	Events      *ctnetlink.Listener
	FlowLimit   int // entries of a cache of flows
	ExpectLimit int // entries of a cache of expectations
	Role        control.Role
	Log         *slog.Logger // holds back what repeats: whoever speaks on a link decides how much is logged

	Now  func() int64     // nanoseconds on a monotonic clock
	Wall func() time.Time // the wall clock
	Lot  func() uint32    // random numbers; nil = rand.Uint32
}

// New returns a core that does not run yet.
func New(o Options) *Core {
	if o.Lot == nil {
		// Not the clock, as conntrackd takes it: a session that begins where the last one left off is hard to tell from it.
		o.Lot = rand.Uint32
	}
	c := &Core{
		Config: o.Config, Compared: make(chan struct{}), in: o.Inbox, log: o.Log, now: o.Now, wall: o.Wall, seq: o.Lot, role: o.Role,
		Want: Want{
			Reconcile: make(chan struct{}, 1), Bulk: make(chan struct{}, 1), Sweep: make(chan struct{}, 1),
			Reread: make(chan struct{}, 1), Inject: make(chan struct{}, 1),
		},
	}
	c.reader.events = o.Events
	c.Links = link.NewSet(o.Now(), o.Lot, o.Log)
	c.Own.Internal = cache.NewInternal(o.FlowLimit)
	c.Own.Expect = cache.NewInternalExpect(o.ExpectLimit, c.Own.Internal)
	c.Peer.External, c.Peer.Expect = cache.NewExternal(o.FlowLimit), cache.NewExternalExpect(o.ExpectLimit)
	c.followInjection()
	return c
}

// Log is where lines go that the peer or the kernel can cause any number of times: it holds back what repeats.
func (c *Core) Log() *slog.Logger { return c.log }

// Now is the loop's clock: nanoseconds since the daemon started.
func (c *Core) Now() int64 { return c.now() }

// Wall is the clock of readers.
func (c *Core) Wall() time.Time { return c.wall() }

// SetLimits bounds the caches of flows and those of expectations.
func (c *Core) SetLimits(flows, expectations int) {
	c.Own.Internal.SetLimit(flows)
	c.Peer.External.SetLimit(flows)
	c.Own.Expect.SetLimit(expectations)
	c.Peer.Expect.SetLimit(expectations)
}

// Changed is what a new configuration asks of those outside the loop.
type Changed struct {
	Withdraw bool         // the peer's flows no longer belong into the kernel
	Ended    []cache.Item // of them, those that the peer ended and the kernel may still have: only this list knows of them
	Expect   bool         // other helpers' expectations are replicated
}

// Reconfigure puts another configuration in force.
func (c *Core) Reconfigure(cfg *config.Config, flows, expectations int) (ch Changed) {
	before := c.Config
	c.Config = cfg
	ch.Withdraw = before.DisableExternalCache && !cfg.DisableExternalCache
	if ch.Withdraw {
		c.Peer.External.Ended(func(it *cache.Item) { ch.Ended = append(ch.Ended, *it) })
	}
	ch.Expect = !slices.Equal(before.ExpectSync, cfg.ExpectSync)
	c.followInjection()
	if ch.Expect {
		c.followExpectSync()
	}
	c.SetLimits(flows, expectations)
	if cfg.TCPWindowTracking && !before.TCPWindowTracking { // the peer has no window scales of the flows it knows
		c.WantBulk()
	}
	return ch
}
