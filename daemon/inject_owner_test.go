package daemon_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// TestInjectOwn has the peer announce and end flows that this router serves: they are not deleted, and their state does
// not go backwards.
func TestInjectOwn(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	ahead, behind, reopened := kind(plainTCP, 7100), kind(plainTCP, 7101), kind(plainTCP, 7102)
	ahead.TCPState, behind.TCPState, reopened.TCPState = flow.TCPFinWait, flow.TCPSynRecv, flow.TCPTimeWait
	ahead.Timeout, behind.Timeout, reopened.Timeout = 110, 50, 100
	own := []flow.Flow{ahead, behind, reopened}
	b.create(own)
	b.eventually(10*time.Second, "has its flows", func() bool { return b.statistics().Internal.Active == 3 })
	before := b.kernelFlows(isOurs)

	sent := []flow.Flow{ahead, behind, reopened}
	sent[0].TCPState, sent[0].Timeout = flow.TCPEstablished, 1000
	sent[1].TCPState, sent[1].Timeout = flow.TCPEstablished, 1000
	sent[2].TCPState, sent[2].Timeout = flow.TCPSynSent, 120
	peer.announce(b, sent)
	got := b.kernelHas(3)
	for i, want := range []uint8{flow.TCPFinWait, flow.TCPEstablished, flow.TCPSynSent} {
		g := got[sent[i].Orig]
		if g.TCPState != want || g.ID != before[sent[i].Orig].ID || i == 0 && g.Timeout > 110 || i == 1 && g.Timeout < 900 {
			t.Errorf("flow %d: %+v, want state %d", i, g, want)
		}
	}
	peer.say(b, wire.CTDestroy, sent...)
	b.eventually(10*time.Second, "lets the peer go", func() bool {
		i := b.injected()
		return i.Flows == 0 && i.Waiting == 0
	})
	if i := b.injected(); i.KeptOwn != 3 || i.Destroyed != 0 || i.Created != 0 {
		t.Errorf("counters: %+v", i)
	}
	b.kernelHas(3)
	if n := b.statistics().Internal.Active; n != 3 {
		t.Errorf("%d flows are left in the internal cache", n)
	}
}

// TestInjectBothWays has a connection whose two directions pass different routers: each takes what the other saw, and
// the end of one copy does not end the other.
func TestInjectBothWays(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	a.start(injecting)
	b.start(injecting)
	f := kind(plainTCP, 7200)
	state := func(r *router, want uint8) {
		t.Helper()
		r.eventually(20*time.Second, "follows", func() bool {
			return r.kernelFlows(isOurs)[f.Orig].TCPState == want && r.injected().Waiting == 0
		})
	}
	f.TCPState, f.Status, f.Mark, f.Has = flow.TCPSynSent, flow.StatusConfirmed, 7, f.Has|flow.HasMark
	a.create([]flow.Flow{f})
	state(b, flow.TCPSynSent)
	f.TCPState, f.Status = flow.TCPSynRecv, f.Status|flow.StatusSeenReply
	b.update([]flow.Flow{f})
	state(a, flow.TCPSynRecv)
	f.TCPState, f.Status = flow.TCPEstablished, f.Status|flow.StatusAssured
	a.update([]flow.Flow{f})
	state(b, flow.TCPEstablished)
	for _, r := range []*router{a, b} {
		if s := r.statistics(); s.Internal.Active != 1 || s.Inject.Flows != 1 {
			t.Errorf("router %s has %d flows of its own and %d of the peer", r.name, s.Internal.Active, s.Inject.Flows)
		}
		if g := r.kernelFlows(isOurs)[f.Orig]; g.Mark != 7 || g.Status&flow.StatusAssured == 0 {
			t.Errorf("router %s: %+v", r.name, g)
		}
	}

	b.delete([]flow.Flow{f})
	a.eventually(20*time.Second, "hears of it", func() bool { return a.injected().KeptOwn == 1 })
	state(a, flow.TCPEstablished)
	state(b, flow.TCPEstablished) // a has it still
	f.Status &= flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed
	f.TCPState, f.Timeout = flow.TCPClose, 10
	a.update([]flow.Flow{f})
	state(b, flow.TCPClose)
	a.delete([]flow.Flow{f})
	b.kernelHas(0)
	a.kernelHas(0)
}

// translated returns f with the status bits of its translation, which a kernel sets and without which the protocol does
// not carry it.
func translated(f flow.Flow) flow.Flow {
	if f.SNAT() {
		f.Status |= flow.StatusSrcNAT
	}
	if f.DNAT() {
		f.Status |= flow.StatusDstNAT
	}
	f.Status |= flow.StatusSrcNATDone | flow.StatusDstNATDone
	return f
}

// TestInjectConflicts injects flows in whose place something else stands.
func TestInjectConflicts(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	byOrig, byReply, taken := translated(kind(snatTCP, 7300)), translated(kind(dnatTCP, 7301)),
		translated(kind(snatTCP, 7302))
	byReply.Reply.SrcPort = 6006
	alive := taken // another translation of the same connection, with answers
	alive.Reply.DstPort++
	b.create([]flow.Flow{bare(byOrig), stranger(byReply), alive})
	b.eventually(10*time.Second, "has its flows", func() bool { return b.statistics().Internal.Active == 3 })
	peer.announce(b, []flow.Flow{byOrig, byReply, taken})
	got := b.kernelHas(3)
	if got[byOrig.Orig].Reply != byOrig.Reply || got[byReply.Orig].Reply != byReply.Reply ||
		got[taken.Orig].Reply != alive.Reply {
		t.Errorf("kernel: %+v", got)
	}
	i := b.injected()
	const alone = "another connection of this router has its tuples" // more than once when the peer announces it again
	if i.Replaced != 2 || i.Created != 2 || i.CreateFailed == 0 || i.Missing != 1 || i.Errors[alone] != i.CreateFailed ||
		!strings.Contains(i.Named[0], "10.1.0.7:7302") {
		t.Errorf("counters: %+v", i)
	}
	if why := strings.Join(b.status().Why, "\n"); !strings.Contains(why, "1 flows of the peer are refused by the kernel") {
		t.Errorf("in step although a flow is missing: %q", why)
	}
	b.delete([]flow.Flow{alive})
	b.ctsync("commit") // offers it again
	if got := b.kernelHas(3)[taken.Orig]; got.Reply != taken.Reply || b.injected().Missing != 0 {
		t.Errorf("offered again: %+v", got)
	}
}

// TestInjectMasters injects expected flows before and without their masters, flows with a helper that is not here, and
// what an old peer leaves out.
func TestInjectMasters(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	child, master, orphan := kind(plainTCP, 7400), kind(plainTCP, 7401), kind(plainTCP, 7402)
	expected := func(f *flow.Flow, m flow.Tuple) {
		f.Master, f.Has, f.Status = m, f.Has|flow.HasMaster, f.Status|flow.StatusExpected
	}
	expected(&child, master.Orig)
	expected(&orphan, kind(plainTCP, 7999).Orig)
	unknown, timeless, gre := kind(plainTCP, 7403), kind(plainUDP, 7404), kind(plainUDP, 7405)
	unknown.Has |= flow.HasHelper
	copy(unknown.Helper[:], "quux")
	timeless.Has &^= flow.HasTimeout
	gre.Orig.Proto, gre.Orig.SrcPort, gre.Orig.DstPort = flow.GRE, 0, 0
	gre.Reply = gre.Orig.Inverse()
	peer.announce(b, []flow.Flow{child, master, orphan, unknown, timeless, gre})
	got := b.kernelHas(5)
	if g := got[child.Orig]; !g.Has.Is(flow.HasMaster) || g.Master != master.Orig {
		t.Errorf("child without its master: %+v", g)
	}
	if g := got[timeless.Orig]; g.Timeout == 0 || g.Timeout > 120 { // the kernel's own
		t.Errorf("a flow without a timeout has %d s", g.Timeout)
	}
	i := b.injected()
	const keys = "GRE keys not carried by protocol v1" // more than once when the peer announces it again
	if i.Degraded["master"] == 0 || i.Degraded["helper quux"] != 1 || i.Created != 5 || i.CreateFailed == 0 ||
		i.Errors[keys] != i.CreateFailed || i.Missing != 0 {
		t.Errorf("counters: %+v", i)
	}
}

// TestInjectSweep has the peer forget flows without a word: they leave the kernel after its next complete table, unless
// they are this router's too.
func TestInjectSweep(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	kept, gone, ours := kind(plainTCP, 7500), translated(kind(snatTCP6, 7501)), kind(plainTCP, 7502)
	peer.announce(b, []flow.Flow{kept, gone, ours})
	b.kernelHas(3)
	ours.Mark, ours.Has = 3, ours.Has|flow.HasMark
	b.update([]flow.Flow{ours}) // an event
	b.eventually(10*time.Second, "has it too", func() bool { return b.statistics().Internal.Active == 1 })
	peer.mu.Lock()
	peer.table = []flow.Flow{kept}
	peer.mu.Unlock()
	b.ctsync("request")
	got := b.kernelHas(2)
	if _, ok := got[gone.Orig]; ok {
		t.Error("the ghost is still there")
	}
	b.eventually(10*time.Second, "has one left of the peer", func() bool {
		i := b.injected()
		return i.Flows == 1 && i.KeptOwn == 1 && i.Destroyed == 1
	})
}

// TestInjectTakeover moves flows to b and back. There is no commit; what the old master has left is the new one's, is
// kept like the new one keeps it, and its end is sent to nobody.
func TestInjectTakeover(t *testing.T) {
	const n = 1000
	a, b := newPair(t)
	o := injecting
	o.extra += "purge-timeout = 1\n"
	for _, r := range []*router{a, b} {
		r.useLabels()
		r.start(o)
	}
	a.notify("master", "syncgrp")
	b.notify("backup", "syncgrp")
	a.create(manyKinds(n))
	want := b.kernelHas(n)
	old, young := a, b
	for range 2 {
		r := young.notify("master", "syncgrp")
		if r.Outcome != control.OutcomeDone || r.Commit != nil || r.Inject == nil || r.Inject.Present != n ||
			r.Inject.Failed != 0 {
			t.Fatalf("takeover: %+v inject %+v", r, r.Inject)
		}
		old.notify("backup", "syncgrp")
		young.eventually(20*time.Second, "owns the flows", func() bool {
			s := young.statistics()
			return s.Internal.Active == n && s.Inject.Flows == 0
		})
		old.eventually(20*time.Second, "gave them up", func() bool {
			s := old.statistics()
			return s.Internal.Active == 0 && s.Inject.Flows == n
		})
		time.Sleep(2 * time.Second) // the purge of old comes and goes
		old.ctsync("resync")
		young.ctsync("resync")
		for _, r := range []*router{old, young} {
			got := r.kernelHas(n)
			restored(t, want, got)
			for k, f := range got {
				if f.Timeout < 500 {
					t.Fatalf("router %s: %v > %v has %d s left", r.name, k.Source(), k.Destination(), f.Timeout)
				}
			}
		}
		if s := old.statistics(); s.Internal.Active != 0 || s.Session.Sent["destroy"] != 0 {
			t.Errorf("the old master has %d flows of its own and sent %v", s.Internal.Active, s.Session.Sent)
		}
		old, young = young, old
	}
	if out := a.ctsync("show", "transitions"); !strings.Contains(out, "no commit: the kernel had 1000 flows of the peer") {
		t.Errorf("transitions:\n%s", out)
	}
	a.clean()
	b.clean()
}

// TestInjectTakeoverInTheMiddle makes b master while flows of a still arrive: all of them come into b's kernel, and
// those that were there by then are b's own.
func TestInjectTakeoverInTheMiddle(t *testing.T) {
	const n = 20000
	a, b := newPair(t)
	a.start(injecting)
	b.start(injecting)
	a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
	a.create(testFlows(n))
	r := b.notify("master", "syncgrp")
	if r.Outcome != control.OutcomeDone || r.Commit != nil || r.Inject == nil || r.Inject.Failed != 0 {
		t.Fatalf("takeover: %+v inject %+v", r, r.Inject)
	}
	b.eventually(30*time.Second, "has all in its kernel", func() bool {
		return len(b.kernelFlows(isTestFlow)) == n && b.injected().Waiting == 0
	})
	s := b.statistics()
	t.Logf("%d of %d flows were there, %d late", r.Inject.Present, n, r.Inject.Late)
	if s.Internal.Active < r.Inject.Present || s.Internal.Active+s.Inject.Flows < n {
		t.Errorf("%d flows were there, %d are b's own, %d the peer's", r.Inject.Present, s.Internal.Active, s.Inject.Flows)
	}
	a.notify("backup", "syncgrp")
	a.eventually(20*time.Second, "gave up what b has", func() bool {
		s := a.statistics()
		return s.Internal.Active+s.Inject.Flows == n && s.Inject.Waiting == 0
	})
	if len(a.kernelFlows(isTestFlow)) != n {
		t.Error("flows are missing on a")
	}
}

// TestInjectRestart restarts the router that has the other's flows in its kernel: it does not take them for its own.
// Those that ended meanwhile are not known to be the other's any more.
func TestInjectRestart(t *testing.T) {
	const n = 500
	a, b := newPair(t)
	a.start(injecting)
	b.start(injecting)
	a.create(testFlows(n))
	own := kind(plainTCP, 7600)
	b.create([]flow.Flow{own})
	b.eventually(20*time.Second, "has the flows", func() bool { return b.injected().Created == n })
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		b.stop(sig)
		b.start(injecting)
		b.eventually(20*time.Second, "gives the flows up", func() bool {
			s := b.statistics()
			return s.Internal.Active == 1 && s.Inject.Flows == n && s.Inject.Waiting == 0
		})
		a.eventually(20*time.Second, "has the one flow", func() bool { return a.injected().Flows == 1 })
		if i := a.injected(); i.Created != 1 {
			t.Errorf("b sent flows back: %+v", i)
		}
		if s := a.statistics(); s.Internal.Active != n {
			t.Errorf("a has %d flows of its own", s.Internal.Active)
		}
	}
	a.delete(testFlows(n))
	b.eventually(20*time.Second, "has its own flow alone", func() bool { return len(b.kernelFlows(isOurs)) == 1 })
}

// TestInjectSwitched switches disable-external-cache on and off while flows are there.
func TestInjectSwitched(t *testing.T) {
	const n = 600
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.create(testFlows(n))
	b.eventually(20*time.Second, "has the flows", func() bool { return b.statistics().External.Active == n })
	b.writeConfig(injecting)
	b.eventually(20*time.Second, "puts them into its kernel", func() bool {
		return b.status().Injecting && b.injected().Created == n
	})
	got := b.kernelFlows(isTestFlow)
	restored(t, a.kernelFlows(isTestFlow), got)

	a.delete(testFlows(n / 2))
	b.writeConfig(options{})
	b.eventually(20*time.Second, "has an external cache again", func() bool {
		s := b.statistics()
		return s.Inject == nil && s.External.Active == n/2
	})
	b.eventually(20*time.Second, "has nothing of them in its kernel", func() bool {
		return len(b.kernelFlows(isTestFlow)) == 0
	})
	b.ctsync("resync")
	if s := b.statistics(); s.Internal.Active != 0 || s.External.Active != n/2 {
		t.Errorf("after it was switched off: internal %+v, external %+v", s.Internal, s.External)
	}
	if len(b.status().NeedRestart) != 0 {
		t.Errorf("a restart is asked for: %v", b.status().NeedRestart)
	}
	outcomes(t, b.takeover(), control.CommitResult{Created: n / 2})
	b.eventually(20*time.Second, "owns them", func() bool { return b.statistics().Internal.Active == n/2 })
}
