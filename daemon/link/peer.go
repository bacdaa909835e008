package link

import (
	"net/netip"
	"time"
)

// peerSilence is how long the peer must have been silent before another sender on a multicast link may take its place.
// Protocol v1 has one sequence space per receiver: two senders heard at once would look like endless loss.
const peerSilence = int64(10 * time.Second)

// peerMoves is how long the peer must have been silent, though it says something every second, before a sender on
// another link that continues its sequence is taken for it.
const peerMoves = int64(1500 * time.Millisecond)

// Peer is whom the session talks with: the first sender heard. It has an address on each link; see Channel.
type Peer struct {
	Addr  netip.Addr // from which it last spoke
	At    *Channel   // by which it last spoke
	Heard int64      // when it last said something readable; 0 = never
}

// Verdict is what Admit thinks of a sender.
type Verdict uint8

// The verdicts. A stranger's datagram is dropped and was counted.
const (
	Stranger Verdict = iota
	ThePeer
	AnotherPeer // the sender is the peer from now on; it is not the one of before
)

// Sender is what is known of a datagram before it is accepted.
type Sender struct {
	Addr      netip.Addr
	Readable  bool // the datagram is well-formed protocol v1
	Continues bool // its number is near the peer's last one
}

// Knows reports whether addr is the peer's address on a link: Admit takes all that comes from there.
func (s *Set) Knows(ch *Channel, addr netip.Addr) bool { return addr == ch.peer }

// Admit decides whether the sender of a datagram on a link is the peer. On a unicast link it is the configured peer. On
// a multicast link a sender that has not been heard there may be the peer, which sends by another link than before, or
// another router; that becomes the peer when the old one has been silent.
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
	case ch.multicast() && !from.Readable: // noise must not take the place of a peer that has not spoken yet
		ch.unreadable++
		return Stranger
	case !known:
		s.log.Info("peer heard", "peer", from.Addr, "interface", ch.Name())
	case !ch.multicast(), moved && (silent >= peerMoves || !s.peer.At.Usable()):
		s.log.Info("peer heard on another link", "peer", from.Addr, "interface", ch.Name(), "was", s.peer.Addr)
	case silent >= peerSilence:
		s.log.Info("peer has a new address", "was", s.peer.Addr, "peer", from.Addr, "interface", ch.Name())
		s.forgetPeer()
		s.news.AnotherPeer = true
		return AnotherPeer
	default:
		s.foreign++
		ch.foreign++
		if n := s.foreign; n&(n-1) == 0 && !moved {
			s.log.Warn("another sender on the sync link is ignored: a pair has two members",
				"interface", ch.Name(), "peer", s.peer.Addr, "sender", from.Addr, "datagrams", n)
		}
		return Stranger
	}
	return ThePeer
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
