package takeover

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/restore"
	"ctsync/daemon/upkeep"
	"ctsync/daemon/wire"
)

// router is a Takeover whose kernel is a map, with a peer.
type router struct {
	t *testing.T
	*Takeover
	k    *coretest.Kernel
	peer *coretest.Peer
}

func newRouter(t *testing.T) *router {
	t.Helper()
	var in *loop.Inbox[*core.Core]
	c, l := coretest.NewOpen(coretest.Inbox(t), func(o *core.Options) { in = o.Inbox })
	r := &router{t: t, k: coretest.NewKernel(c.Now), peer: coretest.NewPeer(t, c, l)}
	log, jobs, turn := slog.New(slog.DiscardHandler), &job.List{}, kernel.NewTurn(r.k)
	r.Takeover = &Takeover{
		Loop: in, Kernel: turn, Jobs: jobs, Log: log, Started: time.Now().Add(-time.Hour),
		Restore: &restore.Restorer{Loop: in, Kernel: turn, Jobs: jobs, Log: log},
		Upkeep: &upkeep.Upkeep{
			Loop: in, Kernel: kernel.NewTurn(r.k), Jobs: jobs, Log: log,
			Limits: func() (int, int) { return 1 << 20, 1 << 10 }, Interval: func() time.Duration { return time.Hour },
		},
		PurgeTimeout: func() time.Duration { return 0 }, Unhooked: func() string { return "" },
	}
	coretest.Run(t, c.Run)
	return r
}

// say lets the peer announce the first n of coretest's flows.
func (r *router) say(n int) {
	r.t.Helper()
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = coretest.Flow(i)
	}
	r.in(func(*core.Core) { r.peer.Say(wire.CTNew, flows...) })
}

func (r *router) in(f func(*core.Core)) {
	r.t.Helper()
	if err := r.Loop.Do(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

// begin does the work of a transition.
func (r *router) begin(state control.State) control.Transition {
	r.t.Helper()
	tr := control.Transition{State: state}
	if err := r.Begin(context.Background(), &tr); err != nil {
		r.t.Fatal(err)
	}
	return tr
}

// TestTakeoverIntoAFullTable: what the kernel has no room for is no loss. The takeover says so, and while the role
// lasts it is offered again.
func TestTakeoverIntoAFullTable(t *testing.T) {
	defer func(d time.Duration) { offerInterval = d }(offerInterval)
	offerInterval = time.Millisecond
	const n, room = 1200, 700
	r := newRouter(t)
	r.say(n)
	full := true
	r.k.Full = func() bool { return full && len(r.k.Flows) >= room }
	tr := r.begin(control.StateMaster)
	if tr.Worked(); tr.Outcome != "incomplete: 500 flows wait for room in the kernel's table" {
		t.Errorf("outcome %q", tr.Outcome)
	}
	if c := tr.Commit; c.Total != n || c.Created != room || c.NoRoom != n-room || c.Failed != 0 {
		t.Fatalf("%+v", *c)
	}
	ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	kept := make(chan control.Transition, 1)
	coretest.Run(t, func(context.Context) error {
		r.Later(ctx, tr, func(t control.Transition) { kept <- t })
		return nil
	})
	r.k.Do(func() { full = false })
	if err := r.Loop.Poll(ctx, func(c *core.Core) bool { return c.Peer.External.Len() == 0 }); err != nil {
		t.Fatal(err)
	}
	in := 0
	r.k.Do(func() { in = len(r.k.Flows) })
	if in != n {
		t.Errorf("%d of %d flows are in the kernel", in, n)
	}
	if got := <-kept; got.Outcome != control.OutcomeDone || got.Commit.Created != n || got.Commit.Total != n {
		t.Errorf("recorded: %s, %+v", got.Outcome, *got.Commit)
	}
	if tr.Commit.Created != room {
		t.Errorf("the record was changed under its readers: %+v", *tr.Commit)
	}
	end()
}

// fullTakeover makes the router master of n flows, with room for so many of them, and returns a function that makes
// room for all.
func (r *router) fullTakeover(n, room int) (left uint64, makeRoom func()) {
	r.t.Helper()
	defer func(d time.Duration) { r.t.Cleanup(func() { offerInterval = d }) }(offerInterval)
	offerInterval = time.Millisecond
	r.say(n)
	full := true
	r.k.Full = func() bool { return full && len(r.k.Flows) >= room }
	left = r.begin(control.StateMaster).Commit.NoRoom
	if left != uint64(n-room) {
		r.t.Fatalf("%d flows had no room, want %d", left, n-room)
	}
	return left, func() { r.k.Do(func() { full = false }) }
}

func (r *router) offered(left uint64) {
	r.t.Helper()
	ctx, end := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer end()
	tr := control.Transition{Commit: &control.CommitResult{NoRoom: left}}
	if r.offerAgain(ctx, tr, func(control.Transition) {}); ctx.Err() != nil {
		r.t.Fatal("the flows are offered without end")
	}
}

// TestOfferAgainWhatHadNoRoom, and nothing else: what the peer says after the takeover does not change what this router
// serves now.
func TestOfferAgainWhatHadNoRoom(t *testing.T) {
	const n = 10
	r := newRouter(t)
	left, makeRoom := r.fullTakeover(n, 6)
	restored, missing, fresh := -1, -1, coretest.Flow(n)
	r.k.Do(func() {
		for i := range n {
			if _, ok := r.k.Flows[coretest.Flow(i).Orig]; ok {
				restored = i
			} else {
				missing = i
			}
		}
	})
	stale, newer := coretest.Flow(restored), coretest.Flow(missing)
	stale.Mark, newer.Mark = 99, 77
	r.in(func(*core.Core) { r.peer.Say(wire.CTUpdate, stale, newer, fresh) })
	makeRoom()
	r.offered(left)
	r.k.Do(func() {
		if _, ok := r.k.Flows[fresh.Orig]; ok || len(r.k.Flows) != n {
			t.Errorf("%d flows are in the kernel, want %d; one that the peer began since: %v", len(r.k.Flows), n, ok)
		}
		if m := r.k.Flows[stale.Orig].Mark; m != 0 {
			t.Errorf("the peer changed a flow of this router: mark %d", m)
		}
		if m := r.k.Flows[newer.Orig].Mark; m != 77 {
			t.Errorf("a flow that waited has mark %d, not the one that the peer sent last", m)
		}
	})
	var s control.Statistics
	r.in(func(c *core.Core) { c.Statistics(&s) })
	if s.Commit.Commits != 1 || s.Commit.Created != n {
		t.Errorf("%d commits created %d flows, want 1 and %d", s.Commit.Commits, s.Commit.Created, n)
	}
}

// TestOfferAgainWhenThePeerIsBack: a peer that was restarted has none of the flows that wait. They are ours.
func TestOfferAgainWhenThePeerIsBack(t *testing.T) {
	const n = 10
	r := newRouter(t)
	left, makeRoom := r.fullTakeover(n, 6)
	sweep := func() (left int) {
		r.in(func(c *core.Core) {
			select {
			case <-c.Want.Sweep:
			default:
				t.Error("nobody asks for a sweep")
			}
			for from, more := cache.Ref(0), true; more; more = from != 0 {
				from, _ = c.SweepFrom(from, 100)
			}
			left = c.Peer.External.Len()
		})
		return left
	}
	r.in(func(c *core.Core) {
		r.peer.Say(wire.CTNew, coretest.Flow(n)) // it had one of its own before its restart
		c.RequestResync()
		for range 5 {
			r.peer.Say(wire.CTNew)
		}
	})
	sweep()
	makeRoom()
	r.offered(left)
	r.k.Do(func() {
		if got := len(r.k.Flows); got != n {
			t.Errorf("%d of %d flows are in the kernel", got, n)
		}
	})
	if got := sweep(); got != 0 {
		t.Errorf("%d flows are left in the external cache that the peer does not have", got)
	}
}

// TestOfferAgainEndsWithTheExternalCache: with disable-external-cache the injection offers again, and this stops.
func TestOfferAgainEndsWithTheExternalCache(t *testing.T) {
	r := newRouter(t)
	left, makeRoom := r.fullTakeover(10, 6)
	var s control.Status
	r.in(func(c *core.Core) {
		cfg := *c.Config
		cfg.DisableExternalCache = true
		c.Reconfigure(&cfg, 1<<20, 1<<10)
		c.Status(&s)
	})
	for _, why := range s.Why {
		if strings.Contains(why, "its table is full") {
			t.Errorf("not in step: %s", why)
		}
	}
	makeRoom()
	r.offered(left)
	r.in(func(c *core.Core) { c.Status(&s) })
	if s.Injected != 4 {
		t.Errorf("%d flows are the injection's, want 4", s.Injected)
	}
}

// TestBackupPurges: as BACKUP a router asks for the peer's table, and lets flows that the peer has announced as its own
// expire.
func TestBackupPurges(t *testing.T) {
	r := newRouter(t)
	const n = 10
	r.say(n)
	r.begin(control.StateMaster)
	r.say(n - 1) // of the last one nobody else says that it has it
	tr := r.begin(control.StateBackup)
	r.Later(context.Background(), tr, nil)
	short := 0
	r.k.Do(func() {
		for _, f := range r.k.Flows {
			if f.Timeout == PurgedTimeout {
				short++
			}
		}
	})
	if short != n-1 {
		t.Errorf("%d timers were shortened, want %d", short, n-1)
	}
	var s control.Statistics
	r.in(func(c *core.Core) { c.Statistics(&s) })
	if s.Kernel.Purges != 1 {
		t.Errorf("%d purges were counted", s.Kernel.Purges)
	}
}
