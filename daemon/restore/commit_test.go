package restore

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// external returns how many flows the external cache has.
func (p *restorer) external() (n int) {
	p.t.Helper()
	if err := p.r.Loop.Do(context.Background(), func(c *core.Core) { n = c.Peer.External.Len() }); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *restorer) commit(take bool) control.CommitResult {
	p.t.Helper()
	r, err := p.r.Commit(context.Background(), take, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// someFlows are n flows of the peer. Of each four the first three are expected flows of the next one.
func someFlows(n int) []flow.Flow {
	list := make([]flow.Flow, n)
	for i := range list {
		list[i] = injectFlow(i)
		if i < n-1 && i%4 != 3 {
			list[i].Master, list[i].Has = injectFlow(i+1).Orig, list[i].Has|flow.HasMaster
		}
	}
	return list
}

// TestCommit restores blocks of flows, chains of masters among them, and empties the external cache of them.
func TestCommit(t *testing.T) {
	const n = 2*blockSize + 300
	p := newRestorer(t, false)
	p.say(wire.CTNew, someFlows(n)...)
	if r := p.commit(false); r.Total != n || r.Created != n || len(r.Degraded) != 0 || p.external() != n {
		t.Errorf("without taking: %+v, %d left", r, p.external())
	}
	if r := p.commit(true); r.Total != n || r.Updated != n || p.external() != 0 {
		t.Errorf("taking: %+v, %d left", r, p.external())
	}
	for _, f := range someFlows(n) {
		if got := p.k.Flows[f.Orig]; got.Mark != f.Mark || got.Master != f.Master {
			t.Fatalf("in the kernel %+v, want %+v", got, f)
		}
	}
	var ours int
	err := p.r.Loop.Do(context.Background(), func(c *core.Core) { ours = c.Own.Internal.Len() })
	if err != nil || ours != n {
		t.Errorf("%d flows in the internal cache (%v), want %d", ours, err, n)
	}
}

// TestCommitIntoAFullTable: what the kernel has no room for stays in the external cache, and goes in when there is
// room.
func TestCommitIntoAFullTable(t *testing.T) {
	const n, room = blockSize + 100, 300
	p := newRestorer(t, false)
	p.k.Full = func() bool { return len(p.k.Flows) >= room }
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = injectFlow(i)
	}
	p.say(wire.CTNew, flows...)
	if r := p.commit(false); r.Created != room || r.Failed != n-room || r.Errors["ENOMEM"] != n-room {
		t.Errorf("without taking: %+v", r)
	}
	r := p.commit(true)
	if r.NoRoom != n-room || r.Updated != room || r.Failed != 0 || r.Total != n || p.external() != n-room {
		t.Errorf("full: %+v, %d in the external cache", r, p.external())
	}
	var s control.Status
	if err := p.r.Loop.Do(context.Background(), func(c *core.Core) { c.Status(&s) }); err != nil || s.InStep {
		t.Errorf("in step with flows that are nowhere (%v)", err)
	}
	p.k.Do(func() { p.k.Full = nil })
	if r := p.commit(true); r.Created != n-room || r.NoRoom != 0 || p.external() != 0 {
		t.Errorf("with room: %+v, %d in the external cache", r, p.external())
	}
}

// TestCommitCutShort: when the kernel does not answer, what could be decided without it is counted, and everything else
// stays in the external cache.
func TestCommitCutShort(t *testing.T) {
	const n = 3*blockSize + 10
	p := newRestorer(t, false)
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = injectFlow(i)
		if i%(blockSize/2) == 0 {
			flows[i].Orig.Proto, flows[i].Orig.SrcPort, flows[i].Orig.DstPort = flow.GRE, 0, 0
			flows[i].Orig.Dst = flow.Addr{byte(i / (blockSize / 2)), 1}
			flows[i].Reply = flows[i].Orig.Inverse()
		}
	}
	p.say(wire.CTNew, flows...)
	p.k.Do(func() { p.k.Fail = 1 })
	r, err := p.r.Commit(context.Background(), true, nil)
	if !errors.Is(err, coretest.ErrBroken) {
		t.Fatalf("not cut short: %v", err)
	}
	if left := p.external(); r.Total != r.Failed || r.Failed == 0 || left+int(r.Failed) != n {
		t.Errorf("%+v, %d of %d flows are left", r, left, n)
	}
}

// TestFlushWaitsForACommit: nobody empties the external cache from the moment on in which a commit was asked for,
// though the kernel is not free yet.
func TestFlushWaitsForACommit(t *testing.T) {
	p := newRestorer(t, false)
	p.say(wire.CTNew, injectFlow(1))
	k := <-p.r.Kernel
	done := make(chan control.CommitResult)
	go func() {
		r, err := p.r.Commit(context.Background(), true, nil)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.r.Loop.Poll(ctx, (*core.Core).Committing); err != nil {
		t.Fatal(err)
	}
	ok := true
	if err := p.r.Loop.Do(ctx, func(c *core.Core) { _, ok = c.FlushExternal() }); err != nil || ok {
		t.Errorf("flushed under a commit (%v)", err)
	}
	p.r.Kernel <- k
	if r := <-done; r.Created != 1 {
		t.Errorf("the flow is lost: %+v", r)
	}
}

// TestCommitForeignNAT: flows that are translated to an address of the other router are counted, and left out if that
// is configured.
func TestCommitForeignNAT(t *testing.T) {
	for _, restored := range []bool{true, false} {
		p := newRestorer(t, false)
		p.r.Home = func() (flow.Home, error) {
			return flow.NewHome([]netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")}, []flow.Network{
				{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Device: "wan0"},
			}), nil
		}
		var flows []flow.Flow
		for i := range 30 {
			f := injectFlow(i)
			f.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone
			f.Reply.Dst = flow.Addr{203, 0, 113, byte(1 + i%3)} // virtual, and two of other routers
			flows = append(flows, f)
		}
		p.say(wire.CTNew, flows...)
		if err := p.r.Loop.Do(t.Context(), func(c *core.Core) {
			cfg := *c.Config
			cfg.RestoreForeignNAT = restored
			c.Config = &cfg
		}); err != nil {
			t.Fatal(err)
		}
		r := p.commit(true)
		created, left := uint64(30), uint64(0)
		if !restored {
			created, left = 10, 20
		}
		const where = ", which is in wan0's network but is no address of this router"
		if r.Total != 30 || r.Created != created || r.LeftOut != left || p.external() != 0 ||
			r.ForeignNAT["203.0.113.2"+where] != 10 || r.ForeignNAT["203.0.113.3"+where] != 10 || len(r.ForeignNAT) != 2 {
			t.Errorf("restored %v: %+v", restored, r)
		}
	}
}
