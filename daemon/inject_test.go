package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// injectPair is a core that injects into a mapKernel.
type injectPair struct {
	t *testing.T
	d *Daemon
	k *mapKernel
}

func newInjectPair(t *testing.T) *injectPair {
	t.Helper()
	c, _ := newTestCore()
	c.cfg.DisableExternalCache = true
	c.followInjection()
	p := &injectPair{t: t, k: newMapKernel(c.now)}
	c.in = testInbox(t)
	p.d = &Daemon{log: slog.New(slog.DiscardHandler), in: c.in, core: c, committer: newTurn(p.k)}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = c.run(ctx) })
	tasks.Go(func() { _ = p.d.runInject(ctx) })
	t.Cleanup(func() { cancel(); tasks.Wait() })
	return p
}

// say applies messages of the peer.
func (p *injectPair) say(t wire.Type, flows ...flow.Flow) {
	p.t.Helper()
	if err := p.d.do(context.Background(), func(c *core) {
		c.peer.heard = c.now()
		for i := range flows {
			f := flows[i]
			c.peerFlow(t, &f, c.now())
		}
	}); err != nil {
		p.t.Fatal(err)
	}
}

// settled waits until nothing is pending and returns the counters.
func (p *injectPair) settled() (s control.InjectStatistics) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.d.poll(ctx, func(c *core) bool {
		var all control.Statistics
		c.injectStatistics(&all)
		s = *all.Inject
		return c.injected()
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

// TestInjectBrokenSocket fails each request of a life once: nothing is lost, nothing stays.
func TestInjectBrokenSocket(t *testing.T) {
	flows := make([]flow.Flow, 1200)
	for i := range flows {
		flows[i] = injectFlow(i)
	}
	p := newInjectPair(t)
	for _, step := range []struct {
		typ  wire.Type
		want int
	}{{wire.CTNew, 1200}, {wire.CTUpdate, 1200}, {wire.CTDestroy, 0}} {
		p.k.mu.Lock()
		p.k.fail = 1
		p.k.mu.Unlock()
		for i := range flows {
			flows[i].Mark++
		}
		p.say(step.typ, flows...)
		s := p.settled()
		if len(p.k.flows) != step.want || s.Flows != uint64(step.want) || s.Missing != 0 {
			t.Fatalf("type %d: %d in the kernel, want %d: %+v", step.typ, len(p.k.flows), step.want, s)
		}
		for i := range flows[:step.want] {
			if got := p.k.flows[flows[i].Orig]; got.Mark != flows[i].Mark {
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
	p := newInjectPair(t)
	p.k.mu.Lock()
	p.k.fail = 1 << 30
	p.k.mu.Unlock()
	p.say(wire.CTNew, injectFlow(1), injectFlow(2))
	r, on, err := p.d.awaitInjection(t.Context(), true)
	if !on || !errors.Is(err, errBroken) || r.Failed != 2 || r.Present != 0 {
		t.Errorf("%+v, on %v: %v", r, on, err)
	}
}

// TestInjectChain tells 2000 flows, each the master of the one before: none goes in without its master.
func TestInjectChain(t *testing.T) {
	const n = 2000
	p := newInjectPair(t)
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
		if got := p.k.flows[flows[i].Orig]; got.Master != flows[i].Master {
			t.Fatalf("flow %d lost its master", i)
		}
	}
}

// TestInjectCoalesces changes one flow many times while the kernel is busy: it gets the last word, in few requests.
func TestInjectCoalesces(t *testing.T) {
	p := newInjectPair(t)
	k := <-p.d.committer // the kernel is busy
	f := injectFlow(1)
	for i := range 1000 {
		f.Mark = uint32(i)
		p.say(wire.CTUpdate, f)
	}
	p.d.committer.give(k)
	if s := p.settled(); s.Created+s.Updated > 2 || p.k.flows[f.Orig].Mark != 999 || p.k.requests > 2 {
		t.Errorf("%d requests, mark %d: %+v", p.k.requests, p.k.flows[f.Orig].Mark, s)
	}
}

func TestKeepProgress(t *testing.T) {
	const none = flow.TCPNone
	for _, test := range []struct {
		told, have, want uint8
		timeout          uint32 // told 50, have 100
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
		told, have := flow.Flow{TCPState: test.told, Timeout: 50}, flow.Flow{TCPState: test.have, Timeout: 100}
		if test.told != none {
			told.Has, have.Has = flow.HasTCPState, flow.HasTCPState
		}
		keepProgress(&told, &have)
		if told.TCPState != test.want || told.Timeout != test.timeout {
			t.Errorf("told %d over %d: %d with %d s, want %d with %d s", test.told, test.have, told.TCPState, told.Timeout, test.want, test.timeout)
		}
	}
}

// TestBusy reads from a timer whether packets pass.
func TestBusy(t *testing.T) {
	sec := int64(time.Second)
	for _, test := range []struct {
		life    uint32
		passed  int64 // seconds
		timeout uint32
		want    bool
	}{
		{600, 0, 600, false}, {600, 0, 599, false}, {600, 100, 500, false}, {600, 100, 498, false}, {600, 100, 502, false},
		{600, 100, 600, true}, {600, 100, 300, true}, {600, 100, 503, true}, {600, 100, 497, true},
		{0, 100, 300, false}, {432_000_000, 100, 2_147_483, false},
	} {
		it := cache.Item{Set: 5 * sec, Life: test.life}
		if got := busy(&flow.Flow{Timeout: test.timeout}, &it, (5+test.passed)*sec); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestHoldsBack sends nothing of a table that may be the peer's until the peer's own has come, or not within its time.
func TestHoldsBack(t *testing.T) {
	c, _ := newTestCore()
	now := int64(time.Second)
	c.now = func() int64 { return now }
	expect := func(what string, want bool) {
		t.Helper()
		if c.holdsBack() != want {
			t.Errorf("%s: holds back %v", what, !want)
		}
	}
	expect("with an external cache", false)
	c.cfg.DisableExternalCache = true
	expect("before the peer answers", true)
	now += int64(time.Hour)
	expect("an hour later", true)
	c.peerEstablished()
	now += int64(tableWait) - 1
	expect("while the table is waited for", true)
	c.role = control.RoleMaster
	expect("as master", false)
	c.role = control.RoleUnknown
	c.sync.table = true
	expect("when it has come", false)
	c.sync.table = false
	now++
	expect("when its time is over", false)
	c.peerEstablished()
	expect("when the peer answers again", false)
	c.inject.release, c.cfg.StartupResync = 0, false
	expect("when it is not asked for", false)
}

// TestReconcileLeavesThePeers holds that a comparison with the kernel takes over neither a flow of the peer nor one that
// the peer ended and the kernel is still to lose.
func TestReconcileLeavesThePeers(t *testing.T) {
	c, _ := newTestCore()
	c.cfg.DisableExternalCache = true
	c.followInjection()
	f, mine := injectFlow(1), injectFlow(2)
	c.peerFlow(wire.CTNew, &f, c.now())
	c.external.Take(1, func(it *cache.Item) { c.external.Placed(it.Ref, &it.Flow.Orig, 100, c.now()) })
	for _, ended := range []bool{false, true} {
		if ended {
			c.peerFlow(wire.CTDestroy, &f, c.now())
		}
		c.reconcileSlice([]flow.Flow{f, mine})
		if c.internal.Has(&f.Orig) || !c.internal.Has(&mine.Orig) {
			t.Errorf("ended %v: took the peer's %v, its own %v", ended, c.internal.Has(&f.Orig), c.internal.Has(&mine.Orig))
		}
	}
	c.external.Take(1, func(it *cache.Item) { c.external.Gone(it.Ref, &it.Flow.Orig) })
	c.reconcileSlice([]flow.Flow{f})
	if !c.internal.Has(&f.Orig) {
		t.Error("what nobody claims any more is not this router's")
	}
}

// TestEndedHere decides what becomes of a flow of the peer that this kernel ends by itself.
func TestEndedHere(t *testing.T) {
	for _, test := range []struct {
		name          string
		role          control.Role
		ours          bool
		state         uint8
		kept, pending bool
	}{
		{"the peer's alone", control.RoleBackup, false, flow.TCPEstablished, true, false}, // comes with the next Due
		{"the peer's alone, closed", control.RoleBackup, false, flow.TCPTimeWait, false, false},
		{"ours too", control.RoleBackup, true, flow.TCPEstablished, true, true},
		{"ours too, closed", control.RoleUnknown, true, flow.TCPClose, false, false},
		{"ours too, as master", control.RoleMaster, true, flow.TCPEstablished, false, false},
	} {
		c, _ := newTestCore()
		c.cfg.DisableExternalCache, c.role = true, test.role
		c.followInjection()
		f := injectFlow(1)
		f.Orig.Proto, f.Reply.Proto, f.TCPState, f.Has = flow.TCP, flow.TCP, test.state, f.Has|flow.HasTCPState
		c.peerFlow(wire.CTNew, &f, c.now())
		place := func() {
			c.external.Take(1, func(it *cache.Item) { c.external.Placed(it.Ref, &it.Flow.Orig, 100, c.now()) })
		}
		place()
		if test.ours {
			if err := c.internal.New(&f, c.now()); err != nil {
				t.Fatal(err)
			}
			c.internal.Next(&c.outgoing)
			c.internal.Sent(c.outgoing.Ref, 1)
		}
		gone := block(2, 0) // EventDestroy, without a state as older kernels tell it
		gone.N, gone.Kind[0], gone.Flow[0] = 1, 2, f
		if test.ours {
			gone.Flow[0].Has &^= flow.HasTCPState
		}
		c.applyEvents(gone)
		if kept, pending := c.external.Len() == 1, c.external.Pending() == 1; kept != test.kept || pending != test.pending {
			t.Errorf("%s: kept %v, pending %v", test.name, kept, pending)
		}
		if !test.pending {
			continue
		}
		place() // put back once
		if c.applyEvents(gone); c.external.Len() != 0 {
			t.Errorf("%s: put back a second time", test.name)
		}
	}
}

// TestYields decides whose a flow is that both routers know.
func TestYields(t *testing.T) {
	for _, test := range []struct {
		role           control.Role
		touched, known bool
		peer           string // our address is 10.0.0.5
		want           bool
	}{
		{control.RoleBackup, false, true, "10.0.0.9", true},
		{control.RoleFault, false, false, "10.0.0.9", true},
		{control.RoleBackup, true, true, "10.0.0.1", false},
		{control.RoleMaster, false, true, "10.0.0.1", false},
		{control.RoleUnknown, false, false, "10.0.0.9", true},
		{control.RoleUnknown, false, true, "10.0.0.9", false},
		{control.RoleUnknown, false, true, "10.0.0.1", true},
		{control.RoleUnknown, true, true, "10.0.0.1", false},
	} {
		c, l := newTestCore()
		l.local = netip.MustParseAddr("10.0.0.5")
		c.role, c.peer = test.role, peer{addr: netip.MustParseAddr(test.peer), at: c.links[0]}
		f := injectFlow(1)
		if test.touched {
			c.internal.New(&f, 0)
		} else {
			c.internal.Restored(&f, 0)
		}
		if test.known {
			ref, _ := c.internal.Lookup(&f.Orig)
			c.internal.Sent(ref, 1)
			if test.touched {
				c.internal.Next(&c.outgoing)
				c.internal.Sent(c.outgoing.Ref, 1)
			}
		}
		if got := c.yields(&f.Orig); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestEventCompletesPeersFlow has an event of a flow that was the peer's alone: what goes out has what the event leaves out.
func TestEventCompletesPeersFlow(t *testing.T) {
	c, _ := newTestCore()
	c.cfg.DisableExternalCache = true
	c.followInjection()
	told := injectFlow(1)
	told.Has |= flow.HasHelper | flow.HasLabels
	told.Helper, told.Labels = [16]byte{'f', 't', 'p'}, [16]byte{7}
	c.peerFlow(wire.CTNew, &told, c.now())
	event := block(1, 0)
	event.N, event.Kind[0] = 1, 1 // EventUpdate
	event.Flow[0] = flow.Flow{Orig: told.Orig, Reply: told.Reply, Has: flow.HasReply | flow.HasTimeout | flow.HasID, Timeout: 30, ID: 5}
	c.applyEvents(event)
	ref, ok := c.internal.Lookup(&told.Orig)
	if !ok || !c.internal.Load(ref, &c.scratch) {
		t.Fatal("not ours after an event")
	}
	if f := &c.scratch.Flow; f.Helper != told.Helper || f.Labels != told.Labels || f.Mark != told.Mark || f.Timeout != 30 || f.ID != 5 {
		t.Errorf("ours: %+v", *f)
	}
	if c.external.Len() != 1 {
		t.Error("the peer's is forgotten")
	}
}

// TestExpectationWaitsForItsMaster: the kernel is not told of an expectation whose master it is still to be told of.
func TestExpectationWaitsForItsMaster(t *testing.T) {
	c, _ := newTestCore()
	c.cfg.DisableExternalCache, c.cfg.ExpectSync = true, []string{"all"}
	c.followExpectSync()
	c.followInjection()
	master := injectFlow(1)
	c.peerFlow(wire.CTNew, &master, c.now())
	c.peerExpectation(wire.ExpNew, &flow.Expectation{
		Has:    flow.HasMaster | flow.HasMask | flow.HasTimeout,
		Expect: flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, Src: master.Orig.Src, Dst: master.Orig.Dst, DstPort: 5000}, Master: master.Orig, Timeout: 100,
	})
	for _, placed := range []bool{false, true} {
		if placed {
			c.external.Take(1, func(it *cache.Item) { c.external.Placed(it.Ref, &it.Flow.Orig, 100, c.now()) })
		}
		list, _ := c.expect.external.Take(10)
		if len(list) != 1 {
			t.Fatalf("master placed %v: %d expectations pending", placed, len(list))
		}
		if ready := len(c.mastered(list)) == 1; ready != placed || (c.expect.external.Pending() == 1) == placed {
			t.Errorf("master placed %v: ready %v, pending %d", placed, ready, c.expect.external.Pending())
		}
	}
}
