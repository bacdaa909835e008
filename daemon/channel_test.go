package daemon

import (
	"net/netip"
	"testing"

	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// twoLinkCore is a core with two open multicast links on a clock of its own, and the peer heard on the first.
func twoLinkCore(t *testing.T) (c *core, clock *int64) {
	t.Helper()
	c, l := newTestCore()
	clock = new(int64)
	*clock = 1000 * sec
	c.now = func() int64 { return *clock }
	c.seq = func() uint32 { return 5000 }
	c.choice = newChoice(*clock, func() uint32 { return 0 })
	c.links = nil
	c.setLinks([]*channel{newChannel(), newChannel()}, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}})
	for _, ch := range c.links {
		c.linkOpened(ch, l)
	}
	c.newSession()
	c.datagram(c.links[0], addrA, wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0))
	if c.peer.addr != addrA.Addr() || !c.session.State().Established {
		t.Fatalf("the first sender is not the peer: %+v", c.peer)
	}
	return c, clock
}

// TestPeerOnSeveralLinks: the peer has an address on each link, and nobody else gets a word in while it speaks on any.
func TestPeerOnSeveralLinks(t *testing.T) {
	alive := func(seq uint32) []byte { return wire.AppendControl(nil, wire.Alive, seq, 0, 0) }
	other, third := netip.MustParseAddrPort("10.1.0.1:7"), netip.MustParseAddrPort("10.1.0.9:7")
	c, clock := twoLinkCore(t)
	for _, step := range []struct {
		name    string
		after   int64 // ms
		link    int
		src     netip.AddrPort
		seq     uint32
		taken   bool
		active  int
		restart bool // a conversation begins
	}{
		{"the peer", 1000, 0, addrA, 101, true, 0, false},
		{"a stranger beside it", 1, 0, addrB, 102, false, 0, false},
		{"a stranger on the other link", 1, 1, third, 1 << 30, false, 0, false},
		{"one that goes on, while the peer still speaks", 1, 1, other, 102, false, 0, false},
		{"a stranger when it has been silent for a moment", 1600, 1, third, 1 << 30, false, 0, false},
		{"the peer moves", 1, 1, other, 102, true, 1, false},
		{"it goes on there", 1000, 1, other, 103, true, 1, false},
		{"a late one by the link before", 1, 0, addrA, 101, true, 1, false},
		{"and back, without delay", 10, 0, addrA, 104, true, 0, false},
		{"a stranger where it was", 5, 1, third, 105, false, 0, false},
		{"another router after a long silence", 11000, 1, third, 1 << 30, true, 1, true},
		{"the peer of before, now the stranger", 100, 0, addrA, 106, false, 1, false},
	} {
		*clock += step.after * 1e6
		session, foreign := c.session, c.counts.foreign
		c.datagram(c.links[step.link], step.src, alive(step.seq))
		if taken := c.counts.foreign == foreign; taken != step.taken || c.choice.active != step.active {
			t.Fatalf("%s: taken %v, active link %d", step.name, taken, c.choice.active)
		}
		if restart := c.session != session; restart != step.restart {
			t.Errorf("%s: a conversation begins: %v", step.name, restart)
		}
		if step.taken && (c.peer.addr != step.src.Addr() || c.peer.heard != *clock) {
			t.Errorf("%s: %+v", step.name, c.peer)
		}
	}
	if a, b := c.links[0].foreign, c.links[1].foreign; a != 2 || b != 4 || c.counts.foreign != 6 {
		t.Errorf("strangers counted: %d on the first, %d on the second, %d in all", a, b, c.counts.foreign)
	}
}

// TestPeerFollowedWhereItsLinkIsDown: what goes on by another link when the one before is down is the peer, at once.
func TestPeerFollowedWhereItsLinkIsDown(t *testing.T) {
	c, clock := twoLinkCore(t)
	*clock += sec / 1000
	c.linkIs(c.links[0], c.links[0].open, "NO-CARRIER")
	if c.choice.active != 1 || c.counts.linkChanges != 1 {
		t.Errorf("active link %d after %d changes", c.choice.active, c.counts.linkChanges)
	}
	c.datagram(c.links[1], netip.MustParseAddrPort("10.1.0.1:7"), wire.AppendControl(nil, wire.Alive, 101, 0, 0))
	if c.counts.foreign != 0 || c.session.State().PeerSeq != 101 {
		t.Errorf("%d strangers, number %d", c.counts.foreign, c.session.State().PeerSeq)
	}
}

// TestReloadedPeer: a configuration that leads to the same router keeps the conversation, another begins a new one.
func TestReloadedPeer(t *testing.T) {
	ip := netip.MustParseAddr
	uni := func(dev, peer string) transport.Config { return transport.Config{Interface: dev, Peer: ip(peer)} }
	multi := func(dev string) transport.Config { return transport.Config{Interface: dev} }
	for _, tt := range []struct {
		name     string
		old, now []transport.Config
		same     bool
	}{
		{"port", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{{Interface: "a", Peer: ip("10.0.0.1"), Port: 9}}, true},
		{"a link more", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{uni("b", "10.1.0.1"), uni("a", "10.0.0.1")}, true},
		{"the heard one removed", []transport.Config{uni("a", "10.0.0.1"), uni("b", "10.1.0.1")}, []transport.Config{uni("b", "10.1.0.1")}, true},
		{"interface renamed", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{uni("b", "10.0.0.1")}, true},
		{"another peer", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{uni("a", "10.0.0.7")}, false},
		{"another link to another peer", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{uni("b", "10.1.0.1")}, false},
		{"multicast to unicast", []transport.Config{multi("a")}, []transport.Config{uni("a", "10.0.0.1")}, true},
		{"multicast to unicast with another", []transport.Config{multi("a")}, []transport.Config{uni("a", "10.0.0.7")}, false},
		{"unicast to multicast", []transport.Config{uni("a", "10.0.0.1")}, []transport.Config{multi("a")}, true},
		{"multicast elsewhere", []transport.Config{multi("a")}, []transport.Config{multi("b")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, l := newTestCore()
			byName := map[string]*channel{}
			set := func(cfgs []transport.Config) {
				var links []*channel
				for _, cfg := range cfgs {
					if byName[cfg.Interface] == nil {
						byName[cfg.Interface] = newChannel()
					}
					links = append(links, byName[cfg.Interface])
				}
				c.setLinks(links, cfgs)
			}
			set(tt.old)
			c.linkOpened(c.links[0], l)
			c.datagram(c.links[0], addrA, wire.AppendControl(nil, wire.Alive, 100, 0, 0)) // 10.0.0.1
			session := c.session
			set(tt.now)
			if same := c.session == session; same != tt.same || same != c.peer.addr.IsValid() {
				t.Errorf("the conversation goes on: %v, peer %v", same, c.peer.addr)
			}
		})
	}
}

// sizedLink is a link with an MTU.
type sizedLink struct {
	memLink
	size int
}

func (l *sizedLink) MaxPayload() int { return l.size }

// TestDatagramsFitEveryLink: any open link may be the next to send.
func TestDatagramsFitEveryLink(t *testing.T) {
	c, _ := twoLinkCore(t)
	for _, ch := range c.links {
		c.linkClosed(ch)
	}
	big, small := &sizedLink{size: 8968}, &sizedLink{size: 1228}
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() { c.linkOpened(c.links[0], big) }, 8968},
		{func() { c.linkOpened(c.links[1], small) }, 1228},
		{func() { c.linkFailed(c.links[1], errReopen) }, 8968},
		{func() { c.linkFailed(c.links[0], errReopen) }, 8968}, // none is open: as it was
		{func() { c.linkOpened(c.links[1], small) }, 1228},
	} {
		step.do()
		if c.datagramSize != step.want {
			t.Errorf("datagrams of %d bytes, want %d", c.datagramSize, step.want)
		}
	}
}

// TestRubbishIsNoSignOfLife: what stands for the peer in all decisions about its flows is what could be read.
func TestRubbishIsNoSignOfLife(t *testing.T) {
	c, clock := twoLinkCore(t)
	heard := c.peer.heard
	*clock += 60 * sec
	c.datagram(c.links[0], addrA, []byte("rubbish of a known sender"))
	st := c.session.Stats()
	if c.peer.heard != heard || c.peerAnswers() || st.Malformed[wire.BadSize] != 1 {
		t.Errorf("heard %d later, answers %v, malformed %v", c.peer.heard-heard, c.peerAnswers(), st.Malformed)
	}
	c.datagram(c.links[0], addrA, wire.AppendControl(nil, wire.Alive, 101, 0, 0))
	if c.peer.heard != *clock || !c.peerAnswers() {
		t.Errorf("heard %d, now %d", c.peer.heard, *clock)
	}
}
