package link

import (
	"net/netip"
	"time"
)

// peerSilence is how long the peer must have been silent before another sender on a multicast link that names nobody
// may stand in for it. Protocol v1 has one sequence space per receiver: two senders heard at once would look like
// endless loss.
const peerSilence = int64(10 * time.Second)

// peerMoves is how long the peer must have been silent, though it says something every second, before a sender on
// another link that continues its sequence is taken for it.
const peerMoves = int64(1500 * time.Millisecond)

// Peer is whom the session talks with: the first sender heard. It has an address on each link; see Channel.
type Peer struct {
	Addr  netip.Addr // from which it last spoke
	At    *Channel   // by which it last spoke
	Heard int64      // when it last said something readable; 0 = never
	Left  int64      // when another router first stood in for it; 0 = none does
}

// Verdict is what Admit thinks of a sender.
type Verdict uint8

// The verdicts. A stranger's datagram is dropped and was counted.
const (
	Stranger Verdict = iota
	ThePeer
	AnotherPeer // the sender is the peer from now on; it is not the one of before
)

// Knows reports whether addr is the peer's address on a link: Admit takes all that comes from there.
func (s *Set) Knows(ch *Channel, addr netip.Addr) bool { return addr == ch.peer }

// Admit decides whether the sender of a datagram on a link is the peer. On a link that names the peer it is. On another
// one, which is multicast, a sender that has not been heard there may be the peer, which sends by another link than
// before, or another router.
//
// That one stands in for the peer when the peer has been silent for long: the other router may have got another
// address. But it may as well be a stranger, and the peer dead for an hour. So the peer is taken again as soon as it is
// heard, and until then its flows are kept (see Absent) and the pair is not in step.
func (s *Set) Admit(ch *Channel, from Sender, now int64) Verdict {
	v := ThePeer
	if from.Addr != ch.peer {
		if v = s.admit(ch, from, now); v == Stranger {
			return v
		}
		ch.peer = from.Addr
	}
	s.peer.Addr, s.peer.At = from.Addr, ch
	return v
}

func (s *Set) admit(ch *Channel, from Sender, now int64) Verdict {
	silent, known := now-s.peer.Heard, s.peer.Addr.IsValid()
	moved := from.Continues && ch != s.peer.At
	switch {
	case !ch.named() && !from.Readable: // noise must not take the place of a peer that has not spoken yet
		ch.unreadable++
		s.ignore(ch, from, whyUnreadable, now)
		return Stranger
	case !known:
		s.log.Info("peer heard", "peer", from.Addr, "interface", ch.Name())
	case ch.named(), moved && (silent >= peerMoves || !s.peer.At.Usable()):
		s.log.Info("peer heard on another link", "peer", from.Addr, "interface", ch.Name(), "was", s.peer.Addr)
	case from.Addr == ch.absent:
		s.log.Warn("the peer is back, who stood in for it is ignored from now on", "peer", from.Addr,
			"stood-in", s.peer.Addr, "silent-for", seconds(now-s.absent.Heard))
		s.back()
		return AnotherPeer
	case silent >= peerSilence:
		s.standIn(now)
		s.log.Warn("another router stands in for the peer, whose flows are kept until it is back: "+
			"ctsync reset external-cache takes the other one for good", "peer", s.absent.Addr, "stands-in", from.Addr,
			"interface", ch.Name())
		return AnotherPeer
	default:
		s.foreign++
		ch.foreign++
		if !moved {
			s.ignore(ch, from, whySecond, now)
		}
		return Stranger
	}
	return ThePeer
}

// standIn makes room for another router in the place of the peer.
func (s *Set) standIn(now int64) {
	if !s.absent.Addr.IsValid() {
		s.absent = s.peer
		s.absent.Left = now
		for _, ch := range s.channels {
			ch.absent = ch.peer
		}
	}
	s.anotherPeer()
}

// back makes the absent peer the peer again.
func (s *Set) back() {
	s.anotherPeer()
	for _, ch := range s.channels {
		ch.peer = ch.absent
	}
	s.TakeStandIn()
}

// TakeStandIn takes the router that stands in for the absent peer, if there is one, for the peer from now on.
func (s *Set) TakeStandIn() {
	s.absent = Peer{}
	for _, ch := range s.channels {
		ch.absent = netip.Addr{}
	}
}

// Absent returns what is known of the peer for which another router stands in, and whether one does.
func (s *Set) Absent() (p Peer, standsIn bool) { return s.absent, s.absent.Addr.IsValid() }

func (s *Set) anotherPeer() {
	s.forgetPeer()
	s.news.AnotherPeer = true
}

// Heard takes note that the peer said something readable by a link. news says that it was something new, and not a
// repetition: then the link that sends follows it.
func (s *Set) Heard(ch *Channel, news bool, now int64) {
	s.peer.Heard = now
	if news {
		s.chose(s.Sending().Name(), s.choice.heardOn(ch.index, now), now)
	}
}

// Peer returns what is known of the peer.
func (s *Set) Peer() Peer { return s.peer }

// forgetPeer forgets where the peer was heard.
func (s *Set) forgetPeer() {
	s.peer = Peer{}
	for _, ch := range s.channels {
		ch.peer = netip.Addr{}
	}
}
