package daemon_test

import (
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// pairWithScripted starts ctsyncd on b and a scripted peer in the place of a's.
func pairWithScripted(t *testing.T, o options) (b *router, peer *scripted) {
	t.Helper()
	a, b := newPair(t)
	b.start(o)
	return b, newScripted(a)
}

// named fails the test unless each of words is in one of the result's names.
func named(t *testing.T, r control.CommitResult, words ...string) {
	t.Helper()
	all := strings.Join(r.Named, "\n")
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%q is not named in %q", w, r.Named)
		}
	}
}

// kind returns the i-th flow of mixture with another source port, so that several can stand side by side.
func kind(i int, port uint16) flow.Flow {
	f := mixture()[i]
	if f.Reply.DstPort == f.Orig.SrcPort {
		f.Reply.DstPort = port
	} else {
		f.Reply.DstPort = port + 3000
	}
	f.Orig.SrcPort = port
	return f
}

// The flows of mixture by what is done to them.
const (
	plainTCP = 0
	plainUDP = 1
	snatTCP  = 6
	dnatTCP  = 7
	snatTCP6 = 9
)

// bare returns f as a packet that came before the commit makes it: no translation, nothing but a start.
func bare(f flow.Flow) flow.Flow {
	f.Reply, f.Status, f.Timeout = f.Orig.Inverse(), flow.StatusConfirmed, 120
	f.Has &= flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState
	if f.Has.Is(flow.HasTCPState) {
		f.TCPState = flow.TCPSynSent
	}
	return f
}

// stranger returns a flow whose original tuple is f's reply tuple.
func stranger(f flow.Flow) flow.Flow {
	g := bare(f)
	g.Orig = f.Reply
	g.Reply = g.Orig.Inverse()
	return g
}

// TestCommitConflicts commits flows into a kernel that has something in their place.
func TestCommitConflicts(t *testing.T) {
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	same1, same2 := kind(plainTCP, 2000), kind(snatTCP, 2001)
	young := kind(plainTCP, 2002) // b's entry has seen less than the peer's
	older := kind(plainUDP, 2003) // b's entry has seen more
	byOrig := kind(snatTCP, 2004) // replaced for the original tuple
	byOrig6 := kind(snatTCP6, 2005)
	byReply := kind(dnatTCP, 2006) // replaced for the reply tuple
	byBoth := kind(snatTCP, 2007)
	fresh := kind(dnatTCP, 2008)
	byReply.Reply.SrcPort = 6006
	byReply.Reply.Src = flow.Addr{10, 3, 0, 66}

	there := []flow.Flow{
		same1, same2, bare(young), older, bare(byOrig), bare(byOrig6), stranger(byReply), bare(byBoth), stranger(byBoth),
	}
	there[0].Timeout = 300
	b.create(there)
	before := b.kernelFlows(isOurs)

	older.Status = flow.StatusConfirmed // the peer saw no answer yet
	sent := []flow.Flow{same1, same2, young, older, byOrig, byOrig6, byReply, byBoth, fresh}
	a.create(sent)
	same(t, a, b, len(sent), 20*time.Second)

	outcomes(t, b.takeover(), control.CommitResult{Created: 1, Updated: 4, Replaced: 4})
	want := map[flow.Tuple]flow.Flow{}
	for k, f := range a.kernelFlows(isOurs) {
		if k == older.Orig {
			f.Status |= flow.StatusSeenReply | flow.StatusAssured
		}
		want[k] = f
	}
	after := b.kernelFlows(func(f *flow.Flow) bool { return isOurs(f) || f.Orig.Src[0] == 10 && f.Orig.Src[1] != 255 })
	restored(t, want, after)
	for _, f := range []flow.Flow{same1, same2, young, older} {
		if before[f.Orig].ID != after[f.Orig].ID {
			t.Errorf("%v > %v was not updated in place", f.Orig.Source(), f.Orig.Destination())
		}
	}
	for _, f := range []flow.Flow{byOrig, byOrig6, byBoth} {
		if before[f.Orig].ID == after[f.Orig].ID {
			t.Errorf("%v > %v was not replaced", f.Orig.Source(), f.Orig.Destination())
		}
	}

	// The same flows once more: nothing is replaced.
	b.ctsync("request")
	b.eventually(20*time.Second, "has the peer's table", func() bool {
		return b.statistics().External.Active == uint64(len(sent))
	})
	commits := b.statistics().Commit
	b.ctsync("commit")
	s := b.statistics().Commit
	if s.Updated-commits.Updated != uint64(len(sent)) || s.Replaced != commits.Replaced || s.Failed != 0 ||
		s.Created != commits.Created {
		t.Errorf("second commit: %+v after %+v", s, commits)
	}
	b.eventually(10*time.Second, "has all in its internal cache", func() bool {
		return b.statistics().Internal.Active == uint64(len(sent))
	})
}

// TestCommitMasters restores expected flows together with, before and without their masters, and flows whose helper
// this kernel does not know.
func TestCommitMasters(t *testing.T) {
	b, peer := pairWithScripted(t, options{})
	master, child, grandchild := kind(plainTCP, 3000), kind(plainTCP, 3001), kind(plainTCP, 3002)
	child.Master, child.Has, child.Status = master.Orig, child.Has|flow.HasMaster, child.Status|flow.StatusExpected
	grandchild.Master, grandchild.Has = child.Orig, grandchild.Has|flow.HasMaster
	grandchild.Status |= flow.StatusExpected
	master.Status, master.TCPState = flow.StatusConfirmed|flow.StatusSeenReply, flow.TCPSynRecv // worth least
	orphan := kind(plainTCP, 3003)
	orphan.Master, orphan.Has = kind(plainTCP, 3999).Orig, orphan.Has|flow.HasMaster
	orphan.Status |= flow.StatusExpected
	ftp, unknown := kind(plainTCP, 3004), kind(snatTCP, 3005)
	ftp.Has, unknown.Has = ftp.Has|flow.HasHelper, unknown.Has|flow.HasHelper
	unknown.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone
	copy(ftp.Helper[:], "ftp")
	copy(unknown.Helper[:], "quux")
	both := kind(plainTCP, 3006) // lacks two things
	both.Helper, both.Master, both.Status = unknown.Helper, orphan.Master, orphan.Status
	both.Has |= flow.HasHelper | flow.HasMaster

	flows := []flow.Flow{master, child, grandchild, orphan, ftp, unknown, both}
	peer.announce(b, flows)
	r := b.takeover()
	degraded := map[string]uint64{"helper quux": 2, "master": 2}
	outcomes(t, r, control.CommitResult{Created: uint64(len(flows)), Degraded: degraded})
	named(t, r, "10.1.0.1:3003", "10.1.0.7:3005", "10.1.0.1:3006", "without its helper quux", "without its master")

	got := b.kernelFlows(isOurs)
	for _, f := range flows {
		if _, ok := got[f.Orig]; !ok {
			t.Errorf("%v > %v is not restored", f.Orig.Source(), f.Orig.Destination())
		}
	}
	for c, m := range map[*flow.Flow]flow.Flow{&child: master, &grandchild: child} {
		g := got[c.Orig]
		if !g.Has.Is(flow.HasMaster) || g.Master != m.Orig || g.Status&flow.StatusExpected == 0 {
			t.Errorf("%v is not bound to its master: %+v", c.Orig.Source(), g)
		}
	}
	if g := got[ftp.Orig]; flow.CString(g.Helper[:]) != "ftp" {
		t.Errorf("helper %q, want ftp", g.Helper)
	}
	if g := got[unknown.Orig]; g.Reply != unknown.Reply || g.TCPState != flow.TCPEstablished {
		t.Errorf("flow without its helper: %+v", g)
	}
}

// TestCommitOnto commits a second time flows that carry what an update cannot change or this kernel does not keep.
func TestCommitOnto(t *testing.T) {
	b, peer := pairWithScripted(t, options{})
	master, child, labelled := kind(plainTCP, 3100), kind(plainTCP, 3101), kind(plainUDP, 3102)
	child.Master, child.Has, child.Status = master.Orig, child.Has|flow.HasMaster, child.Status|flow.StatusExpected
	labelled.Labels, labelled.Has = [16]byte{1}, labelled.Has|flow.HasLabels
	labelled.Mark, labelled.Has = 9, labelled.Has|flow.HasMark
	flows := []flow.Flow{master, child, labelled}
	late := bare(child) // somebody's packet came before the commit: no longer the expected flow
	b.create([]flow.Flow{late, bare(labelled)})
	peer.announce(b, flows)
	r := b.takeover()
	outcomes(t, r, control.CommitResult{Created: 1, Updated: 2, Degraded: map[string]uint64{"labels": 1, "master": 1}})
	got := b.kernelFlows(isOurs)
	if g := got[labelled.Orig]; g.Mark != 9 || g.Status&flow.StatusAssured == 0 {
		t.Errorf("entry without room for labels: %+v", g)
	}
	if g := got[child.Orig]; g.TCPState != flow.TCPEstablished || g.Status&flow.StatusAssured == 0 {
		t.Errorf("entry without master: %+v", g)
	}
	peer.announce(b, flows)
	if out := b.ctsync("commit"); !strings.Contains(out, "3 flows committed, 0 expired, 0 failed") {
		t.Errorf("second commit: %s", out)
	}
}

// TestCommitSkipsExpired commits flows whose time was up before the takeover.
func TestCommitSkipsExpired(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, options{})
	closing, silent := kind(plainTCP, 4000), kind(plainUDP, 4001)
	busy, lasting := kind(plainTCP, 4002), kind(plainTCP, 4003)
	closing.TCPState, closing.Timeout = flow.TCPTimeWait, 2
	silent.Timeout = 2
	busy.Timeout = 2
	peer.announce(b, []flow.Flow{closing, silent, busy, lasting})
	time.Sleep(3 * time.Second)

	// The peer speaks until now, so traffic may have refreshed what traffic can refresh.
	if out := b.ctsync("commit"); !strings.Contains(out, "3 flows committed, 1 expired, 0 failed") {
		t.Errorf("commit beside a peer that is heard: %s", out)
	}
	if _, ok := b.kernelFlows(isOurs)[closing.Orig]; ok {
		t.Error("a connection whose timeout had passed is restored")
	}
	b.flushKernel()
	peer.stop()
	time.Sleep(3 * time.Second)
	outcomes(t, b.takeover(), control.CommitResult{Created: 1, Expired: 3})
	got := b.kernelFlows(isOurs)
	if g, ok := got[lasting.Orig]; len(got) != 1 || !ok || g.Timeout >= 596 {
		t.Errorf("restored: %+v", got)
	}
}

// TestStaleBehindReplyTuple ends a flow without an event and makes another whose reply tuple is the same as its
// original one: a look-up in the kernel then finds the wrong entry.
func TestStaleBehindReplyTuple(t *testing.T) {
	t.Parallel()
	_, b := newPair(t)
	b.ns.Sysctl(t, "net.netfilter.nf_conntrack_events", "0")
	b.start(options{})
	f := kind(dnatTCP, 5000)
	s := stranger(f)
	b.create([]flow.Flow{s})
	b.ctsync("resync")
	b.delete([]flow.Flow{s})
	b.create([]flow.Flow{f})
	b.ctsync("resync")
	if got := b.cached("internal"); len(got) != 1 || !strings.Contains(got[0], "sport=5000") {
		t.Errorf("internal cache: %q", got)
	}
}
