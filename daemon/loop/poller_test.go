package loop

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
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
func reported(t testing.TB, p *Poller, d time.Duration) (tokens []int32) {
	t.Helper()
	events, err := p.Wait(d)
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
	if err := p.Add(r, 7); err != nil {
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
		if err := p.Arm(r, 7); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPollerDeadline: a wait ends with its deadline, whatever deadlines were set before, and sleeps until then.
func TestPollerDeadline(t *testing.T) {
	p := testPoller(t)
	for _, d := range []time.Duration{
		60 * time.Millisecond, time.Millisecond, 90 * time.Millisecond, 50 * time.Millisecond,
	} {
		start, busy, waits := time.Now(), processTime(t), 0
		for time.Since(start) < d { // a deadline that was set before may end a wait early
			reported(t, p, d-time.Since(start))
			waits++
		}
		if took := time.Since(start); took > d+10*time.Second {
			t.Errorf("waited %v, want %v", took, d)
		}
		if waits > 4 {
			t.Errorf("%d waits for one deadline of %v: it does not sleep", waits, d)
		}
		if used := processTime(t) - busy; d > 10*time.Millisecond && used > d/2 {
			t.Errorf("a wait of %v took %v of CPU time: it does not sleep", d, used)
		}
	}
}

// processTime returns the CPU time that this process has used.
func processTime(t testing.TB) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestPollerRingAfterClose: a late ring writes to nobody's descriptor, though the number of the bell is in use again.
func TestPollerRingAfterClose(t *testing.T) {
	p := testPoller(t)
	bell := p.bell
	p.Listen()
	p.Close()
	other, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if other != bell {
		if err := unix.Dup3(other, bell, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(bell)
	}
	p.Ring()
	if n, err := unix.Read(bell, make([]byte, 8)); err != unix.EAGAIN {
		t.Errorf("%d bytes were written to a descriptor that is not the poller's (%v)", n, err)
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
				p.Ring()
			}
		})
	}
	done := time.Now().Add(30 * time.Second)
	for taken := int64(0); taken < ringers*calls; {
		p.Listen()
		d := time.Minute // only a ring ends it
		if queued.Load() > 0 {
			d = 0
		}
		stop := time.AfterFunc(time.Until(done), func() { queued.Add(1); p.Ring() })
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
	if err := p.Add(r, 1); err != nil {
		t.Fatal(err)
	}
	one := []byte("x")
	for name, round := range map[string]func(){
		"look":     func() { p.Wait(0) },
		"deadline": func() { p.Wait(time.Microsecond) },
		"ring":     func() { p.Listen(); p.Ring(); p.Wait(time.Minute) },
		"readable": func() { unix.Write(w, one); p.Wait(time.Minute); p.Arm(r, 1) },
	} {
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
