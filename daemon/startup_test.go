package daemon_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartupResyncLatePeer starts the peer's conntrackd 5 s after ctsyncd, and a second one after the first has died
// with our request: conntrackd announces what it found in its kernel only when it is asked, and never asks by itself
// whether it has been.
func TestStartupResyncLatePeer(t *testing.T) {
	const n = 200
	a, b := newPair(t)
	a.create(testFlows(n)) // older than its conntrackd, which raises no event of them
	b.start(options{})
	time.Sleep(5 * time.Second)
	if why := strings.Join(b.status().Why, "\n"); !strings.Contains(why, "the peer has not been heard") {
		t.Errorf("alone: %s", why)
	}
	a.startConntrackd(options{})
	same(t, a, b, n, 30*time.Second)
	inStepWith(b)

	// The peer dies with the request unread, and what comes next is another run of it.
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.ctsync("flush", "external")
	b.ctsync("request")
	b.eventually(10*time.Second, "misses its peer", func() bool {
		why := strings.Join(b.status().Why, "\n")
		return strings.Contains(why, "silent") && strings.Contains(why, "has been asked for and is not complete")
	})
	a.stop(syscall.SIGKILL)
	if n := b.statistics().External.Active; n != 0 {
		t.Errorf("%d flows came from a peer that did nothing", n)
	}
	a.startConntrackd(options{})
	same(t, a, b, n, 30*time.Second)
	inStepWith(b)
}

// inStepWith waits until r says that it is in step with whatever its peer is.
func inStepWith(r *router) {
	r.t.Helper()
	r.eventually(30*time.Second, "is in step", func() bool { return r.status().InStep })
}

// TestStartupResyncOff restarts a daemon beside a peer that holds flows: without startup-resync it asks for nothing.
// (Of a peer that has only just started it asks in any case: what was known of its former run may be out of date.)
func TestStartupResyncOff(t *testing.T) {
	const n = 200
	a, b := newPair(t)
	a.startConntrackd(options{})
	b.start(options{})
	a.create(testFlows(n))
	same(t, a, b, n, 20*time.Second)
	b.stop(syscall.SIGKILL)
	b.start(options{extra: "startup-resync = false\n"})
	b.eventually(20*time.Second, "hears its peer", func() bool { return b.status().Established })
	time.Sleep(2 * time.Second) // a bulk would come within milliseconds
	if s := b.statistics(); s.External.Active != 0 || s.Session.Sent["resync"] != 0 {
		t.Errorf("%d flows, %d requests", s.External.Active, s.Session.Sent["resync"])
	}
	b.ctsync("request")
	same(t, a, b, n, 20*time.Second)
}

// sentFlows is how many messages about flows r has sent.
func sentFlows(r *router) uint64 {
	sent := r.statistics().Session.Sent
	return sent["new"] + sent["update"]
}

// TestOneBulkForARestart: a peer that restarts is sent the table, and asks for it; one bulk is the answer to both.
func TestOneBulkForARestart(t *testing.T) {
	const n = 5000
	a, b := newPair(t)
	a.start(options{})
	a.create(testFlows(n))
	for run := range 2 {
		before := sentFlows(a)
		b.start(options{})
		same(t, a, b, n, 30*time.Second)
		inStepWith(b)
		if got := sentFlows(a) - before; got < n || got >= 2*n { // some changes leave before the bulk
			t.Errorf("run %d of the peer: %d flows were sent", run, got)
		}
		b.stop(syscall.SIGTERM)
	}
}
