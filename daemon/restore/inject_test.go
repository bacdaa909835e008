package restore

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/wire"
)

// restorer is a core whose peer's flows go into a coretest.Kernel.
type restorer struct {
	t    *testing.T
	r    *Restorer
	k    *coretest.Kernel
	peer *coretest.Peer
}

// newRestorer runs a core and, with inject, the injection.
func newRestorer(t *testing.T, inject bool) *restorer {
	t.Helper()
	cfg := coretest.Options().Config
	cfg.DisableExternalCache = inject
	inbox := coretest.Inbox(t)
	var in *loop.Inbox[*core.Core]
	c, l := coretest.NewOpen(inbox, func(o *core.Options) { o.Config, in = cfg, o.Inbox })
	k := coretest.NewKernel(c.Now)
	p := &restorer{t: t, k: k, peer: coretest.NewPeer(t, c, l), r: &Restorer{
		Loop: in, Kernel: kernel.NewTurn(k), Jobs: &job.List{}, Log: slog.New(slog.DiscardHandler),
	}}
	tasks := []func(context.Context) error{c.Run}
	if inject {
		tasks = append(tasks, func(ctx context.Context) error { return p.r.Run(ctx, c.Want.Inject) })
	}
	coretest.Run(t, tasks...)
	return p
}

// say lets the peer announce flows.
func (p *restorer) say(t wire.Type, flows ...flow.Flow) {
	p.t.Helper()
	if err := p.r.Loop.Do(context.Background(), func(*core.Core) { p.peer.Say(t, flows...) }); err != nil {
		p.t.Fatal(err)
	}
}

// settled waits until nothing is pending and returns the counters.
func (p *restorer) settled() (s control.InjectStatistics) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.r.Loop.Poll(ctx, func(c *core.Core) bool {
		var all control.Statistics
		c.Statistics(&all)
		s = *all.Inject
		return c.Injected()
	}); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func injectFlow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{Family: flow.IPv4, Proto: flow.UDP, SrcPort: uint16(i), DstPort: 53, Src: flow.Addr{10, byte(i >> 16)}, Dst: flow.Addr{11}},
		Has:  flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark, Status: flow.StatusConfirmed, Timeout: 100, Mark: uint32(i),
	}
	f.Reply = f.Orig.Inverse()
	return f
}

// TestInjectBrokenSocket fails each kind of request once: nothing is lost, nothing stays.
func TestInjectBrokenSocket(t *testing.T) {
	flows := make([]flow.Flow, 1200)
	for i := range flows {
		flows[i] = injectFlow(i)
	}
	p := newRestorer(t, true)
	for _, step := range []struct {
		typ  wire.Type
		want int
	}{{wire.CTNew, 1200}, {wire.CTUpdate, 1200}, {wire.CTDestroy, 0}} {
		p.k.Do(func() { p.k.Fail = 1 })
		for i := range flows {
			flows[i].Mark++
		}
		p.say(step.typ, flows...)
		s := p.settled()
		if len(p.k.Flows) != step.want || s.Flows != uint64(step.want) || s.Missing != 0 {
			t.Fatalf("type %d: %d in the kernel, want %d: %+v", step.typ, len(p.k.Flows), step.want, s)
		}
		for i := range flows[:step.want] {
			if got := p.k.Flows[flows[i].Orig]; got.Mark != flows[i].Mark {
				t.Fatalf("type %d: flow %d has mark %d, want %d", step.typ, i, got.Mark, flows[i].Mark)
			}
		}
	}
	if s := p.settled(); s.Created != 1200 || s.Updated != 1200 || s.Destroyed != 1200 {
		t.Errorf("counters: %+v", s)
	}
}

// TestInjectBrokenForGood does not wait for a kernel that never answers.
func TestInjectBrokenForGood(t *testing.T) {
	p := newRestorer(t, true)
	p.k.Do(func() { p.k.Fail = 1 << 30 })
	p.say(wire.CTNew, injectFlow(1), injectFlow(2))
	r, on, err := p.r.Await(t.Context(), true)
	if !on || !errors.Is(err, coretest.ErrBroken) || r.Failed != 2 || r.Present != 0 {
		t.Errorf("%+v, on %v: %v", r, on, err)
	}
}

// TestInjectChain announces 2000 flows, each the master of the one before: none goes in without its master.
func TestInjectChain(t *testing.T) {
	const n = 2000
	p := newRestorer(t, true)
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = injectFlow(i)
		if i < n-1 && i%4 != 3 { // chains of four, the masters last
			flows[i].Master, flows[i].Has = injectFlow(i+1).Orig, flows[i].Has|flow.HasMaster
		}
	}
	p.say(wire.CTNew, flows...)
	if s := p.settled(); s.Created != n || len(s.Degraded) != 0 || s.Missing != 0 {
		t.Errorf("counters: %+v", s)
	}
	for i := range flows {
		if got := p.k.Flows[flows[i].Orig]; got.Master != flows[i].Master {
			t.Fatalf("flow %d lost its master", i)
		}
	}
}

// TestInjectCoalesces changes one flow many times while the kernel is busy: it gets the last word, in few requests.
func TestInjectCoalesces(t *testing.T) {
	p := newRestorer(t, true)
	k := <-p.r.Kernel // the kernel is busy
	f := injectFlow(1)
	for i := range 1000 {
		f.Mark = uint32(i)
		p.say(wire.CTUpdate, f)
	}
	p.r.Kernel <- k
	if s := p.settled(); s.Created+s.Updated > 2 || p.k.Flows[f.Orig].Mark != 999 || p.k.Requests > 2 {
		t.Errorf("%d requests, mark %d: %+v", p.k.Requests, p.k.Flows[f.Orig].Mark, s)
	}
}

// TestInjectBrokenIsTriedNowAndThen: while the kernel does not answer, what the peer says is no reason to ask it, and
// to complain, each time.
func TestInjectBrokenIsTriedNowAndThen(t *testing.T) {
	p := newRestorer(t, true)
	p.k.Do(func() { p.k.Fail = 1 << 30 })
	began := time.Now()
	for i := range 200 {
		p.say(wire.CTNew, injectFlow(i))
		time.Sleep(time.Millisecond)
	}
	p.k.Do(func() {
		if most := 2 + 2*int(time.Since(began)/time.Second); p.k.Requests > most {
			t.Errorf("%d requests, want at most %d", p.k.Requests, most)
		}
		p.k.Fail = 0
	})
	if s := p.settled(); s.Created != 200 {
		t.Errorf("%d of 200 flows are in the kernel", s.Created)
	}
}

func TestKeepProgress(t *testing.T) {
	const none = flow.TCPNone
	for _, test := range []struct {
		sent, have, want uint8
		timeout          uint32 // sent 50, have 100
	}{
		{flow.TCPEstablished, flow.TCPEstablished, flow.TCPEstablished, 100},
		{flow.TCPSynRecv, flow.TCPSynSent, flow.TCPSynRecv, 50},
		{flow.TCPTimeWait, flow.TCPEstablished, flow.TCPTimeWait, 50},
		{flow.TCPEstablished, flow.TCPFinWait, flow.TCPFinWait, 100},
		{flow.TCPSynSent, flow.TCPEstablished, flow.TCPEstablished, 100},
		{flow.TCPSynSent2, flow.TCPEstablished, flow.TCPEstablished, 100},
		{flow.TCPEstablished, flow.TCPSynSent2, flow.TCPEstablished, 50},
		{flow.TCPEstablished, flow.TCPTimeWait, flow.TCPTimeWait, 100},
		{flow.TCPSynSent, flow.TCPTimeWait, flow.TCPSynSent, 50},
		{flow.TCPSynSent, flow.TCPLastAck, flow.TCPLastAck, 100},
		{flow.TCPSynRecv, flow.TCPClose, flow.TCPSynRecv, 50},
		{none, none, none, 100},
	} {
		sent, have := flow.Flow{TCPState: test.sent, Timeout: 50}, flow.Flow{TCPState: test.have, Timeout: 100}
		if test.sent != none {
			sent.Has, have.Has = flow.HasTCPState, flow.HasTCPState
		}
		keepProgress(&sent, &have)
		if sent.TCPState != test.want || sent.Timeout != test.timeout {
			t.Errorf("sent %d over %d: %d with %d s, want %d with %d s", test.sent, test.have, sent.TCPState, sent.Timeout, test.want, test.timeout)
		}
	}
}

// TestBusy reads from a timer whether packets pass.
func TestBusy(t *testing.T) {
	sec := int64(time.Second)
	for _, test := range []struct {
		timer   uint32 // seconds
		passed  int64  // seconds
		timeout uint32
		want    bool
	}{
		{600, 0, 600, false}, {600, 0, 599, false}, {600, 100, 500, false}, {600, 100, 498, false}, {600, 100, 502, false},
		{600, 100, 600, true}, {600, 100, 300, true}, {600, 100, 503, true}, {600, 100, 497, true},
		{0, 100, 300, false}, {432_000_000, 100, 2_147_483, false},
	} {
		it := cache.Item{Set: 5 * sec, Timer: test.timer}
		if got := busy(&flow.Flow{Timeout: test.timeout}, &it, (5+test.passed)*sec); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestExpectationWaitsForItsMaster: the kernel is not given an expectation whose master waits to be put there.
func TestExpectationWaitsForItsMaster(t *testing.T) {
	cfg := config.Default()
	cfg.DisableExternalCache, cfg.ExpectSync = true, []string{"all"}
	c := coretest.New(func(o *core.Options) { o.Config = cfg })
	master := injectFlow(1)
	if err := c.Peer.External.New(&master, c.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.Peer.Expect.New(&flow.Expectation{
		Has: flow.HasMaster | flow.HasMask | flow.HasTimeout,
		Expect: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, Src: master.Orig.Src, Dst: master.Orig.Dst, DstPort: 5000,
		},
		Master: master.Orig, Timeout: 100,
	}, c.Now()); err != nil {
		t.Fatal(err)
	}
	for _, placed := range []bool{false, true} {
		if placed {
			c.Peer.External.Take(1, func(it *cache.Item) {
				c.Peer.External.Placed(it.Ref, &it.Flow.Orig, 100, c.Now())
			})
		}
		list, _ := c.Peer.Expect.Take(10)
		if len(list) != 1 {
			t.Fatalf("master placed %v: %d expectations pending", placed, len(list))
		}
		if ready := len(mastered(c, list)) == 1; ready != placed || (c.Peer.Expect.Pending() == 1) == placed {
			t.Errorf("master placed %v: ready %v, pending %d", placed, ready, c.Peer.Expect.Pending())
		}
	}
}
