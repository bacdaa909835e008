package daemon

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"
)

// sliceSize is how many records a piece of work handles in one visit to the core loop: about a millisecond.
const sliceSize = 1000

// errStopped is what work gets when the loop has ended.
var errStopped = errors.New("daemon is stopping")

// inbox is the way into the core loop for everybody else.
type inbox struct {
	poller *poller
	calls  chan func(*core)
	done   chan struct{} // closed when the loop has ended
}

// queuedCalls is how many calls may wait before those that make them do.
const queuedCalls = 16

func newInbox() (*inbox, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &inbox{poller: p, calls: make(chan func(*core), queuedCalls), done: make(chan struct{})}, nil
}

// do runs f in the core loop and waits for it. f must return within about a millisecond and must not call do.
func (in *inbox) do(ctx context.Context, f func(*core)) error {
	ran := make(chan struct{})
	select {
	case in.calls <- func(c *core) { f(c); close(ran) }:
		in.poller.ring()
	case <-ctx.Done():
		return ctx.Err()
	case <-in.done:
		return errStopped
	}
	select {
	case <-ran:
		return nil
	case <-in.done:
	}
	select {
	case <-ran: // the last thing that the loop did
		return nil
	default:
		return errStopped
	}
}

// Bounds of what one turn of the loop takes from each side before it looks at the others.
const (
	turnBlocks  = 32
	turnBatches = 2
	turnCalls   = 4
)

// eventToken is what the poller reports the event socket by. A link has a number of its own from 1 up.
const eventToken = 0

// run is the core loop. It ends with ctx.
func (c *core) run(ctx context.Context) error {
	defer close(c.in.done)
	p := c.in.poller
	defer context.AfterFunc(ctx, p.ring)()
	if c.events != nil {
		if err := p.add(c.events.FD(), eventToken); err != nil {
			return err
		}
	}
	for sleep := time.Duration(0); ctx.Err() == nil; {
		reported, err := p.wait(sleep)
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
		c.runCalls()
		c.transmit()
		p.listen()
		sleep = c.nextTick()
	}
	return nil
}

// never is later than anything that happens.
const never = int64(math.MaxInt64)

// readEvents takes what the kernel has to tell, when it has or when events have gathered for long enough.
func (c *core) readEvents() error {
	if c.events == nil || c.now() < c.eventsAt {
		return nil
	}
	for range turnBlocks {
		overrun, err := c.events.Read(&c.block)
		c.readAt = c.now()
		if err != nil {
			return err
		}
		if overrun {
			c.overrun()
		}
		if c.block.N == 0 && !overrun {
			return c.gather()
		}
		c.applyEvents(&c.block)
	}
	return nil // there may be more: next turn
}

// gather lets events come together for a while, or has the poller report the next one.
func (c *core) gather() error {
	c.drains++
	if d := c.events.Gather(); d > 0 {
		c.eventsAt = c.now() + int64(d)
		return nil
	}
	c.eventsAt = never
	return c.in.poller.arm(c.events.FD(), eventToken)
}

// caughtUp waits until the core loop has handled every event that the kernel raised before, also those that gather. It
// returns false when events come too fast for that to happen within some time.
func (d *Daemon) caughtUp(ctx context.Context, within time.Duration) (bool, error) {
	var drains uint64
	if err := d.do(ctx, func(c *core) {
		if drains = c.drains; c.events != nil {
			c.eventsAt = 0
		}
	}); err != nil {
		return false, err
	}
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := d.poll(wait, func(c *core) bool { return c.events == nil || c.drains != drains })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// reported takes note of what is readable.
func (c *core) reported(token int32) {
	if token == eventToken {
		c.eventsAt = 0
		return
	}
	for _, ch := range c.links {
		if ch.token == token {
			ch.ready = true
		}
	}
}

// readLinks takes what the peer has sent.
func (c *core) readLinks() {
	for _, ch := range c.links {
		for n := 0; n < turnBatches && ch.ready; n++ {
			c.readLink(ch)
		}
	}
}

func (c *core) readLink(ch *channel) {
	more, err := ch.open.Read(&c.batch)
	c.receive(ch, &c.batch)
	if err == nil && !more {
		ch.ready = false
		err = c.in.poller.arm(ch.open.FD(), ch.token)
	}
	if err != nil {
		ch.ready = false
		ch.failed <- err
	}
}

func (c *core) runCalls() {
	for range turnCalls {
		select {
		case f := <-c.in.calls:
			f(c)
		default:
			return
		}
	}
}

// nextTick lets the session do what is due and returns how long the loop may sleep.
func (c *core) nextTick() time.Duration {
	now := c.now()
	c.reportLacks(now)
	sleep := min(max(c.eventsAt-now, 0), int64(time.Second))
	if len(c.in.calls) > 0 || slices.ContainsFunc(c.links, func(ch *channel) bool { return ch.ready }) {
		sleep = 0
	}
	if c.session == nil {
		return time.Duration(sleep)
	}
	c.reviewLinks(now)
	next := c.session.Tick(now)
	c.flushOutput()
	if c.dirty() > 0 && c.session.Room() > 0 && !c.holdsBack() {
		return 0
	}
	return time.Duration(min(max(next-now, 0), sleep))
}
