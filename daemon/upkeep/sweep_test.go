package upkeep_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
	"ctsync/daemon/upkeep"
	"ctsync/daemon/wire"
)

// TestExpire: while the peer is silent its flows and expectations end with their timeouts, and what found no room is
// asked for when there is room again.
func TestExpire(t *testing.T) {
	clock := int64(time.Hour)
	var in *loop.Inbox[*core.Core]
	c, l := coretest.NewOpen(coretest.Inbox(t), func(o *core.Options) {
		o.Now, o.FlowLimit, in = func() int64 { return clock }, 2000, o.Inbox
		o.Config.ExpectSync = []string{"all"}
	})
	peer := coretest.NewPeer(t, c, l)
	flows := make([]flow.Flow, 2500) // more than the cache takes, and than one slice
	for i := range flows {
		flows[i] = coretest.Flow(i)
		flows[i].Has, flows[i].Timeout = flows[i].Has|flow.HasTimeout, 60
		if i < 3 {
			flows[i].Timeout = 36000
		}
	}
	for from := 0; from < len(flows); from += 100 {
		peer.Say(wire.CTNew, flows[from:from+100]...)
	}
	e := &flow.Expectation{
		Master: flows[0].Orig, Expect: flows[0].Orig, Mask: flow.Tuple{Family: flow.IPv4, Proto: flow.TCP},
		Has: flow.HasMaster | flow.HasMask | flow.HasTimeout, Timeout: 60,
	}
	if err := c.Peer.Expect.New(e, clock); err != nil {
		t.Fatal(err)
	}
	u := &upkeep.Upkeep{Loop: in, Log: slog.New(slog.DiscardHandler)}
	resyncs := func() bool {
		c.Tick()
		defer l.Drop()
		asked := false
		l.Each(func(d []byte) {
			for len(d) > 0 {
				h, _, rest, _ := wire.Next(d)
				asked, d = asked || h.Flags&wire.Resync != 0, rest
			}
		})
		return asked
	}
	for _, step := range []struct {
		after               time.Duration
		flows, expectations int
		asks                bool
	}{{0, 2000, 1, false}, {time.Hour, 3, 0, true}} {
		clock += int64(step.after)
		resyncs()
		if err := coretest.Drive(c, in, func() error { return u.Expire(context.Background()) }); err != nil {
			t.Fatal(err)
		}
		if f, x := c.Peer.External.Len(), c.Peer.Expect.Len(); f != step.flows || x != step.expectations {
			t.Errorf("after %v: %d flows and %d expectations, want %d and %d", step.after, f, x, step.flows, step.expectations)
		}
		if asked := resyncs(); asked != step.asks {
			t.Errorf("after %v: the peer's table is asked for: %v", step.after, asked)
		}
	}
}
