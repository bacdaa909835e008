// Package loop is one goroutine that owns a T: how it sleeps, and how others get in for a moment.
//
// The owner is a loop that waits in Poller.Wait and in no other place. It takes the calls of others between its own
// work (Inbox.Run). Long work runs in a goroutine of its own and enters the loop once per slice of at most SliceSize
// records, so that what the loop is there for is served in between.
package loop

import (
	"context"
	"errors"
	"sync"
	"time"
)

// SliceSize is how many records a piece of work handles in one visit to the loop: about a millisecond.
const SliceSize = 1000

// ErrStopped is returned to callers when the loop has ended.
var ErrStopped = errors.New("daemon is stopping")

// queuedCalls is how many calls may wait for the loop before their callers wait to queue theirs.
const queuedCalls = 16

// Inbox lets other goroutines run functions in the loop that owns a T.
type Inbox[T any] struct {
	Poller *Poller // wakes the loop; nothing but the loop waits on it

	calls chan func(T)
	done  chan struct{} // closed when the loop has ended
	once  sync.Once
}

// NewInbox returns an inbox with a poller of its own. Close it when its loop has ended, or will not run.
func NewInbox[T any]() (*Inbox[T], error) {
	p, err := NewPoller()
	if err != nil {
		return nil, err
	}
	return &Inbox[T]{Poller: p, calls: make(chan func(T), queuedCalls), done: make(chan struct{})}, nil
}

// Close says that the loop has ended, and closes the poller. Callers get ErrStopped from then on, and no late call
// rings a descriptor that is not the poller's any more. It may be called twice.
func (in *Inbox[T]) Close() {
	in.once.Do(func() { close(in.done) })
	in.Poller.Close()
}

// Done is closed when the loop has ended.
func (in *Inbox[T]) Done() <-chan struct{} { return in.done }

// Do runs f in the loop and returns when f has run. f must return within about a millisecond and must not call Do.
// The error is ctx's, while the call is still waiting for a place in the queue, or ErrStopped.
func (in *Inbox[T]) Do(ctx context.Context, f func(T)) error {
	ran := make(chan struct{})
	select {
	case <-in.done: // the queue may have room although nobody empties it
		return ErrStopped
	default:
	}
	select {
	case in.calls <- func(t T) { f(t); close(ran) }:
		in.Poller.Ring()
	case <-ctx.Done():
		return ctx.Err()
	case <-in.done:
		return ErrStopped
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
		return ErrStopped
	}
}

// Run runs at most n of the calls that wait. The loop calls it, with what it owns.
func (in *Inbox[T]) Run(t T, n int) {
	for range n {
		select {
		case f := <-in.calls:
			f(t)
		default:
			return
		}
	}
}

// Waiting reports whether calls wait for the loop.
func (in *Inbox[T]) Waiting() bool { return len(in.calls) > 0 }

// Poll asks in the loop until cond holds. What callers wait for takes network round trips, so a pause of a millisecond
// costs nothing; the pause grows to 100 ms while the answer stays no.
func (in *Inbox[T]) Poll(ctx context.Context, cond func(T) bool) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		ok := false
		if err := in.Do(ctx, func(t T) { ok = cond(t) }); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// PollFor does the same for at most a time, and reports whether cond held. The error is ctx's, or ErrStopped.
func (in *Inbox[T]) PollFor(ctx context.Context, most time.Duration, cond func(T) bool) (held bool, err error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = in.Poll(limited, cond)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// Slices runs f in the loop, each time from where it stopped, until it returns 0. The first call gets 0.
func Slices[T any, R ~uint32](ctx context.Context, in *Inbox[T], f func(t T, from R) (next R)) error {
	return SlicesThen(ctx, in, f, func() error { return nil })
}

// SlicesThen does the same and calls then outside the loop after each slice, with what f left for it. An error of then
// ends the walk.
func SlicesThen[T any, R ~uint32](
	ctx context.Context, in *Inbox[T], f func(t T, from R) (next R), then func() error,
) error {
	for from, more := R(0), true; more; {
		if err := in.Do(ctx, func(t T) { from = f(t, from) }); err != nil {
			return err
		}
		if err := then(); err != nil {
			return err
		}
		more = from != 0
	}
	return nil
}

// Signal wakes the goroutine that waits on a one-slot channel. A second signal before it wakes is the same signal.
func Signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
