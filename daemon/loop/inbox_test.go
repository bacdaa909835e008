package loop

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owned is what the loop of the tests owns.
type owned struct{ sum int }

// startLoop runs a loop until the test ends, or until end is called.
func startLoop(t *testing.T) (in *Inbox[*owned], end func()) {
	t.Helper()
	in, err := NewInbox[*owned]()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		defer in.Close()
		defer context.AfterFunc(ctx, in.Poller.Ring)()
		o := &owned{}
		for sleep := time.Duration(0); ctx.Err() == nil; {
			if _, err := in.Poller.Wait(sleep); err != nil {
				t.Error(err)
				return
			}
			in.Run(o, 4)
			in.Poller.Listen()
			if sleep = time.Minute; in.Waiting() || ctx.Err() != nil {
				sleep = 0
			}
		}
	})
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return in, end
}

// TestDo: calls from everywhere run one at a time, and each caller sees what its call did.
func TestDo(t *testing.T) {
	const callers, calls = 8, 200
	in, _ := startLoop(t)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range calls {
				if err := in.Do(t.Context(), func(o *owned) { o.sum++ }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	sum := 0
	if err := in.Do(t.Context(), func(o *owned) { sum = o.sum }); err != nil || sum != callers*calls {
		t.Errorf("%d calls ran (%v), want %d", sum, err, callers*calls)
	}
}

// TestDoEndsWithTheLoop: nobody waits for a call that the loop does not come to any more.
func TestDoEndsWithTheLoop(t *testing.T) {
	in, end := startLoop(t)
	if err := in.Do(t.Context(), func(*owned) {}); err != nil {
		t.Errorf("call of a running loop: %v", err)
	}
	end()
	for range 2 * queuedCalls {
		if err := in.Do(t.Context(), func(*owned) {}); err != ErrStopped {
			t.Fatalf("call of a loop that has ended: %v", err)
		}
	}
}

// TestSlices: f goes on from where it stopped, and what follows a slice runs outside the loop before the next one.
func TestSlices(t *testing.T) {
	in, _ := startLoop(t)
	var got []uint32
	step := func(_ *owned, from uint32) uint32 {
		got = append(got, from)
		return (from + 1) % 4
	}
	if err := Slices(t.Context(), in, step); err != nil || !slices.Equal(got, []uint32{0, 1, 2, 3}) {
		t.Errorf("slices from %v (%v), want 0 to 3", got, err)
	}
	got = nil
	broken := errors.New("broken")
	err := SlicesThen(t.Context(), in, step, func() error {
		// A call from here must not deadlock.
		if err := in.Do(t.Context(), func(*owned) {}); err != nil {
			return err
		}
		if len(got) == 2 {
			return broken
		}
		return nil
	})
	if err != broken || len(got) != 2 {
		t.Errorf("%d slices (%v), want the second one's error to end the walk", len(got), err)
	}
}

// TestPoll asks until the answer is yes, and no longer than its context.
func TestPoll(t *testing.T) {
	in, _ := startLoop(t)
	asked := 0
	if err := in.Poll(t.Context(), func(*owned) bool { asked++; return asked == 3 }); err != nil || asked != 3 {
		t.Errorf("asked %d times (%v), want 3", asked, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := in.Poll(ctx, func(*owned) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline's", err)
	}
}

// TestPollFor: what does not come in time is no error, unlike a caller that has left or a loop that has ended.
func TestPollFor(t *testing.T) {
	in, end := startLoop(t)
	ready := func(o *owned) bool { o.sum++; return o.sum > 3 }
	if held, err := in.PollFor(t.Context(), time.Minute, ready); !held || err != nil {
		t.Errorf("held %v: %v", held, err)
	}
	never := func(*owned) bool { return false }
	if held, err := in.PollFor(t.Context(), 10*time.Millisecond, never); held || err != nil {
		t.Errorf("in vain: held %v: %v", held, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if held, err := in.PollFor(ctx, time.Minute, never); held || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is over: held %v: %v", held, err)
	}
	end()
	if held, err := in.PollFor(t.Context(), time.Minute, never); held || !errors.Is(err, ErrStopped) {
		t.Errorf("the loop has ended: held %v: %v", held, err)
	}
}
