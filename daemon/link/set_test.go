package link

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"

	"ctsync/daemon/control"
	"ctsync/daemon/transport"
)

// fakeLink is a link that is up. What the Set does not ask for is missing.
type fakeLink struct {
	Link
	size  int // of a datagram
	sent  uint64
	stats transport.Stats
	also  []netip.Addr // that the interface has
}

func (l *fakeLink) MaxPayload() int            { return l.size }
func (l *fakeLink) Up() (bool, string)         { return true, running }
func (l *fakeLink) Local() netip.Addr          { return otherA }
func (l *fakeLink) Alternatives() []netip.Addr { return l.also }
func (l *fakeLink) Stats() transport.Stats {
	return l.stats.Add(transport.Stats{DatagramsSent: l.sent})
}

var (
	addrA    = netip.MustParseAddr("10.0.0.1")
	addrB    = netip.MustParseAddr("10.0.0.2")
	otherA   = netip.MustParseAddr("10.1.0.1") // on another link
	stranger = netip.MustParseAddr("10.1.0.9")
)

func multicast(dev string) transport.Config { return transport.Config{Interface: dev} }

func unicast(dev, peer string) transport.Config {
	return transport.Config{Interface: dev, Peer: netip.MustParseAddr(peer)}
}

func newSet(now int64) *Set {
	s := NewSet(now, func() uint32 { return 0 }, slog.New(slog.DiscardHandler))
	return &s
}

// open opens a link.
func (s *Set) open(i int, l *fakeLink, now int64) {
	s.Opened(s.channels[i], l, make(chan error, 1), now)
}

// hear has a datagram come by link i, as core.Receive does.
func (s *Set) hear(i int, from Sender, news bool, now int64) Verdict {
	v := s.Admit(s.channels[i], from, now)
	if v != Stranger {
		s.Heard(s.channels[i], news, now)
	}
	return v
}

// twoLinks is a set of two open multicast links at a time, and the peer heard on the first.
func twoLinks(t *testing.T, now int64) *Set {
	t.Helper()
	s := newSet(now)
	s.Follow([]*Channel{NewChannel(), NewChannel()}, []transport.Config{multicast("sync0"), multicast("sync1")}, now)
	for i := range s.channels {
		s.open(i, &fakeLink{size: 1468}, now)
	}
	s.News()
	if v := s.hear(0, Sender{Addr: addrA, Readable: true}, true, now); v != ThePeer || s.peer.Addr != addrA {
		t.Fatalf("the first sender is not the peer: %+v", s.peer)
	}
	return s
}

// TestPeerOnSeveralLinks: the peer has an address on each link, and nobody else is heard while it speaks on any.
func TestPeerOnSeveralLinks(t *testing.T) {
	now := 1000 * sec
	s := twoLinks(t, now)
	for _, step := range []struct {
		name      string
		after     int64 // ms
		link      int
		src       netip.Addr
		continues bool // the peer's sequence
		repeated  bool // said before
		want      Verdict
		active    int
	}{
		{"the peer", 1000, 0, addrA, true, false, ThePeer, 0},
		{"a stranger beside it", 1, 0, addrB, true, false, Stranger, 0},
		{"a stranger on the other link", 1, 1, stranger, false, false, Stranger, 0},
		{"one that continues, while the peer still speaks", 1, 1, otherA, true, false, Stranger, 0},
		{"a stranger when it has been silent for a moment", 1600, 1, stranger, false, false, Stranger, 0},
		{"the peer moves", 1, 1, otherA, true, false, ThePeer, 1},
		{"it goes on there", 1000, 1, otherA, true, false, ThePeer, 1},
		{"a late one by the link before", 1, 0, addrA, true, true, ThePeer, 1},
		{"and back, without delay", 10, 0, addrA, true, false, ThePeer, 0},
		{"a stranger where it was", 5, 1, stranger, true, false, Stranger, 0},
		{"another router after a long silence", 11000, 1, stranger, false, false, AnotherPeer, 1},
		{"the peer is back", 100, 0, addrA, false, false, AnotherPeer, 1},
		{"who stood in for it is a stranger", 100, 1, stranger, false, false, Stranger, 1},
	} {
		now += step.after * 1e6
		v := s.hear(step.link, Sender{Addr: step.src, Readable: true, Continues: step.continues}, !step.repeated, now)
		if v != step.want || s.choice.active != step.active {
			t.Fatalf("%s: verdict %d, active link %d", step.name, v, s.choice.active)
		}
		if news := s.News(); news.AnotherPeer != (step.want == AnotherPeer) {
			t.Errorf("%s: news %+v", step.name, news)
		}
		if p := s.Peer(); v != Stranger && (p.Addr != step.src || p.At != s.channels[step.link] || p.Heard != now) {
			t.Errorf("%s: %+v", step.name, p)
		}
	}
	if a, b := s.channels[0].foreign, s.channels[1].foreign; a != 1 || b != 5 || s.foreign != 6 {
		t.Errorf("strangers counted: %d on the first, %d on the second, %d in all", a, b, s.foreign)
	}
}

// TestPeerFollowedWhereItsLinkIsDown: what continues by another link when the one before is down is the peer, at once.
func TestPeerFollowedWhereItsLinkIsDown(t *testing.T) {
	now := 1000 * sec
	s := twoLinks(t, now)
	now += sec / 1000
	s.Is(s.channels[0], s.channels[0].Open, "NO-CARRIER", now)
	if s.choice.active != 1 || s.changes != 1 || !s.News().Moved || s.News().Moved {
		t.Errorf("active link %d after %d changes", s.choice.active, s.changes)
	}
	if v := s.hear(1, Sender{Addr: otherA, Readable: true, Continues: true}, true, now); v != ThePeer || s.foreign != 0 {
		t.Errorf("verdict %d, %d strangers", v, s.foreign)
	}
}

// TestNoiseIsNobody: on a multicast link a datagram that is not protocol v1 does not make its sender the peer, neither
// before the peer is heard nor after a long silence. A configured peer needs no proof.
func TestNoiseIsNobody(t *testing.T) {
	now := 1000 * sec
	s := newSet(now)
	s.Follow([]*Channel{NewChannel()}, []transport.Config{multicast("sync0")}, now)
	s.open(0, &fakeLink{size: 1468}, now)
	if v := s.hear(0, Sender{Addr: addrB}, false, now); v != Stranger || s.peer.Addr.IsValid() {
		t.Errorf("noise is the peer's: verdict %d, %+v", v, s.peer)
	}
	if v := s.hear(0, Sender{Addr: addrA, Readable: true}, true, now); v != ThePeer {
		t.Errorf("the peer after noise: verdict %d", v)
	}
	now += 60 * sec
	if v := s.hear(0, Sender{Addr: addrB}, false, now); v != Stranger || s.peer.Addr != addrA {
		t.Errorf("noise after a silence: verdict %d, %+v", v, s.peer)
	}
	var st control.Statistics
	s.Statistics(&st)
	if s.foreign != 0 || st.Links[0].Dropped["unknown sender, not protocol v1"] != 2 {
		t.Errorf("%d strangers, dropped %v", s.foreign, st.Links[0].Dropped)
	}

	u := newSet(now)
	u.Follow([]*Channel{NewChannel()}, []transport.Config{unicast("sync0", "10.0.0.1")}, now)
	u.open(0, &fakeLink{size: 1468}, now)
	if v := u.Admit(u.channels[0], Sender{Addr: addrA}, now); v != ThePeer {
		t.Errorf("the configured peer: verdict %d", v)
	}
}

// TestReloadedPeer: a configuration that leads to the same router keeps the peer, another leads to another peer.
func TestReloadedPeer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, now []transport.Config
		same     bool
	}{
		{"port", []transport.Config{unicast("a", "10.0.0.1")}, []transport.Config{{Interface: "a", Peer: addrA, Port: 9}}, true},
		{
			"a link more", []transport.Config{unicast("a", "10.0.0.1")},
			[]transport.Config{unicast("b", "10.1.0.1"), unicast("a", "10.0.0.1")}, true,
		},
		{
			"the heard one removed", []transport.Config{unicast("a", "10.0.0.1"), unicast("b", "10.1.0.1")},
			[]transport.Config{unicast("b", "10.1.0.1")}, true,
		},
		{"interface renamed", []transport.Config{unicast("a", "10.0.0.1")}, []transport.Config{unicast("b", "10.0.0.1")}, true},
		{"another peer", []transport.Config{unicast("a", "10.0.0.1")}, []transport.Config{unicast("a", "10.0.0.7")}, false},
		{
			"another link to another peer", []transport.Config{unicast("a", "10.0.0.1")},
			[]transport.Config{unicast("b", "10.1.0.1")}, false,
		},
		{"multicast to unicast", []transport.Config{multicast("a")}, []transport.Config{unicast("a", "10.0.0.1")}, true},
		{
			"multicast to unicast with another", []transport.Config{multicast("a")},
			[]transport.Config{unicast("a", "10.0.0.7")}, false,
		},
		{"unicast to multicast", []transport.Config{unicast("a", "10.0.0.1")}, []transport.Config{multicast("a")}, true},
		{"multicast elsewhere", []transport.Config{multicast("a")}, []transport.Config{multicast("b")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, byName := newSet(0), map[string]*Channel{}
			follow := func(cfgs []transport.Config) {
				var links []*Channel
				for _, cfg := range cfgs {
					if byName[cfg.Interface] == nil {
						byName[cfg.Interface] = NewChannel()
					}
					links = append(links, byName[cfg.Interface])
				}
				s.Follow(links, cfgs, 1)
			}
			follow(tt.old)
			s.open(0, &fakeLink{size: 1468}, 1)
			s.hear(0, Sender{Addr: addrA, Readable: true}, true, 1)
			s.News()
			follow(tt.now)
			if same := !s.News().AnotherPeer; same != tt.same || same != s.Peer().Addr.IsValid() {
				t.Errorf("the same peer: %v, its address %v", same, s.Peer().Addr)
			}
		})
	}
}

// TestDatagramsFitEveryLink: any open link may be the next to send.
func TestDatagramsFitEveryLink(t *testing.T) {
	s := newSet(0)
	s.Follow([]*Channel{NewChannel(), NewChannel()}, []transport.Config{multicast("sync0"), multicast("sync1")}, 0)
	if s.Datagram() != 0 || s.News().Datagram != 0 {
		t.Errorf("datagrams of %d bytes before a link is open", s.Datagram())
	}
	big, small := &fakeLink{size: 8968}, &fakeLink{size: 1228}
	for _, step := range []struct {
		do       func()
		is, news int
	}{
		{func() { s.open(0, big, 0) }, 8968, 8968},
		{func() { s.open(1, small, 0) }, 1228, 1228},
		{func() { s.Failed(s.channels[1], errReopen, 0) }, 8968, 8968},
		{func() { s.Failed(s.channels[0], errReopen, 0) }, 8968, 0}, // none is open: as it was
		{func() { s.open(1, small, 0) }, 1228, 1228},
	} {
		step.do()
		if news := s.News().Datagram; s.Datagram() != step.is || news != step.news {
			t.Errorf("datagrams of %d bytes, news %d, want %d and %d", s.Datagram(), news, step.is, step.news)
		}
	}
}

// TestCountersSurviveReopening: those of a link never run backwards, and its trouble is shown until it is open again.
func TestCountersSurviveReopening(t *testing.T) {
	s := newSet(0)
	s.Follow([]*Channel{NewChannel()}, []transport.Config{multicast("sync0")}, 0)
	sent := func() uint64 {
		var st control.Statistics
		s.Statistics(&st)
		return st.Links[0].PacketsSent
	}
	s.open(0, &fakeLink{size: 1468, sent: 5}, 0)
	if got, no := sent(), s.NoLink(); got != 5 || no != "" {
		t.Errorf("%d datagrams sent, %q", got, no)
	}
	s.Failed(s.channels[0], errors.New("no such interface"), 0)
	if got, no := sent(), s.NoLink(); got != 5 || no != "the sync link on sync0 is not usable: no such interface" {
		t.Errorf("closed: %d datagrams sent, %q", got, no)
	}
	s.open(0, &fakeLink{size: 1468, sent: 2}, 0)
	if got, no := sent(), s.NoLink(); got != 7 || no != "" {
		t.Errorf("open again: %d datagrams sent, %q", got, no)
	}
}
