package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// client returns a control client of r's daemon. A unix socket is reached by its path from any network namespace.
func (r *router) client() *control.Client {
	c := control.New(r.socket())
	r.t.Cleanup(c.Close)
	return c
}

// transitions returns what r's daemon recorded, oldest first.
func (r *router) transitions() (ts []control.Transition) {
	r.t.Helper()
	r.unmarshal(&ts, "show", "transitions", "--json")
	return ts
}

// notify says args to r's daemon as keepalived would and returns the record once it has its outcome.
func (r *router) notify(args ...string) control.Transition {
	r.t.Helper()
	var said struct{ Transition *control.Transition }
	r.unmarshal(&said, append([]string{"--json", "notify"}, args...)...)
	if said.Transition == nil {
		r.t.Fatalf("notify %v: parked although the daemon is there", args)
	}
	return r.outcome(said.Transition.ID)
}

// outcome waits for the end of a transition.
func (r *router) outcome(id uint64) (t control.Transition) {
	r.t.Helper()
	r.eventually(30*time.Second, fmt.Sprintf("ends transition %d", id), func() bool {
		for _, t = range r.transitions() {
			if t.ID == id {
				return t.Outcome != control.OutcomeRunning
			}
		}
		return false
	})
	return t
}

// takeover makes r master and returns the result of the commit.
func (r *router) takeover() control.CommitResult {
	r.t.Helper()
	t := r.notify("master", "syncgrp")
	if t.Outcome != control.OutcomeDone || t.Commit == nil {
		r.t.Fatalf("takeover: %+v", t)
	}
	return *t.Commit
}

// outcomes compares the counts of a commit; the total is their sum.
func outcomes(t *testing.T, got, want control.CommitResult) {
	t.Helper()
	want.Total = want.Created + want.Updated + want.Replaced + want.Expired + want.Filtered + want.Failed
	type counts struct{ total, created, updated, replaced, expired, filtered, failed uint64 }
	of := func(r control.CommitResult) counts {
		return counts{r.Total, r.Created, r.Updated, r.Replaced, r.Expired, r.Filtered, r.Failed}
	}
	if of(got) != of(want) {
		t.Errorf("commit: %+v, want %+v (errors %v, named %q)", of(got), of(want), got.Errors, got.Named)
	}
	if fmt.Sprint(got.Errors) != fmt.Sprint(want.Errors) || fmt.Sprint(got.Degraded) != fmt.Sprint(want.Degraded) {
		t.Errorf("commit: errors %v degraded %v, want %v %v (named %q)", got.Errors, got.Degraded, want.Errors, want.Degraded, got.Named)
	}
}

// useLabels adds the rule without which a kernel keeps no labels. It also turns conntrack on, so that the sync
// channel's own flows are tracked.
func (r *router) useLabels() {
	r.t.Helper()
	nstest.RequireCommand(r.t, "nft", "nftables")
	r.ns.Run(r.t, "nft", "add table ip labels; add chain ip labels c { type filter hook output priority 0; }; add rule ip labels c ip daddr 203.0.113.1 ct label set 1")
}

// manyKinds returns n flows that cycle through the kinds of mixture, each with its own addresses, some with a mark, a
// zone or labels, and the TCP ones in several states.
func manyKinds(n int) []flow.Flow {
	kinds := mixture()
	flows := make([]flow.Flow, n)
	for i := range flows {
		f := kinds[i%len(kinds)]
		round := uint16(i / len(kinds))
		f.Orig.SrcPort += round * 16
		f.Reply.DstPort += round * 16
		if f.Orig.Proto.IsICMP() {
			f.Reply.SrcPort, f.Reply.DstPort = f.Orig.SrcPort, f.Orig.Inverse().DstPort
		}
		f.Timeout += uint32(round)
		switch i % 7 {
		case 1:
			f.Mark, f.Has = uint32(i), f.Has|flow.HasMark
		case 3:
			f.Orig.Zone, f.Reply.Zone = 7, 7
		case 5:
			f.Labels, f.Has = [16]byte{1: 0x10, 15: 0x80}, f.Has|flow.HasLabels
		}
		if f.Has.Is(flow.HasTCPState) {
			f.TCPState = []uint8{flow.TCPEstablished, flow.TCPEstablished, flow.TCPFinWait, flow.TCPCloseWait}[round%4]
		}
		flows[i] = f
	}
	return flows
}

// restored checks that got has every flow of want as it should be after a commit.
func restored(t *testing.T, want, got map[flow.Tuple]flow.Flow) {
	t.Helper()
	const status = flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed | flow.StatusSrcNAT | flow.StatusDstNAT
	for k, w := range want {
		g, ok := got[k]
		name := fmt.Sprintf("%v %v > %v zone %d", k.Proto, k.Source(), k.Destination(), k.Zone)
		if !ok {
			t.Errorf("%s is not restored", name)
			continue
		}
		if g.Reply != w.Reply || g.Mark != w.Mark || g.Labels != w.Labels || g.TCPState != w.TCPState ||
			g.Status&status != w.Status&status {
			t.Errorf("%s: %+v\nwant %+v", name, g, w)
		}
		if g.Timeout > w.Timeout+1 || g.Timeout+60 < w.Timeout {
			t.Errorf("%s: timeout %d, had %d", name, g.Timeout, w.Timeout)
		}
		if k.Proto == flow.TCP && (g.TCPFlags[0]&g.TCPFlags[1]&flow.TCPFlagBeLiberal == 0) {
			t.Errorf("%s: not be-liberal: flags %#x", name, g.TCPFlags)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d flows, want %d", len(got), len(want))
	}
}

// TestTakeover moves 1000 flows of all kinds from A to B and back, by the words of both sorts of keepalived scripts.
func TestTakeover(t *testing.T) {
	const n = 1000
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.useLabels()
		r.start(options{})
	}
	a.create(manyKinds(n))
	same(t, a, b, n, 20*time.Second)
	want := a.kernelFlows(isOurs)
	special := map[string]bool{}
	for k, f := range want {
		special["zone"] = special["zone"] || k.Zone == 7
		special["mark"] = special["mark"] || f.Mark != 0
		special["labels"] = special["labels"] || f.Labels[15] == 0x80
	}
	if len(want) != n || !special["zone"] || !special["mark"] || !special["labels"] {
		t.Fatalf("the kernel of a has %d flows, with %v", len(want), special)
	}
	events := b.statistics().Kernel.Events

	outcomes(t, b.takeover(), control.CommitResult{Created: n})
	restored(t, want, b.kernelFlows(isOurs))
	s := b.statistics()
	if s.Internal.Active != n || s.External.Active != 0 || s.Commit.Created != n || s.Commit.Commits != 1 {
		t.Errorf("after the takeover: internal %d, external %d, commits %+v", s.Internal.Active, s.External.Active, s.Commit)
	}
	if got := s.Kernel.Events - events; got > 50 {
		t.Errorf("%d events arrived, those of the own commit must not", got)
	}
	same(t, b, a, n, 20*time.Second)
	if role := b.status().Role; role != control.RoleMaster {
		t.Errorf("role %q", role)
	}

	// keepalived says it again, in the words that it appends to a generic script.
	again := b.notify("GROUP", `"syncgrp"`, "MASTER", "100")
	if again.Outcome != control.OutcomeRepeated || again.Priority != 100 || again.Group != "syncgrp" {
		t.Errorf("repeated: %+v", again)
	}
	restored(t, want, b.kernelFlows(isOurs))

	// A's kernel has them all: the takeover back changes them in place.
	before := a.kernelFlows(isOurs)
	back := a.notify("GROUP", `"syncgrp"`, "MASTER", "100")
	if back.Commit == nil {
		t.Fatalf("takeover by a generic script: %+v", back)
	}
	outcomes(t, *back.Commit, control.CommitResult{Updated: n})
	after := a.kernelFlows(isOurs)
	restored(t, want, after)
	for k, f := range before {
		if after[k].ID != f.ID {
			t.Errorf("%v > %v was replaced", k.Source(), k.Destination())
		}
	}
	a.clean()
	b.clean()
}

// TestTakeoverIsVerified: a takeover does not read the kernel's table, but that is made up for soon, and finds nothing.
func TestTakeoverIsVerified(t *testing.T) {
	t.Parallel()
	const n = 100
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.useLabels()
		r.start(options{extra: "sweep-interval = \"1h\"\n"})
	}
	a.create(manyKinds(n))
	same(t, a, b, n, 20*time.Second)
	before := b.statistics().Kernel
	outcomes(t, b.takeover(), control.CommitResult{Created: n})
	if k := b.statistics().Kernel; k.Repairs != before.Repairs {
		t.Errorf("the takeover waited for %d comparisons with the kernel", k.Repairs-before.Repairs)
	}
	same(t, b, a, n, 20*time.Second)
	b.eventually(20*time.Second, "compares its cache with the kernel", func() bool {
		return b.statistics().Kernel.Repairs > before.Repairs
	})
	if k := b.statistics().Kernel; k.Repaired != before.Repaired {
		t.Errorf("%d differences after the takeover", k.Repaired-before.Repaired)
	}
}

// TestLateEndsDoNotEndRestoredFlows: b learns that its own flows have ended only after it was asked to restore some of
// them. These have started over.
func TestLateEndsDoNotEndRestoredFlows(t *testing.T) {
	const n, other = 500, 20000
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.start(options{extra: "sweep-interval = \"1h\"\n"})
	}
	all := testFlows(other + n)
	b.create(all)
	a.create(all[other:])
	b.eventually(30*time.Second, "has all flows", func() bool {
		s := b.statistics()
		return s.Internal.Active == other+n && s.External.Active == n && s.Session.Waiting == 0 &&
			s.Session.Unacknowledged == 0
	})
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.delete(all)
	done := make(chan control.CommitResult)
	go func() { done <- b.takeover() }()
	time.Sleep(500 * time.Millisecond) // the word waits in the socket of b
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	outcomes(t, <-done, control.CommitResult{Created: n})
	inStep(t, b, a, 5*time.Second)
}

// TestTimeoutsAreAged commits flows some seconds after they were announced.
func TestTimeoutsAreAged(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	flows := mixture()
	a.create(flows)
	same(t, a, b, len(flows), 20*time.Second)
	time.Sleep(5 * time.Second)
	outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(flows))})
	for k, f := range b.kernelFlows(isOurs) {
		if f.Timeout >= 596 || f.Timeout < 560 {
			t.Errorf("%v > %v: timeout %d after 5 s of 600", k.Source(), k.Destination(), f.Timeout)
		}
	}
}

// TestCommitKeepsServing commits 50 000 flows while flows are born in the same kernel and the daemon is asked for its
// status all the time.
func TestCommitKeepsServing(t *testing.T) {
	const n, own = 50000, 5000
	a, b := newPair(t)
	b.start(options{extra: "sync-queue-size = 4\n"})
	a.start(options{extra: "sync-queue-size = 4\n"})
	a.create(testFlows(n))
	b.eventually(30*time.Second, "has all flows", func() bool { return b.statistics().External.Active == n })

	fresh := make([]flow.Flow, own)
	for i := range fresh {
		fresh[i] = testFlow(2*n + i)
	}
	client := b.client()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var slowest time.Duration
	asked := 0
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			began := time.Now()
			if _, err := client.Status(context.Background()); err != nil {
				t.Error(err)
				return
			}
			slowest = max(slowest, time.Since(began))
			asked++
			time.Sleep(time.Millisecond)
		}
	})
	var createErr error
	wg.Go(func() {
		errs := make([]unix.Errno, own)
		for i := 0; i < own && createErr == nil; i += 100 {
			createErr = b.kern.Create(fresh[i:i+100], errs[i:])
			time.Sleep(2 * time.Millisecond)
		}
	})
	result := b.takeover()
	close(done)
	wg.Wait()
	if createErr != nil {
		t.Fatal(createErr)
	}
	outcomes(t, result, control.CommitResult{Created: n})
	t.Logf("commit of %d flows took %v; status asked %d times, slowest %v", n, result.Duration, asked, slowest)
	if slowest > 500*time.Millisecond || asked < 5 {
		t.Errorf("status asked %d times, slowest answer after %v", asked, slowest)
	}
	nstest.Eventually(t, 20*time.Second, func() bool { return b.statistics().Internal.Active == n+own }, func() string {
		return fmt.Sprintf("internal cache has all: %+v", b.statistics().Internal)
	})
	if s := b.statistics().Kernel; s.Overruns != 0 || s.Events > own+50 {
		t.Errorf("%d overruns, %d events for %d flows", s.Overruns, s.Events, own)
	}
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Errorf("errors in the log:\n%s", b.log)
	}
}

// TestFlowsAnnouncedDuringTakeover makes flows on a all through the takeover of b. Each is restored, or waits in the
// external cache because it was announced afterwards.
func TestFlowsAnnouncedDuringTakeover(t *testing.T) {
	const n, late = 30000, 6000
	a, b := newPair(t)
	b.start(options{extra: "sync-queue-size = 4\n"})
	a.start(options{extra: "sync-queue-size = 4\n"})
	a.create(testFlows(n))
	b.eventually(30*time.Second, "has all flows", func() bool { return b.statistics().External.Active == n })
	fresh := make([]flow.Flow, late)
	for i := range fresh {
		fresh[i] = testFlow(n + i)
	}
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		errs := make([]unix.Errno, late)
		for i := 0; i < late && err == nil; i += 100 {
			err = a.kern.Create(fresh[i:i+100], errs[i:])
			time.Sleep(5 * time.Millisecond)
		}
	})
	result := b.takeover()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	var kernel int
	var external uint64
	nstest.Eventually(t, 20*time.Second, func() bool {
		kernel, external = len(b.kernelFlows(isTestFlow)), b.statistics().External.Active
		return uint64(kernel)+external >= n+late
	}, func() string {
		return fmt.Sprintf("%d in the kernel and %d in the external cache make %d: %+v", kernel, external, n+late, result)
	})
	t.Logf("%d restored, %d announced after the takeover", kernel, external)
	if result.Failed != 0 || result.Total != uint64(kernel) || result.Total != result.Created+result.Updated {
		t.Errorf("commit: %+v", result)
	}
}
