package daemon_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/notify"
)

// said delivers a notification with times of the test's choice and returns the daemon's answer.
func (r *router) said(n control.Notification) control.Transition {
	r.t.Helper()
	n.At, n.Source = time.Now(), notify.SourceNotify
	t, err := r.client().Notify(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// TestNotificationsThatDoNotCount are reported, recorded, and change nothing.
func TestNotificationsThatDoNotCount(t *testing.T) {
	_, b := newPair(t)
	b.start(options{})
	for _, tt := range []struct {
		args    []string
		outcome string
	}{
		{[]string{"master", "othergrp"}, "ignored: group othergrp is not sync-group syncgrp"},
		{[]string{"GROUP", `"othergrp"`, "MASTER", "100"}, "ignored: group othergrp is not sync-group syncgrp"},
		{[]string{"INSTANCE", "syncgrp", "MASTER", "100"}, "ignored: instance syncgrp is not sync-group syncgrp"},
		{[]string{"GROUP", "syncgrp", "MASTER_RX_LOWER_PRI", "100"}, "ignored: MASTER_RX_LOWER_PRI is no change of role"},
	} {
		if out := b.ctsync(append([]string{"notify"}, tt.args...)...); !strings.Contains(out, tt.outcome) {
			t.Errorf("notify %v says %q", tt.args, out)
		}
		ts := b.transitions()
		if last := ts[len(ts)-1]; last.Outcome != tt.outcome || !last.Started.IsZero() || last.Commit != nil {
			t.Errorf("notify %v is recorded as %+v", tt.args, last)
		}
		b.eventually(5*time.Second, "reports it", func() bool { return strings.Contains(b.log.String(), tt.outcome) })
	}
	if s := b.status(); s.Role != control.RoleUnknown || b.statistics().Commit.Commits != 0 {
		t.Errorf("role %q, commits %+v", s.Role, b.statistics().Commit)
	}

	// Scripts overtake each other: what counts is when keepalived spoke.
	now := control.Boottime()
	group := control.Notification{Type: control.TypeGroup, Name: "syncgrp"}
	later, earlier := group, group
	later.State, later.Boottime = control.StateMaster, now
	earlier.State, earlier.Boottime = control.StateBackup, now-1
	if got := b.outcome(b.said(later).ID); got.Outcome != control.OutcomeDone {
		t.Errorf("the later one: %+v", got)
	}
	if got := b.said(earlier); got.Outcome != control.OutcomeSuperseded {
		t.Errorf("the earlier one: %+v", got)
	}
	if s := b.status(); s.Role != control.RoleMaster {
		t.Errorf("role %q", s.Role)
	}
}

// TestPurge leaves the role of the master by each notification that ends it. b has purge-timeout 2 s.
func TestPurge(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, options{extra: "purge-timeout = 2\n"})
	served := mixture()
	own := kind(plainTCP, 22)
	own.Orig.Dst = flow.AddrFrom(b.addr)
	own.Reply = own.Orig.Inverse()
	out := kind(plainUDP, 123)
	out.Orig.Src = flow.AddrFrom(b.addr)
	out.Reply = out.Orig.Inverse()
	alone := kind(plainTCP, 23) // nobody else serves it: the other router did not announce it
	b.create(append(slices.Clone(served), own, out, alone))
	b.eventually(10*time.Second, "hears its peer", func() bool { return b.status().Established })
	shortened := func() (n int) {
		for _, f := range served {
			var g flow.Flow
			if err := b.kern.Get(&f.Orig, flow.Original, &g); err != nil {
				t.Fatal(err)
			}
			if g.Timeout <= 10 {
				n++
			}
		}
		return n
	}
	for _, word := range []string{"backup", "fault", "stop"} {
		b.takeover()
		peer.announce(b, append(slices.Clone(served), own, out)) // as it does when it takes over
		before := peer.asked()
		if got := b.notify(word, "syncgrp"); got.Outcome != control.OutcomeDone {
			t.Errorf("%s: %+v", word, got)
		}
		if n := shortened(); n != 0 {
			t.Errorf("%s: %d timers are shortened before purge-timeout", word, n)
		}
		b.eventually(10*time.Second, "purges after "+word, func() bool { return shortened() == len(served) })
		for _, f := range []flow.Flow{own, out, alone} {
			var g flow.Flow
			if err := b.kern.Get(&f.Orig, flow.Original, &g); err != nil || g.Timeout < 500 {
				t.Errorf("%s: a flow that nobody else serves: %v, timeout %d", word, err, g.Timeout)
			}
		}
		if word == "backup" {
			b.eventually(5*time.Second, "asks for the peer's table", func() bool { return peer.asked() > before })
		}
		b.update(served) // back to their whole time
	}

	// A router that is master again within purge-timeout keeps everything.
	b.takeover()
	b.notify("backup", "syncgrp")
	b.takeover()
	time.Sleep(3 * time.Second)
	if n := shortened(); n != 0 {
		t.Errorf("%d timers of the master are shortened", n)
	}
}

// TestTransitionsOverRestart stops the daemon in each role and notifies it of changes while it is away.
func TestTransitionsOverRestart(t *testing.T) {
	_, b := newPair(t)
	b.start(options{})
	b.takeover()
	b.stop(syscall.SIGTERM)
	b.start(options{})
	if s := b.status(); s.Role != control.RoleMaster || s.LastTransition == nil ||
		s.LastTransition.Outcome != control.OutcomeDone {
		t.Errorf("after a restart: role %q, last %+v", s.Role, s.LastTransition)
	}

	b.stop(syscall.SIGKILL) // the socket stays behind
	for _, word := range []string{"backup", "master", "fault"} {
		if out := b.ctsync("notify", word, "syncgrp"); !strings.Contains(out, "parked") {
			t.Errorf("notify %s without a daemon says %q", word, out)
		}
	}
	b.start(options{})
	ts := b.transitions()
	last := b.outcome(ts[len(ts)-1].ID)
	if len(ts) != 4 || last.State != control.StateFault || last.Outcome != control.OutcomeDone ||
		!strings.Contains(last.Source, notify.SourceParked) {
		t.Errorf("parked: %d transitions, last %+v", len(ts), last)
	}
	if s := b.status(); s.Role != control.RoleFault {
		t.Errorf("role %q after parked notifications", s.Role)
	}
	b.stop(syscall.SIGTERM)
	b.start(options{})
	if got := b.transitions(); len(got) != 4 || got[3].ID != last.ID {
		t.Errorf("parked notifications are carried out twice: %+v", got)
	}

	other := control.Notification{Type: control.TypeGroup, Name: "othergrp", State: control.StateMaster}
	for range 120 {
		last = b.said(other)
	}
	before := b.transitions()
	b.stop(syscall.SIGTERM)
	b.start(options{})
	after := b.transitions()
	if len(before) != 100 || len(after) != 100 || after[99].ID != last.ID || after[0].ID != before[0].ID {
		t.Errorf("%d transitions before and %d after a restart, want the last 100", len(before), len(after))
	}
	if s := b.status(); s.Role != control.RoleFault {
		t.Errorf("role %q: 100 notifications of others made it forgotten", s.Role)
	}
}

// TestParkedMaster is notified that it is master while its daemon is away and the other router still runs: the flows of
// that router are restored although they arrive only after the start.
func TestParkedMaster(t *testing.T) {
	a, b := newPair(t)
	a.start(options{})
	flows := mixture()
	a.create(flows)
	b.writeConfig(options{})
	b.ctsync("notify", "master", "syncgrp")
	b.start(options{})
	ts := b.transitions()
	got := b.outcome(ts[len(ts)-1].ID)
	if got.Commit == nil {
		t.Fatalf("parked: %+v", got)
	}
	outcomes(t, *got.Commit, control.CommitResult{Created: uint64(len(flows))})
	restored(t, a.kernelFlows(isOurs), b.kernelFlows(isOurs))
}

// TestTakeoverCutShort kills the daemon in a takeover: its next run does it again.
func TestTakeoverCutShort(t *testing.T) {
	a, b := newPair(t)
	a.start(options{})
	flows := mixture()
	a.create(flows)
	b.start(options{})
	b.takeover()
	b.stop(syscall.SIGKILL)
	b.flushKernel()
	path := filepath.Join(b.dir, "transitions.json")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Replace(string(file), `"outcome": "done"`, `"outcome": "running"`, 1)
	if err := os.WriteFile(path, []byte(cut), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(options{})
	if got := b.outcome(1); got.Outcome != control.OutcomeDone {
		t.Errorf("takeover after the restart: %+v", got)
	}
	restored(t, a.kernelFlows(isOurs), b.kernelFlows(isOurs))
}

// TestNotifyReturnsQuickly measures the program that keepalived starts, daemon up and away.
func TestNotifyReturnsQuickly(t *testing.T) {
	_, b := newPair(t)
	b.start(options{})
	measure := func(when string) {
		var took []time.Duration
		for i := range 20 {
			began := time.Now()
			args := []string{"--socket", b.socket(), "notify", []string{"backup", "fault"}[i%2], "syncgrp"}
			if out, err := exec.Command(filepath.Join(binDir, "ctsync"), args...).CombinedOutput(); err != nil {
				t.Fatalf("daemon %s: %v: %s", when, err, out)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("daemon %s: median %v, slowest %v", when, took[len(took)/2], took[len(took)-1])
		if took[len(took)/2] > 500*time.Millisecond {
			t.Errorf("daemon %s: notify took %v", when, took)
		}
	}
	measure("up")
	b.stop(syscall.SIGTERM)
	measure("away")
}
