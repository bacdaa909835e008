package upkeep_test

import (
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
)

// sent returns how many flows a node has announced as new.
func sent(c *core.Core) uint64 {
	var s control.Statistics
	c.Statistics(&s)
	return s.Session.Sent["new"]
}

// TestStartSendsTheTableOnce: a router that starts with a table sends each flow once to a peer that is there, whether
// the two find each other before, while or after the kernel's table is read.
func TestStartSendsTheTableOnce(t *testing.T) {
	const n = 20_000
	for _, when := range []struct {
		name        string
		found, read int // at which step the peer is there, and the table begins to be read
	}{
		{"found before", 0, 20}, {"found while reading", 5, 0}, {"found after", 60, 0},
	} {
		t.Run(when.name, func(t *testing.T) {
			s := coretest.NewSim(t, 1, 1)
			s.Loss = 0
			a, b := s.Nodes[0], s.Nodes[1]
			s.Start(a)
			s.Start(b)
			b.Core.BeginCompare()
			b.Core.EndCompare(nil)
			s.Cut = [2]bool{true, true}
			flows := make([]flow.Flow, n)
			for i := range flows {
				flows[i] = coretest.Flow(i)
			}
			for step := range 400 {
				s.Clock += int64(10 * time.Millisecond)
				if step == when.found {
					s.Cut = [2]bool{}
				}
				if from := (step - when.read) * 500; from >= 0 && from < n {
					if from == 0 {
						a.Core.BeginCompare()
					}
					a.Core.Merge(flows[from : from+500])
					if from+500 == n {
						a.Core.EndCompare(nil)
					}
				}
				s.Step()
			}
			if got := b.Core.Peer.External.Len(); got != n {
				t.Errorf("the peer has %d of %d flows", got, n)
			}
			if got := sent(a.Core) + sentUpdates(a.Core); got > n+n/100 {
				t.Errorf("%d flows were announced %d times", n, got)
			}
			if why := a.Core.Why(); len(why) > 0 {
				t.Errorf("not in step: %q", why)
			}
		})
	}
}

func sentUpdates(c *core.Core) uint64 {
	var s control.Statistics
	c.Statistics(&s)
	return s.Session.Sent["update"]
}
