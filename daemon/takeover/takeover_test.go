package takeover

import (
	"context"
	"log/slog"
	"testing"
	"time"

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
		PurgeTimeout: func() time.Duration { return 0 },
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
	if c := tr.Commit; c.Total != n || c.Created != room || c.NoRoom != n-room || c.Failed != 0 {
		t.Fatalf("%+v", *c)
	}
	ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	coretest.Run(t, func(context.Context) error { r.Later(ctx, tr); return nil })
	r.k.Do(func() { full = false })
	if err := r.Loop.Poll(ctx, func(c *core.Core) bool { return c.Peer.External.Len() == 0 }); err != nil {
		t.Fatal(err)
	}
	in := 0
	r.k.Do(func() { in = len(r.k.Flows) })
	if in != n {
		t.Errorf("%d of %d flows are in the kernel", in, n)
	}
	end()
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
	r.Later(context.Background(), tr)
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
