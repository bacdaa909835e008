package link

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/transport"
)

// oneLink is a set of one open link at a time.
func oneLink(cfg transport.Config, l *fakeLink, now int64) *Set {
	s := newSet(now)
	s.Follow([]*Channel{NewChannel()}, []transport.Config{cfg}, now)
	s.open(0, l, now)
	return s
}

func router(addr netip.Addr) Sender { return Sender{Addr: addr, Readable: true} }

// statusOf is what the set shows at a time.
func statusOf(s *Set, now int64) control.Status {
	st := control.Status{Time: time.Unix(0, now)}
	s.Status(&st, now)
	return st
}

// has wants a reason with these words, or none.
func (s *Set) has(t *testing.T, now int64, words string, want bool) {
	t.Helper()
	why := strings.Join(s.Why(now), "\n")
	if strings.Contains(why, words) != want {
		t.Errorf("%q is a reason: %v; there are\n%s", words, !want, why)
	}
}

// TestStandIn: another router stands in for a silent peer, which is taken again as soon as it is heard, on whatever
// link. Until then, and while the other one goes on, the pair is not in step.
func TestStandIn(t *testing.T) {
	now := 1000 * sec
	s := twoLinks(t, now)
	now += 2 * sec
	s.hear(1, Sender{Addr: otherA, Readable: true, Continues: true}, true, now) // the peer's address on the other link
	s.News()
	if why := s.Why(now); len(why) > 0 {
		t.Fatalf("not in step: %q", why)
	}

	left := now + 11*sec
	now = left
	if v := s.hear(0, router(addrB), true, now); v != AnotherPeer || !s.News().AnotherPeer {
		t.Fatalf("the other router: verdict %d", v)
	}
	if p, standsIn := s.Absent(); !standsIn || p.Addr != otherA || p.Left != left || p.Heard != left-11*sec {
		t.Errorf("absent: %v, %+v", standsIn, p)
	}
	s.has(t, now, "10.0.0.2 speaks in place of the peer 10.1.0.1, which has been silent for 11s", true)

	now += 20 * sec
	if v := s.hear(1, router(stranger), true, now); v != AnotherPeer {
		t.Errorf("a third one after a silence: verdict %d", v)
	}
	if p, _ := s.Absent(); p.Addr != otherA || p.Left != left {
		t.Errorf("the third one changes who is absent: %+v", p)
	}

	now += sec
	if v := s.hear(0, router(addrA), true, now); v != AnotherPeer || s.peer.Addr != addrA {
		t.Errorf("the peer is back: verdict %d, %+v", v, s.peer)
	}
	if _, standsIn := s.Absent(); standsIn {
		t.Error("it is back and absent")
	}
	now += sec
	if v := s.hear(1, Sender{Addr: otherA, Readable: true}, true, now); v != ThePeer {
		t.Errorf("the peer on the other link: verdict %d", v)
	}
	if v := s.hear(0, router(addrB), true, now); v != Stranger {
		t.Errorf("who stood in: verdict %d", v)
	}
	s.has(t, now, "another router speaks on sync0 and is ignored, a pair has two members: 10.0.0.2", true)
	s.has(t, now+11*sec, "10.0.0.2", false)
}

// TestStandInIsTaken: an operator or the configuration says that who stands in is the peer.
func TestStandInIsTaken(t *testing.T) {
	for name, take := range map[string]func(s *Set, now int64){
		"an operator": func(s *Set, _ int64) { s.TakeStandIn() },
		"the configuration": func(s *Set, now int64) {
			cfgs := []transport.Config{{Interface: "sync0", From: addrB}, {Interface: "sync1", From: stranger}}
			s.Follow(s.Channels(), cfgs, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := 1000 * sec
			s := twoLinks(t, now)
			now += 11 * sec
			s.hear(0, router(addrB), true, now)
			s.News()
			take(s, now)
			if _, standsIn := s.Absent(); standsIn || s.News().AnotherPeer || s.peer.Addr != addrB {
				t.Errorf("absent %v, peer %v", standsIn, s.peer.Addr)
			}
			s.has(t, now, "in place of", false)
		})
	}
}

// TestNamedPeer: who is named is the peer, however long it is silent; what the link refuses is shown, with what to do.
func TestNamedPeer(t *testing.T) {
	for _, tt := range []struct {
		cfg  transport.Config
		why  transport.Refusal
		from netip.Addr
		want string
	}{
		{unicast("sync0", "10.0.0.1"), transport.WrongSource, addrB, "datagrams on sync0 come from 10.0.0.2, not from the peer 10.0.0.1: if it is the other router, set listen-address"},
		{transport.Config{Interface: "sync0", From: addrA}, transport.WrongSource, addrB, "datagrams on sync0 come from 10.0.0.2, not from the peer 10.0.0.1: if it is the other router, set listen-address"},
		{multicast("sync0"), transport.WrongSource, stranger, "datagrams on sync0 come from 10.1.0.9, which is in none of its networks: give both routers"},
		{multicast("sync0"), transport.Looped, addrB, "datagrams from our own address come in on sync0, from 10.0.0.2: find what reflects them"},
		{multicast("sync0"), transport.WrongInterface, addrB, "datagrams for the link on sync0 come in by another interface, from 10.0.0.2: check the cabling"},
	} {
		now := 1000 * sec
		s := oneLink(tt.cfg, &fakeLink{size: 1468}, now)
		s.has(t, now, "the peer has not been heard: check that it runs", true)
		for range 3 {
			s.Refused(s.channels[0], router(tt.from), tt.why, now)
		}
		s.has(t, now+4*sec, tt.want, true)
		s.has(t, now+5*sec, tt.from.String(), false)
		list := statusOf(s, now+10*sec).Senders
		want := control.Sender{
			Address: tt.from.String(), Device: "sync0", Seems: control.SeemsRouter, Datagrams: 3,
			First: time.Unix(0, now), Last: time.Unix(0, now),
		}
		if len(list) != 1 {
			t.Fatalf("%d are shown", len(list))
		}
		if want.Why = list[0].Why; list[0] != want {
			t.Errorf("shown: %+v", list)
		}
		if s.Review(false, now+senderKept); len(statusOf(s, now+senderKept).Senders) != 0 {
			t.Error("shown for ever")
		}
	}
}

// TestOwnAddressIsDoubtful: an interface with several addresses is a reason to look at listen-address while the peer is
// not heard.
func TestOwnAddressIsDoubtful(t *testing.T) {
	now := 1000 * sec
	s := oneLink(unicast("sync0", "10.0.0.1"), &fakeLink{size: 1468, also: []netip.Addr{stranger}}, now)
	s.has(t, now, "this router sends from 10.1.0.1, and sync0 also has 10.1.0.9: name the right one as listen-address", true)
	s.Admit(s.channels[0], Sender{Addr: addrA}, now)
	s.Heard(s.channels[0], true, now)
	s.has(t, now, "listen-address", false)
}

// TestFreshRouterHearsTwo: it takes the first, and says that there is another.
func TestFreshRouterHearsTwo(t *testing.T) {
	now := 1000 * sec
	s := oneLink(multicast("sync0"), &fakeLink{size: 1468}, now)
	s.hear(0, Sender{Addr: addrA, Readable: true, Hello: true}, true, now)
	s.hear(0, Sender{Addr: addrB, Readable: true, Hello: true}, true, now)
	s.has(t, now, "another router speaks on sync0 and is ignored, a pair has two members: 10.0.0.2: give each pair a port", true)
	list := statusOf(s, now).Senders
	if len(list) != 1 || list[0].Seems != control.SeemsStarting || list[0].Why != whySecond {
		t.Errorf("shown: %+v", list)
	}
	s.hear(0, Sender{Addr: addrB}, true, now) // noise of the same sender
	if got := statusOf(s, now).Senders[0].Seems; got != control.SeemsStarting {
		t.Errorf("it seems to be %s", got)
	}
}

// TestSendersAreBounded: a flood of forged addresses is shown by its latest ones, and a real one that goes on stays.
func TestSendersAreBounded(t *testing.T) {
	now := 1000 * sec
	s := oneLink(multicast("sync0"), &fakeLink{size: 1468}, now)
	s.hear(0, router(addrA), true, now)
	for i := range 100_000 {
		now += 1e6
		s.hear(0, router(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})), true, now)
		if i%10 == 0 {
			s.hear(0, router(stranger), true, now)
		}
		s.Heard(s.channels[0], true, now)
	}
	list := statusOf(s, now).Senders
	if len(list) != sendersMost || !strings.Contains(fmt.Sprint(list), stranger.String()) {
		t.Errorf("%d are shown: %+v", len(list), list)
	}
	s.has(t, now, fmt.Sprintf("and %d more", sendersMost-3), true)
}

// TestLossIsAReason: each way to lose datagrams is a reason with what to do while it happens, and not for ever.
func TestLossIsAReason(t *testing.T) {
	for _, tt := range []struct {
		stats transport.Stats
		want  string
	}{
		{transport.Stats{SendUnreachable: 3}, "the kernel cannot send to 10.0.0.1 by sync0 (no route, or no answer to ARP or neighbour discovery): check that the other router is up and in a network of sync0 (3)"},
		{transport.Stats{SendBlocked: 3}, "the firewall of this router drops what is sent to 10.0.0.1: let UDP port 3780 out by sync0 (3)"},
		{transport.Stats{SendTooLong: 3}, "datagrams to 10.0.0.1 are too long for the path by sync0: lower the MTU"},
		{transport.Stats{SendQueueFull: 3}, "the queue of sync0 is full, datagrams are lost: raise sync-queue-size"},
		{transport.Stats{SendOther: 3}, "the kernel refuses to send to 10.0.0.1 by sync0: see"},
		{transport.Stats{KernelDrops: 3}, "datagrams of the peer are dropped on sync0, the receive buffer is full: raise sync-queue-size (3)"},
		{transport.Stats{Truncated: 3}, "datagrams on sync0 are longer than UDP allows, and dropped: see what sends to UDP port 3780 there (3)"},
		{transport.Stats{RecvErrors: 3}, "reading from sync0 fails: see ctsync show log (3)"},
	} {
		now, l := 1000*sec, &fakeLink{size: 1468}
		s := oneLink(unicast("sync0", "10.0.0.1"), l, now)
		s.Admit(s.channels[0], Sender{Addr: addrA}, now)
		s.Heard(s.channels[0], true, now)
		if s.Review(false, now); len(s.Why(now)) != 0 {
			t.Errorf("before: %q", s.Why(now))
		}
		l.stats = tt.stats
		s.Review(false, now+sec)
		s.has(t, now+sec, tt.want, true)
		s.Heard(s.channels[0], true, now+30*sec)
		if s.Review(false, now+30*sec); len(s.Why(now+30*sec)) != 0 {
			t.Errorf("after: %q", s.Why(now+30*sec))
		}
	}
}

// TestStrangersCostNothing: noting one that is known allocates nothing.
func TestStrangersCostNothing(t *testing.T) {
	now := 1000 * sec
	var s senders
	ch := NewChannel()
	from := []Sender{router(addrA), router(addrB), {Addr: stranger}}
	if n := testing.AllocsPerRun(100, func() {
		now++
		for _, f := range from {
			s.note(ch, f, whySecond, now)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoiseHidesNoRouter: noise from ever other addresses leaves the second router in the list, and the reason.
func TestNoiseHidesNoRouter(t *testing.T) {
	var s senders
	ch, now := NewChannel(), 1000*sec
	s.note(ch, router(addrB), whySecond, now)
	for i := range 100 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		s.note(ch, Sender{Addr: from}, whyUnreadable, now+int64(i))
	}
	if here := s.here(ch, whySecond, now+sec); len(here) != 1 || len(s.list) != sendersMost {
		t.Errorf("%d are known, of these routers: %v", len(s.list), here)
	}
}
