package daemon_test

import (
	"strings"
	"testing"
	"time"
)

// TestResetSequences has a cache reset beside a peer of either kind. What a reset of the external cache leaves can only
// come from the peer's answer, and what is in the peer's emptied cache after one of the internal cache only from our
// bulk.
func TestResetSequences(t *testing.T) {
	const n = 100
	for _, peer := range []string{"ctsyncd", "conntrackd"} {
		t.Run("peer "+peer, func(t *testing.T) {
			a, b := newPair(t)
			b.startAs(peer, options{})
			a.start(options{})
			flows := testFlows(2 * n)
			a.create(flows[:n])
			b.create(flows[n:])
			same(t, a, b, n, 20*time.Second)
			same(t, b, a, n, 20*time.Second)

			before := a.statistics().External
			if out := a.ctsync("reset", "external-cache"); !strings.HasPrefix(out, "external cache emptied; the peer has been asked for its internal cache (") {
				t.Errorf("reset external-cache: %s", out)
			}
			same(t, b, a, n, 20*time.Second)
			if s := a.statistics().External; s.Destroyed != before.Destroyed+n || s.Created != before.Created+n {
				t.Errorf("external cache before the reset %+v, after it %+v", before, s)
			}

			if b.isConntrackd() {
				b.conntrackd("-f", "external")
			} else {
				b.ctsync("flush", "external")
			}
			internal := a.statistics().Internal
			out := a.ctsync("reset", "internal-cache")
			if !strings.HasPrefix(out, "internal cache matches the kernel, 100 flows; internal cache sent to the peer, 100 flows (") {
				t.Errorf("reset internal-cache: %s", out)
			}
			if s := a.statistics().Internal; s.Destroyed != internal.Destroyed+n || s.Active != n {
				t.Errorf("internal cache before the reset %+v, after it %+v", internal, s)
			}
			b.eventually(20*time.Second, "has the flows again", func() bool { return len(b.cache("external")) == n })
			same(t, a, b, n, 20*time.Second)
		})
	}
}
