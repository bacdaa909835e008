package core_test

import (
	"net/netip"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

func injecting(o *core.Options) { o.Config.DisableExternalCache = true }

func inRole(r control.Role) func(*core.Options) { return func(o *core.Options) { o.Role = r } }

// placed says that the kernel took what is to be injected.
func placed(c *core.Core) {
	c.Peer.External.Take(100, func(it *cache.Item) { c.Peer.External.Placed(it.Ref, &it.Flow.Orig, 100, c.Now()) })
}

// announce sends the flow of the internal cache that waits, to nobody.
func announce(c *core.Core) {
	var o cache.Outgoing
	c.Own.Internal.Next(&o)
	c.Own.Internal.Sent(o.Ref, 1)
}

// TestHoldsBack sends nothing of a table that may be the peer's until the peer's own has come, or not within its time.
func TestHoldsBack(t *testing.T) {
	clock := int64(time.Hour)
	expect := func(c *core.Core, what string, want bool) {
		t.Helper()
		if c.HoldsBack() != want {
			t.Errorf("%s: holds back %v", what, !want)
		}
	}
	c, _ := coretest.NewOpen(onClock(&clock))
	expect(c, "with an external cache", false)
	c, _ = coretest.NewOpen(onClock(&clock), injecting)
	expect(c, "before the peer answers", true)
	clock += int64(time.Hour)
	expect(c, "an hour later", true)
	from := coretest.AddrB
	alive := func(seq uint32) {
		hello := wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, seq, 0, 0)
		c.Receive(c.Links.Channels()[0], from, hello)
	}
	alive(100)
	clock += int64(core.TableWait) - 1
	expect(c, "while the table is waited for", true)
	c.BecomeRole(control.StateMaster)
	expect(c, "as master", false)
	c.BecomeRole(control.StateBackup)
	expect(c, "as backup again", true)
	clock++
	expect(c, "when its time is over", false)
	clock += int64(time.Minute)
	from = coretest.AddrB.Next()
	alive(5000)
	expect(c, "when another peer answers", false)

	c, l := coretest.NewOpen(onClock(&clock), injecting)
	coretest.NewPeer(t, c, l) // its table, an empty one, has come
	expect(c, "when the table has come", false)
	c, _ = coretest.NewOpen(onClock(&clock), injecting, func(o *core.Options) { o.Config.StartupResync = false })
	expect(c, "when it is not asked for", false)
}

// TestCompareLeavesThePeers holds that a comparison with the kernel takes over neither a flow of the peer nor one that
// the peer ended and the kernel is still to lose.
func TestCompareLeavesThePeers(t *testing.T) {
	c, l := coretest.NewOpen(injecting)
	peer := coretest.NewPeer(t, c, l)
	f, mine := flowTo(1), flowTo(2)
	peer.Say(wire.CTNew, f)
	placed(c)
	for _, ended := range []bool{false, true} {
		if ended {
			peer.Say(wire.CTDestroy, f)
		}
		c.Merge([]flow.Flow{f, mine})
		if c.Own.Internal.Has(&f.Orig) || !c.Own.Internal.Has(&mine.Orig) {
			t.Errorf("ended %v: took the peer's %v, its own %v",
				ended, c.Own.Internal.Has(&f.Orig), c.Own.Internal.Has(&mine.Orig))
		}
	}
	c.Peer.External.Take(1, func(it *cache.Item) { c.Peer.External.Gone(it.Ref, &it.Flow.Orig) })
	c.Merge([]flow.Flow{f})
	if !c.Own.Internal.Has(&f.Orig) {
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
		t.Run(test.name, func(t *testing.T) {
			c, l := coretest.NewOpen(injecting, inRole(test.role))
			f := flowTo(1)
			f.Orig.Proto, f.Reply.Proto, f.TCPState, f.Has = flow.TCP, flow.TCP, test.state, f.Has|flow.HasTCPState
			coretest.NewPeer(t, c, l).Say(wire.CTNew, f)
			placed(c)
			if test.ours {
				c.Apply(coretest.Events(ctnetlink.EventNew, f))
				announce(c)
			}
			end := f
			if test.ours {
				end.Has &^= flow.HasTCPState // as older kernels report it
			}
			c.Apply(coretest.Events(ctnetlink.EventDestroy, end))
			kept, pending := c.Peer.External.Len() == 1, c.Peer.External.Pending() == 1
			if kept != test.kept || pending != test.pending {
				t.Errorf("kept %v, pending %v", kept, pending)
			}
			if !test.pending {
				return
			}
			placed(c) // put back once
			if c.Apply(coretest.Events(ctnetlink.EventDestroy, end)); c.Peer.External.Len() != 0 {
				t.Error("put back a second time")
			}
		})
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
		c, l := coretest.NewOpen(inRole(test.role))
		l.Address = netip.MustParseAddr("10.0.0.5")
		hello := wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0)
		c.Receive(c.Links.Channels()[0], netip.MustParseAddr(test.peer), hello)
		f := flowTo(1)
		x := c.Own.Internal
		if test.touched {
			x.New(&f, c.Now())
			if test.known {
				announce(c)
			}
		} else {
			x.Restored(&f, c.Now())
			if ref, _ := x.Lookup(&f.Orig); test.known {
				x.Announce(ref)
				announce(c)
			}
		}
		if got := c.Yields(&f.Orig); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestBackupForgetsWhatItTouched: a router that becomes BACKUP gives up what the peer announces, one that was master
// not.
func TestBackupForgetsWhatItTouched(t *testing.T) {
	c, l := coretest.NewOpen(injecting, inRole(control.RoleMaster))
	peer := coretest.NewPeer(t, c, l)
	f := flowTo(1)
	c.Apply(coretest.Events(ctnetlink.EventNew, f))
	if peer.Say(wire.CTNew, f); !c.Own.Internal.Has(&f.Orig) {
		t.Error("given up as master")
	}
	c.BecomeRole(control.StateBackup)
	if peer.Say(wire.CTUpdate, f); c.Own.Internal.Has(&f.Orig) {
		t.Error("kept as backup")
	}
	if n := statistics(c).Inject.Disowned; n != 1 {
		t.Errorf("%d flows given up, want 1", n)
	}
}

// TestEventCompletesPeersFlow has an event of a flow that was the peer's alone: what goes out has what the event leaves
// out.
func TestEventCompletesPeersFlow(t *testing.T) {
	c, l := coretest.NewOpen(injecting)
	announced := flowTo(1)
	announced.Has |= flow.HasHelper | flow.HasLabels
	announced.Helper, announced.Labels = [16]byte{'f', 't', 'p'}, [16]byte{7}
	coretest.NewPeer(t, c, l).Say(wire.CTNew, announced)
	c.Apply(coretest.Events(ctnetlink.EventUpdate, flow.Flow{
		Orig: announced.Orig, Reply: announced.Reply, Has: flow.HasReply | flow.HasTimeout | flow.HasID, Timeout: 30, ID: 5,
	}))
	var e cache.Entry
	ref, ok := c.Own.Internal.Lookup(&announced.Orig)
	if !ok || !c.Own.Internal.Load(ref, &e) {
		t.Fatal("not ours after an event")
	}
	f := &e.Flow
	kept := f.Helper == announced.Helper && f.Labels == announced.Labels && f.Mark == announced.Mark
	if !kept || f.Timeout != 30 || f.ID != 5 {
		t.Errorf("ours: %+v", *f)
	}
	if c.Peer.External.Len() != 1 {
		t.Error("the peer's is forgotten")
	}
}

// TestLedgerIsNoCache: with disable-external-cache readers see what the kernel was given, and no external cache.
func TestLedgerIsNoCache(t *testing.T) {
	c, l := coretest.NewOpen(injecting)
	coretest.NewPeer(t, c, l).Say(wire.CTNew, flowTo(1), flowTo(2))
	var st control.Status
	c.Status(&st)
	s := statistics(c)
	if !st.Injecting || st.External != 0 || st.Injected != 2 || s.External.Active != 0 || s.Inject.Flows != 2 {
		t.Errorf("status: external %d, injected %d; statistics: %+v, %+v", st.External, st.Injected, s.External, s.Inject)
	}
	if s.Inject.Waiting != 2 {
		t.Errorf("%d flows wait, want 2", s.Inject.Waiting)
	}
	placed(c)
	if n := statistics(c).Inject.Waiting; n != 0 {
		t.Errorf("%d flows wait, want none", n)
	}
}
