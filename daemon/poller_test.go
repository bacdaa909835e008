package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testPoller(t testing.TB) *poller {
	t.Helper()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// testInbox returns the way into a loop that does not run yet.
func testInbox(t testing.TB) *inbox {
	t.Helper()
	in, err := newInbox()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.poller.close)
	return in
}

// pipe returns both ends of a pipe that does not block.
func pipe(t testing.TB) (read, write int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// reported waits and returns the tokens that were reported.
func reported(t testing.TB, p *poller, d time.Duration) (tokens []int32) {
	t.Helper()
	events, err := p.wait(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Fd >= 0 {
			tokens = append(tokens, e.Fd)
		}
	}
	return tokens
}

// TestPollerReportsOnce: what is readable is reported once, and again when it has been armed, also if it was readable
// all the time.
func TestPollerReportsOnce(t *testing.T) {
	p := testPoller(t)
	r, w := pipe(t)
	if err := p.add(r, 7); err != nil {
		t.Fatal(err)
	}
	if got := reported(t, p, 10*time.Millisecond); got != nil {
		t.Errorf("%v reported where nothing is to be read", got)
	}
	time.AfterFunc(10*time.Millisecond, func() { unix.Write(w, []byte("x")) })
	for round, d := range []time.Duration{time.Minute, 0} {
		if got := reported(t, p, d); len(got) != 1 || got[0] != 7 {
			t.Errorf("round %d: reported %v, want 7", round, got)
		}
		unix.Write(w, []byte("more"))
		if got := reported(t, p, 10*time.Millisecond); got != nil {
			t.Errorf("round %d: %v reported without having been armed", round, got)
		}
		if err := p.arm(r, 7); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPollerDeadline: a deadline of before does not make a later wait longer, and one that has passed not shorter.
func TestPollerDeadline(t *testing.T) {
	p := testPoller(t)
	for _, d := range []time.Duration{30 * time.Millisecond, time.Millisecond, 40 * time.Millisecond, 20 * time.Millisecond} {
		start := time.Now()
		for time.Since(start) < d { // a deadline that was set before may end a wait early
			reported(t, p, d-time.Since(start))
		}
		if took := time.Since(start); took > d+10*time.Second {
			t.Errorf("waited %v, want %v", took, d)
		}
	}
}

// TestPollerRing lets many ring while the loop waits and works: no call is left lying.
func TestPollerRing(t *testing.T) {
	const ringers, calls = 4, 2000
	p := testPoller(t)
	var queued atomic.Int64
	var all sync.WaitGroup
	for range ringers {
		all.Go(func() {
			for range calls {
				queued.Add(1)
				p.ring()
			}
		})
	}
	done := time.Now().Add(30 * time.Second)
	for taken := int64(0); taken < ringers*calls; {
		p.listen()
		d := time.Minute // only a ring ends it
		if queued.Load() > 0 {
			d = 0
		}
		stop := time.AfterFunc(time.Until(done), func() { queued.Add(1); p.ring() })
		reported(t, p, d)
		stop.Stop()
		taken += queued.Swap(0)
		if time.Now().After(done) {
			t.Fatalf("%d of %d calls were seen", taken, ringers*calls)
		}
	}
	all.Wait()
}

// TestPollerDoesNotAllocate in any of the ways in which a wait ends.
func TestPollerDoesNotAllocate(t *testing.T) {
	p := testPoller(t)
	r, w := pipe(t)
	if err := p.add(r, 1); err != nil {
		t.Fatal(err)
	}
	for name, round := range map[string]func(){
		"look":     func() { p.wait(0) },
		"deadline": func() { p.wait(time.Microsecond) },
		"ring":     func() { p.listen(); p.ring(); p.wait(time.Minute) },
		"readable": func() { unix.Write(w, []byte("x")); p.wait(time.Minute); p.arm(r, 1) },
	} {
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestDoEndsWithTheLoop: a call that the loop does not come to any more is not waited for.
func TestDoEndsWithTheLoop(t *testing.T) {
	c, _ := newTestCore()
	c.in = testInbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { c.run(ctx) })
	if err := c.in.do(t.Context(), func(*core) {}); err != nil {
		t.Errorf("call of a running loop: %v", err)
	}
	cancel()
	ended.Wait()
	for range 2 * queuedCalls {
		if err := c.in.do(t.Context(), func(*core) {}); err != errStopped {
			t.Fatalf("call of a loop that has ended: %v", err)
		}
	}
}
