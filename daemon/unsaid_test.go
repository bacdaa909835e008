package daemon_test

import (
	"strings"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// What a peer leaves out of a flow.

// TestPeerWithoutTimeouts: a conntrackd with CommitTimeout tells no timeouts. A flow is then restored with the one that
// this kernel gives to its protocol and state, by a commit as well as by injection.
func TestPeerWithoutTimeouts(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]string{"commit": "", "inject": "disable-external-cache = true\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newPair(t)
			b.ns.Sysctl(t, "net.netfilter.nf_conntrack_tcp_timeout_established", "7777")
			b.ns.Sysctl(t, "net.netfilter.nf_conntrack_udp_timeout_stream", "333")
			b.ns.Sysctl(t, "net.netfilter.nf_conntrack_udp_timeout", "222")
			b.start(options{extra: extra})
			a.startConntrackd(options{timeout: 1800})
			all := mixture()
			closing := kind(plainTCP, 4001)
			closing.TCPState, closing.Timeout = flow.TCPFinWait, 120
			single := kind(plainUDP, 4002)
			single.Status = flow.StatusConfirmed
			all = append(all, closing, single)
			a.create(all)
			if extra == "" {
				same(t, a, b, len(all), 20*time.Second)
				if c := b.takeover(); c.Created != uint64(len(all)) {
					t.Errorf("commit: %+v", c)
				}
			} else {
				b.eventually(20*time.Second, "has the flows", func() bool { return len(b.kernelFlows(isOurs)) == len(all) })
			}
			got := b.kernelFlows(isOurs)
			want := func(f *flow.Flow, timeout uint32) {
				t.Helper()
				if have := got[f.Orig].Timeout; have > timeout || have+30 < timeout {
					t.Errorf("%s: timeout %d, want %d", flowText(f), have, timeout)
				}
			}
			want(&all[0], 7777)
			want(&all[1], 333)
			want(&closing, 120)
			want(&single, 222)
			want(&all[2], 30) // an echo
		})
	}
}

// TestPeerLeavesOut: a TCP flow without a state, one without a status, and an expectation without a timeout.
func TestPeerLeavesOut(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{expect: true})
	peer := newScripted(a)
	stateless, statusless, master := kind(plainTCP, 4001), kind(plainTCP, 4002), ftpMaster(0)
	stateless.Has &^= flow.HasTCPState | flow.HasTimeout
	statusless.Has &^= flow.HasStatus
	peer.announce(b, []flow.Flow{stateless, statusless, master})
	e := ftpExpectation(0)
	e.Has &^= flow.HasTimeout
	peer.expect(b, []flow.Expectation{e})
	if c := b.takeover(); c.Created != 3 || c.Expect.Created != 1 {
		t.Fatalf("commit: %+v %+v", c, c.Expect)
	}
	got := b.kernelFlows(isOurs)
	for _, f := range []flow.Flow{stateless, statusless} {
		have := got[f.Orig]
		const open = flow.StatusSeenReply | flow.StatusAssured
		if have.TCPState != flow.TCPEstablished || have.Status&open != open {
			t.Errorf("%s: state %d, status %#x", flowText(&f), have.TCPState, have.Status)
		}
	}
	if timeout := got[stateless.Orig].Timeout; timeout < 431000 {
		t.Errorf("timeout %d of a flow of which no timeout was told", timeout)
	}
	if timeout := b.kernelExpectations()[e.Expect].Timeout; timeout < 270 || timeout > 300 {
		t.Errorf("timeout %d of the expectation, want that of the helper, 300", timeout)
	}
	if !strings.Contains(b.log.since(), "the peer told no timeout of some flows") {
		t.Error("the log does not say that the peer told no timeouts")
	}
}
