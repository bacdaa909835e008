package daemon

import (
	"context"
	"errors"
	"time"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/transport"
)

// sliceSize is how many records a piece of work handles in one visit to the core loop: about a millisecond.
const sliceSize = 1000

// errStopped is what work gets when the loop has ended.
var errStopped = errors.New("daemon is stopping")

// eventBlock is a block of events with what the reader noticed before it.
type eventBlock struct {
	ctnetlink.Block
	overrun bool
	read    int64 // when, by core.now; 0 = not known
}

// inbox holds the channels into the core loop and the free lists of what travels on them, so that nothing is allocated
// per block.
type inbox struct {
	events     chan *eventBlock
	freeEvents chan *eventBlock
	batches    chan *transport.Batch
	freeBatch  chan *transport.Batch
	calls      chan func(*core)
	done       chan struct{} // closed when the loop has ended
}

// Depths of the channels: enough that a reader need not wait for a busy loop, little enough that memory stays bounded
// and the kernel's own queues (which count what they drop) take a longer overload.
const (
	eventBlocks = 128
	linkBatches = 2
)

func newInbox() *inbox {
	in := &inbox{
		events:     make(chan *eventBlock, eventBlocks),
		freeEvents: make(chan *eventBlock, eventBlocks),
		batches:    make(chan *transport.Batch, linkBatches),
		freeBatch:  make(chan *transport.Batch, linkBatches),
		calls:      make(chan func(*core)),
		done:       make(chan struct{}),
	}
	for range eventBlocks {
		in.freeEvents <- new(eventBlock)
	}
	for range linkBatches {
		in.freeBatch <- new(transport.Batch)
	}
	return in
}

// do runs f in the core loop and waits for it. f must return within about a millisecond and must not call do.
func (in *inbox) do(ctx context.Context, f func(*core)) error {
	ran := make(chan struct{})
	select {
	case in.calls <- func(c *core) { f(c); close(ran) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-in.done:
		return errStopped
	}
	<-ran
	return nil
}

// run is the core loop. It ends with ctx.
func (c *core) run(ctx context.Context) error {
	defer close(c.in.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case b := <-c.in.events:
			c.applyEvents(b)
			c.in.freeEvents <- b
		case b := <-c.in.batches:
			c.receive(b)
			c.in.freeBatch <- b
		case f := <-c.in.calls:
			f(c)
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		c.drain()
		c.transmit()
		timer.Reset(c.nextTick())
	}
}

// drain takes what else is waiting, so that one transmit run carries it all, but not for ever.
func (c *core) drain() {
	for range 32 {
		select {
		case b := <-c.in.events:
			c.applyEvents(b)
			c.in.freeEvents <- b
		case b := <-c.in.batches:
			c.receive(b)
			c.in.freeBatch <- b
		default:
			return
		}
	}
}

// nextTick lets the session do what is due and returns how long the loop may sleep.
func (c *core) nextTick() time.Duration {
	now := c.now()
	if c.session == nil {
		return time.Second
	}
	next := c.session.Tick(now)
	c.flushOutput()
	if c.dirty() > 0 && c.session.Room() > 0 {
		return 0
	}
	return min(max(time.Duration(next-now), 0), time.Second)
}
