package core

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"time"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/link"
	"ctsync/daemon/loop"
	"ctsync/daemon/transport"
)

// Bounds of what one turn of the loop takes from each side before it looks at the others.
const (
	turnBlocks  = 32
	turnBatches = 2
	turnCalls   = 4
)

// eventToken is what the poller reports the event socket by. A link has a number of its own from 1 up.
const eventToken = 0

// never is later than anything that happens.
const never = int64(math.MaxInt64)

// reader reads the event socket and the links.
type reader struct {
	events   *ctnetlink.Listener // nil in simulations
	eventsAt int64               // when to look for events; never = when the poller reports one
	block    ctnetlink.Block     // reused by readEvents
	readAt   int64               // when block was read; 0 = not known
	drains   uint64              // times that no more events waited
	batch    transport.Batch     // reused by readLinks
	tokens   int32               // that the poller has reported links by
	reviewed int64               // when the silence of the peer was last looked at
}

// Run is the core loop. It ends with ctx, or when the poller or the event socket fails, and closes the inbox.
func (c *Core) Run(ctx context.Context) error {
	defer c.in.Close()
	p := c.in.Poller
	defer context.AfterFunc(ctx, p.Ring)()
	if c.reader.events != nil {
		if err := p.Add(c.reader.events.FD(), eventToken); err != nil {
			return err
		}
	}
	for sleep := time.Duration(0); ctx.Err() == nil; {
		reported, err := p.Wait(sleep)
		if err != nil {
			return err
		}
		for i := range reported {
			c.reported(reported[i].Fd)
		}
		if err := c.readEvents(); err != nil {
			return err
		}
		c.readLinks()
		c.in.Run(c, turnCalls)
		c.Transmit()
		p.Listen()
		sleep = c.Tick()
	}
	return nil
}

// readEvents takes the events that the kernel has, when it has any or when they have gathered for long enough.
func (c *Core) readEvents() error {
	r := &c.reader
	if r.events == nil || c.now() < r.eventsAt {
		return nil
	}
	for range turnBlocks {
		overrun, err := r.events.Read(&r.block)
		r.readAt = c.now()
		if err != nil {
			return err
		}
		if overrun {
			c.overrun()
		}
		if r.block.N == 0 && !overrun {
			return c.gather()
		}
		c.Apply(&r.block)
	}
	return nil // there may be more: next turn
}

// gather lets events come together for a while, or has the poller report the next one.
func (c *Core) gather() error {
	r := &c.reader
	r.drains++
	if d := r.events.Gather(); d > 0 {
		r.eventsAt = c.now() + int64(d)
		return nil
	}
	r.eventsAt = never
	return c.in.Poller.Arm(r.events.FD(), eventToken)
}

// CaughtUp waits until the internal cache knows what has happened in the kernel so far, events that wait to gather
// included. It returns false when events come too fast for that to happen within some time.
func CaughtUp(ctx context.Context, in *loop.Inbox[*Core], within time.Duration) (bool, error) {
	var drains uint64
	if err := in.Do(ctx, func(c *Core) {
		if drains = c.reader.drains; c.reader.events != nil {
			c.reader.eventsAt = 0
		}
	}); err != nil {
		return false, err
	}
	return in.PollFor(ctx, within, func(c *Core) bool { return c.reader.events == nil || c.reader.drains != drains })
}

// reported takes note of what is readable.
func (c *Core) reported(token int32) {
	if token == eventToken {
		c.reader.eventsAt = 0
		return
	}
	for _, ch := range c.Links.Channels() {
		if ch.Token == token {
			ch.Ready = true
		}
	}
}

// readLinks takes what the peer has sent.
func (c *Core) readLinks() {
	for _, ch := range c.Links.Channels() {
		for n := 0; n < turnBatches && ch.Ready; n++ {
			c.readLink(ch)
		}
	}
}

func (c *Core) readLink(ch *link.Channel) {
	b := &c.reader.batch
	more, err := ch.Open.Read(b)
	if c.Peer.session != nil && !ch.Gone() {
		b.Each(func(src netip.AddrPort, d []byte) { c.Receive(ch, src.Addr(), d) })
		b.Refused(func(src netip.Addr, why transport.Refusal, d []byte) {
			c.Links.Refused(ch, c.sender(src, d), why, c.now())
		})
		if c.Tap.Watched() {
			c.publish(false)
		}
	}
	if err == nil && !more {
		ch.Ready = false
		err = c.in.Poller.Arm(ch.Open.FD(), ch.Token)
	}
	if err != nil {
		ch.Fail(err)
	}
}

// Tick lets the session do what is due and returns how long the loop may sleep.
func (c *Core) Tick() time.Duration {
	now := c.now()
	sleep := min(max(c.reader.eventsAt-now, 0), int64(time.Second))
	ready := func(ch *link.Channel) bool { return ch.Ready }
	if c.in != nil && c.in.Waiting() || slices.ContainsFunc(c.Links.Channels(), ready) {
		sleep = 0
	}
	if c.Peer.session == nil {
		return time.Duration(sleep)
	}
	c.reviewLinks(now)
	next := c.Peer.session.Tick(now)
	c.flushOutput()
	if c.Own.Internal.Dirty() > 0 && c.Peer.session.Room() > 0 && !c.holdsBack() {
		return 0
	}
	return time.Duration(min(max(next-now, 0), sleep))
}
