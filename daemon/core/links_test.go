package core_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/link"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

const sec = int64(time.Second)

func alive(seq uint32) []byte { return wire.AppendControl(nil, wire.Alive, seq, 0, 0) }

// hearing has a datagram come by a link.
type hearing func(link int, src netip.Addr, datagram []byte)

// twoLinkCore is a core with two open multicast links, on a clock that the test moves, and the peer heard on the first.
func twoLinkCore(t *testing.T, clock *int64) (c *core.Core, hear hearing) {
	t.Helper()
	c = coretest.New(onClock(clock))
	coretest.Open(c, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}}, &coretest.Link{}, &coretest.Link{})
	hear = func(i int, src netip.Addr, datagram []byte) { c.Receive(c.Links.Channels()[i], src, datagram) }
	hear(0, coretest.AddrA, wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0))
	if c.Links.Peer().Addr != coretest.AddrA || !c.Answers() {
		t.Fatalf("the first sender is not the peer: %+v", c.Links.Peer())
	}
	return c, hear
}

// TestNoiseIsNotThePeer: a stranger that says something unreadable before the peer has spoken does not take its place,
// and gets no session.
func TestNoiseIsNotThePeer(t *testing.T) {
	c, l := coretest.NewOpen()
	ch := c.Links.Channels()[0]
	whole := alive(100)
	for _, noise := range [][]byte{[]byte("noise"), whole[:len(whole)-1], append(alive(100), 1)} {
		c.Receive(ch, coretest.AddrA, noise)
		if p := c.Links.Peer(); p.Addr.IsValid() || c.PeerHeard() != 0 {
			t.Fatalf("%q makes %v the peer", noise, p.Addr)
		}
	}
	coretest.NewPeer(t, c, l)
	if p := c.Links.Peer(); p.Addr != coretest.AddrB {
		t.Errorf("the peer is %v, want %v", p.Addr, coretest.AddrB)
	}
}

// TestRubbishIsNoSignOfLife: what stands for the peer in all decisions about its flows is what could be read.
func TestRubbishIsNoSignOfLife(t *testing.T) {
	clock := 1000 * sec
	c, hear := twoLinkCore(t, &clock)
	heard := c.PeerHeard()
	clock += 60 * sec
	hear(0, coretest.AddrA, []byte("rubbish of a known sender"))
	if n := statistics(c).Tracking.Malformed.Total(); c.PeerHeard() != heard || c.Answers() || n != 1 {
		t.Errorf("heard %d later, answers %v, malformed %d", c.PeerHeard()-heard, c.Answers(), n)
	}
	hear(0, coretest.AddrA, alive(101))
	if c.PeerHeard() != clock || !c.Answers() {
		t.Errorf("heard %d, now %d", c.PeerHeard(), clock)
	}
}

// TestAnotherPeerIsAnotherSession: the session goes on while the peer changes its link, and starts over with another
// router, whether that speaks in its place or is configured.
func TestAnotherPeerIsAnotherSession(t *testing.T) {
	other, third := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.9")
	configure := func(c *core.Core, cfgs ...transport.Config) {
		c.ChangeLinks(func(s *link.Set, now int64) { s.Follow(s.Channels(), cfgs, now) })
	}
	for _, tt := range []struct {
		name string
		do   func(c *core.Core, hear hearing, clock *int64)
		same bool
		seq  uint32 // the peer's last number in the session
	}{
		{"the peer moves", func(_ *core.Core, hear hearing, clock *int64) {
			*clock += 2 * sec
			hear(1, other, alive(101))
		}, true, 101},
		{"a stranger", func(_ *core.Core, hear hearing, clock *int64) {
			*clock += sec
			hear(1, third, alive(1<<30))
		}, true, 100},
		{"a stranger after a long silence", func(_ *core.Core, hear hearing, clock *int64) {
			*clock += 11 * sec
			hear(1, third, alive(1<<30))
		}, false, 1 << 30},
		{"the same peer is configured", func(c *core.Core, _ hearing, _ *int64) {
			configure(c, transport.Config{Interface: "sync0", Peer: coretest.AddrA}, transport.Config{Interface: "sync1"})
		}, true, 100},
		{"another peer is configured", func(c *core.Core, _ hearing, _ *int64) {
			configure(c, transport.Config{Interface: "sync0", Peer: third}, transport.Config{Interface: "sync1", Peer: third})
		}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := 1000 * sec
			c, hear := twoLinkCore(t, &clock)
			was := statistics(c).Session.Received["alive"]
			tt.do(c, hear, &clock)
			now := statistics(c).Session
			if same := now.State == "established" && now.Received["alive"] >= was; same != tt.same {
				t.Errorf("the session goes on: %v, %+v", same, now)
			}
			if now.PeerSequence != tt.seq {
				t.Errorf("the peer's last number is %d, want %d", now.PeerSequence, tt.seq)
			}
		})
	}
}

// TestFirstLinkBeginsTheSession: before it there is nothing to say and nobody to ask.
func TestFirstLinkBeginsTheSession(t *testing.T) {
	c := coretest.New()
	c.RequestResync()
	c.Transmit()
	c.Tick()
	var st control.Status
	c.Status(&st)
	why := strings.Join(st.Why, "; ")
	if !strings.Contains(why, "the sync link is not open yet") || c.Answers() || statistics(c).Session.State != "" {
		t.Errorf("without links: %q", why)
	}
	l := &coretest.Link{}
	coretest.Open(c, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}}, l)
	c.Tick()
	if len(l.Ends) == 0 {
		t.Error("nothing is said by the link that is open")
	}
	l.Drop()
	c.ChangeLinks(func(s *link.Set, now int64) { s.Opened(s.Channels()[1], &coretest.Link{}, make(chan error, 1), now) })
	if c.Tick(); len(l.Ends) != 0 {
		t.Error("the second link begins the session once more")
	}
}

// TestPeerThatIsDeaf: a peer that speaks but shows no sign of hearing us is tried by the other link.
func TestPeerThatIsDeaf(t *testing.T) {
	clock := 1000 * sec
	c, hear := twoLinkCore(t, &clock)
	for seq := uint32(101); seq < 200; seq++ { // with HELLO: it has not heard our answer
		clock += sec / 2
		hear(0, coretest.AddrA, wire.AppendControl(nil, wire.Alive|wire.Hello, seq, 0, 0))
		c.Tick()
		if c.Links.Sending() != c.Links.Channels()[0] {
			if seq < 108 {
				t.Errorf("after %d messages already", seq-100)
			}
			return
		}
	}
	t.Error("never")
}

// TestAnotherPeerGetsTheWholeTable: what was sent to the peer of before does not count as sent to this one.
func TestAnotherPeerGetsTheWholeTable(t *testing.T) {
	clock := 1000 * sec
	c, l := coretest.NewOpen(onClock(&clock))
	peer := coretest.NewPeer(t, c, l) // it asked for our table, and the bulk has not begun
	c.Apply(coretest.Block(ctnetlink.EventNew, 1))
	if peer.Say(wire.CTNew); c.Own.Internal.Dirty() != 0 {
		t.Fatal("not sent")
	}
	clock += 60 * sec
	c.Receive(c.Links.Channels()[0], coretest.AddrB.Next(), alive(1<<30))
	c.BeginBulk()
	c.AnnounceFrom(0, 1<<20)
	if n := c.Own.Internal.Dirty(); n != c.Own.Internal.Len() {
		t.Errorf("%d of %d flows are announced to another peer", n, c.Own.Internal.Len())
	}
}

// TestSessionFollowsTheLinks: datagrams fit every link that is open, and a change of the link that sends is heard at
// once.
func TestSessionFollowsTheLinks(t *testing.T) {
	clock := 1000 * sec
	c := coretest.New(onClock(&clock))
	big, small := &coretest.Link{}, &coretest.Link{Size: 576}
	coretest.Open(c, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}}, big)
	hello := wire.AppendControl(nil, wire.Alive|wire.HelloBack, 100, 0, 0)
	c.Receive(c.Links.Channels()[0], coretest.AddrA, hello)
	c.ChangeLinks(func(s *link.Set, now int64) { s.Opened(s.Channels()[1], small, make(chan error, 1), now) })
	c.Tick()
	big.Drop()
	c.Apply(coretest.Block(ctnetlink.EventNew, 1))
	c.Transmit()
	if len(big.Ends) < 2 {
		t.Fatalf("%d datagrams", len(big.Ends))
	}
	big.Each(func(d []byte) {
		if len(d) > small.Size {
			t.Errorf("a datagram of %d bytes does not fit the other link", len(d))
		}
	})
	c.Tick()
	c.ChangeLinks(func(s *link.Set, now int64) { s.Is(s.Channels()[0], big, "NO-CARRIER", now) })
	if c.Tick(); len(small.Ends) == 0 {
		t.Error("nothing is said by the link that sends now")
	}
}
