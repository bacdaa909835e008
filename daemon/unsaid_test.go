package daemon_test

import (
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
