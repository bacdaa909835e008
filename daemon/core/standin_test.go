package core_test

import (
	"net/netip"
	"testing"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/wire"
)

// sweep removes what the peer's last table left out.
func sweep(c *core.Core) (removed int) {
	for {
		next, n := c.SweepFrom(0, 1<<20)
		if removed += n; next == 0 {
			return removed
		}
	}
}

// has reports whether the external cache has the flow to a port.
func has(c *core.Core, port uint16) bool {
	f := flowTo(port)
	_, ok := c.Peer.External.Lookup(&f.Orig)
	return ok
}

// TestFlowsOfAnAbsentPeerAreKept: a third host takes the place of a peer that is dead, and its table, which mentions
// none of the peer's flows, removes none. The peer's flows go when their timeouts have passed, as of a peer that is
// silent, or when the peer itself no longer mentions them. What the third host announced goes when the peer is back.
func TestFlowsOfAnAbsentPeerAreKept(t *testing.T) {
	third := netip.MustParseAddr("10.0.0.9")
	for _, tt := range []struct {
		name             string
		then             func(c *core.Core)
		own, other, left bool // whether the flows of the peer and of the third host are still there, and who is absent
	}{
		{"nothing", func(*core.Core) {}, true, true, true},
		{"flushed", func(c *core.Core) { c.FlushExternal() }, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := 1000 * sec
			c, l := coretest.NewOpen(onClock(&clock))
			coretest.NewPeer(t, c, l).Say(wire.CTNew, flowTo(1))
			died := clock

			clock += 11 * sec
			other := coretest.NewPeerAt(t, c, l, third)
			other.Say(wire.CTNew, flowTo(2))
			for range 20 { // its table comes
				clock += sec / 10
				other.Say(wire.CTUpdate, flowTo(2))
			}
			if !has(c, 1) || !has(c, 2) || !c.HasTable() {
				t.Fatalf("the peer's flow %v, the other one's %v, table %v", has(c, 1), has(c, 2), c.HasTable())
			}
			if n := sweep(c); n != 0 || reason(c, "in place of the peer 10.0.0.2") == "" {
				t.Errorf("%d flows removed on another one's word; %q", n, c.Why())
			}
			tt.then(c)
			if has(c, 1) != tt.own || has(c, 2) != tt.other || (reason(c, "in place of") != "") != tt.left {
				t.Errorf("the peer's flow %v, the other one's %v, %q", has(c, 1), has(c, 2), c.Why())
			}
			if !tt.left {
				return
			}
			if heard := c.HeardOf(died); heard != died {
				t.Errorf("the peer's flows count as seen %d s after its death", (heard-died)/sec)
			}
			if c.HeardOf(clock) != c.PeerHeard() {
				t.Error("the other one's flows count as those of the absent peer")
			}

			clock += sec
			peer := coretest.NewPeer(t, c, l)
			for range 20 {
				clock += sec / 10
				peer.Say(wire.CTNew, flowTo(3))
			}
			if c.Links.Peer().Addr != coretest.AddrB || reason(c, "in place of") != "" {
				t.Errorf("the peer is not taken again: %v, %q", c.Links.Peer().Addr, c.Why())
			}
			if sweep(c); has(c, 1) || has(c, 2) || !has(c, 3) {
				t.Errorf("after the peer's own table: %v %v %v", has(c, 1), has(c, 2), has(c, 3))
			}
		})
	}
}
