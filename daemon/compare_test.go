package daemon_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestComparisonOfRealPackets: flows that packets made, not ctnetlink, are in the internal cache as the kernel's table
// has them. A comparison finds no difference and sends nothing, in IPv4 and IPv6.
func TestComparisonOfRealPackets(t *testing.T) {
	const n = 20
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.ns.Run(t, "nft", "add table inet track; add chain inet track out { type filter hook output priority 0; }; "+
			"add rule inet track out ct state new accept")
		r.start(options{})
	}
	a.eventually(10*time.Second, "is in step", func() bool { return a.status().InStep })
	a.ns.Do(func() {
		for i := range n {
			for _, to := range []string{"10.255.0.2:%d", "[fd00:ff::2]:%d"} {
				conn, err := net.Dial("udp", fmt.Sprintf(to, 20000+i))
				if err != nil {
					t.Error(err)
					return
				}
				conn.Write([]byte("x"))
				conn.Close()
			}
		}
	})
	b.eventually(10*time.Second, "has the flows", func() bool { return b.statistics().External.Active >= 2*n })
	a.eventually(10*time.Second, "has nothing unacknowledged", func() bool {
		s := a.statistics().Session
		return s.Waiting == 0 && s.Unacknowledged == 0
	})
	state := func() (repaired, sent uint64) {
		s := a.statistics()
		return s.Kernel.Repaired, s.Session.Sent["new"] + s.Session.Sent["update"]
	}
	repaired, sent := state()
	before := a.statistics().Kernel.Repairs
	if out := a.ctsync("resync"); out == "" {
		t.Error("resync says nothing")
	}
	if s := a.statistics().Kernel; s.Repairs == before {
		t.Errorf("%d comparisons, %d before", s.Repairs, before)
	}
	if r, m := state(); r != repaired || m != sent {
		t.Errorf("a comparison of a healthy router found %d differences and sent %d messages", r-repaired, m-sent)
	}
	if out := a.ctsync("show", "diff", "internal"); !strings.HasPrefix(out, "0 differences; ") {
		t.Errorf("show diff internal: %s", out)
	}
}
