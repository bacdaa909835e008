package session

import (
	"errors"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

const (
	// A malformed payload is not acknowledged, so that a damaged message comes again. One that stays malformed must
	// not go round for ever: beyond so many in such a time it is given up.
	badMost   = 8
	badPeriod = int64(10 * time.Second)
)

// Receive takes in a datagram from the peer. Any bytes will do: what is malformed is counted and changes nothing. It
// reports whether a message of it was news: neither malformed nor one that came twice or too late.
func (s *FTFW) Receive(now int64, datagram []byte) (news bool) {
	s.advance(now)
	for len(datagram) > 0 {
		h, body, rest, bad := wire.Next(datagram)
		datagram = rest
		if bad == wire.OK && !wellFormed(&h) {
			bad = wire.BadHeader
		}
		if bad != wire.OK {
			s.stats.Malformed[bad]++
			continue
		}
		s.heard = s.now
		news = s.message(&h, body) || news
		s.settleResync()
	}
	return news
}

// nearby is how far apart two numbers of one conversation may be for Continues: what a full window and its answers take.
const nearby = 1 << 17

// Continues reports whether the first message of a datagram has a number near the last one of the peer: whether the
// datagram is likely of this conversation.
func (s *FTFW) Continues(datagram []byte) bool {
	h, _, _, bad := wire.Next(datagram)
	return bad == wire.OK && s.in.known && h.Seq-s.in.last+nearby <= 2*nearby
}

// Readable reports whether a datagram is of this protocol: it has a message, and a new session would take in every one
// of them. It tells, before any session hears of the datagram, whether its sender may be a peer. A peer that is refused
// for one bad message is known by its next datagram: whoever speaks the protocol says something every second.
func Readable(datagram []byte) bool {
	var f flow.Flow
	var e flow.Expectation
	for rest := datagram; len(rest) > 0; {
		h, body, behind, bad := wire.Next(rest)
		if bad != wire.OK || !wellFormed(&h) {
			return false
		}
		var err error
		switch {
		case h.Type.IsFlow():
			_, err = wire.ParseFlow(body, &f)
		case h.Type != wire.Control:
			_, err = wire.ParseExpectation(body, &e)
		}
		if err != nil && !errors.Is(err, wire.ErrDCCP) { // conntrackd sends those, see parse
			return false
		}
		rest = behind
	}
	return len(datagram) > 0
}

// wellFormed reports whether type, flags and range go together. The order of precedence is conntrackd's.
func wellFormed(h *wire.Header) bool {
	const unused = 0x81
	if h.Type != wire.Control {
		return h.Type <= wire.ExpDestroy && h.Flags&^(wire.Hello|wire.HelloBack) == 0
	}
	switch f := h.Flags; {
	case f&unused != 0:
		return false
	case f&(wire.Ack|wire.Nack) != 0:
		return !before(h.To, h.From)
	default:
		return f&(wire.Resync|wire.Alive) != 0
	}
}

// message takes in one well-formed message. Nothing changes before the message is known to be acceptable, except that
// an answer to our hello counts wherever it stands. It reports whether the message was taken in.
func (s *FTFW) message(h *wire.Header, body []byte) bool {
	hello := h.Flags&wire.Hello != 0
	v := s.in.judge(s.now, h.Seq, hello)
	if v == old {
		s.stats.Before++
		s.helloAnswered(h)
		return false
	}
	if v == gap && s.congested() {
		s.stats.Refused++
		return false
	}
	useful := true
	if h.Type != wire.Control {
		var bad bool
		if useful, bad = s.parse(h.Type, body); bad {
			return false
		}
	}
	s.sayBack = s.sayBack || hello
	switch v {
	case fresh:
		s.peerRestarted()
		s.in.start(s.now, h.Seq, hello)
	case gap:
		s.missed(h.Seq)
	}
	s.in.accept(s.now, h.Seq, hello)
	s.helloAnswered(h)
	s.stats.Received.count(h.Type, h.Flags)
	matters := h.Type != wire.Control || h.Flags&wire.Ack == 0 && h.Flags&(wire.Nack|wire.Resync) != 0
	s.acks.note(s.now, h.Seq, matters)
	if h.Type == wire.Control {
		s.digest(h)
	} else if useful {
		s.apply(h.Type)
	}
	if s.acks.count >= s.cfg.AckWindow && s.acks.open {
		s.acknowledge()
	}
	return true
}

// congested reports whether there is no place for the two messages that answer a gap. The message that shows the gap
// is then treated as lost too: the gap grows, and is asked for as a whole once there is place again.
func (s *FTFW) congested() bool {
	return s.ring.control+len(s.again) > controlMost-2 || len(s.out.ends) >= 4*outputMost
}

// parse reads the body of a state message. useful is false when it cannot be read; bad says that the message is to be
// treated as if it had not arrived, so that the peer is asked for it.
func (s *FTFW) parse(t wire.Type, body []byte) (useful, bad bool) {
	var unknown int
	var err error
	if t.IsFlow() {
		unknown, err = wire.ParseFlow(body, &s.flow)
	} else {
		unknown, err = wire.ParseExpectation(body, &s.expectation)
	}
	s.stats.UnknownAttributes += uint64(unknown)
	if err == nil {
		return true, false
	}
	s.stats.Malformed[wire.BadPayload]++
	if s.badSince == unset || s.now-s.badSince >= badPeriod {
		s.badSince, s.badCount = s.now, 0
	}
	// A DCCP flow without state comes from a conntrackd that reads its ports from stale memory: it never gets better.
	if s.badCount < badMost && !errors.Is(err, wire.ErrDCCP) {
		s.badCount++
		return false, true
	}
	s.stats.PayloadsLost++
	return false, false
}

// missed answers a gap before number q: what came before it is acknowledged, what is in it is asked for.
func (s *FTFW) missed(q uint32) {
	s.stats.Lost += uint64(q - s.in.last - 1)
	s.acknowledge()
	s.sendControl(wire.Nack, nack, s.in.last+1, q-1)
}

// helloAnswered completes our handshake when h answers our hello. A word without hello must follow at once: the peer
// waits for it.
func (s *FTFW) helloAnswered(h *wire.Header) {
	if h.Flags&wire.HelloBack == 0 || s.established {
		return
	}
	s.established, s.speak = true, true
	if s.h.Established != nil {
		s.h.Established()
	}
}

// peerRestarted forgets everything that was said to and heard from the former life of the peer. What was in flight is
// given back rather than dropped: the new life may have taken it in before its hello arrived here.
func (s *FTFW) peerRestarted() {
	s.stats.PeerRestarts++
	s.ring.clear(func(e element) {
		if e.kind == state {
			s.h.Lost(Ref(e.a), e.seq)
		}
	})
	s.again = s.again[:0]
	s.acks.reset()
	s.window = newWindow(s.cfg.Window)
	s.bulk.asked, s.bulk.again = false, false
	if s.resync.phase != resyncIdle {
		s.resync.phase, s.resync.first = resyncWanted, 0
	}
	if s.h.PeerRestarted != nil {
		s.h.PeerRestarted()
	}
}

// apply hands the state message that parse read to the caller.
func (s *FTFW) apply(t wire.Type) {
	s.stateAt = s.now
	if t.IsFlow() {
		s.h.Flow(t, &s.flow)
	} else if s.h.Expectation != nil {
		s.h.Expectation(t, &s.expectation)
	}
}

// digest carries out a control message.
func (s *FTFW) digest(h *wire.Header) {
	f := h.Flags
	if f&(wire.Ack|wire.Nack) != 0 && !before(h.To, s.seq) {
		s.stats.Stray++ // meant for an earlier life of ours
		return
	}
	switch {
	case f&wire.Ack != 0:
		s.acked(h.From, h.To)
	case f&wire.Nack != 0:
		s.nacked(h)
	case f&wire.Resync != 0:
		s.resyncRequested(h.Seq)
	}
}

func (s *FTFW) acked(from, to uint32) {
	if before(s.ackedSeq, to) {
		s.ackedSeq = to
	}
	n := s.ring.state
	s.ring.remove(from, to, func(e element) {
		switch e.kind {
		case state:
			s.stats.Acked++
			s.h.Acked(Ref(e.a), e.seq)
		case resync:
			s.resyncAcked(e.seq)
		}
	})
	if n -= s.ring.state; n > 0 {
		s.window.acked(n)
	}
}

// nacked gives state messages back to the caller and queues control messages to be sent again. The NACK itself is
// acknowledged when all that has left. That holds for one that finds nothing, too: it may repeat an earlier one that
// still waits.
func (s *FTFW) nacked(h *wire.Header) {
	n := s.ring.state
	s.ring.remove(h.From, h.To, s.lose)
	if n -= s.ring.state; n > 0 {
		s.stats.Nacked += uint64(n)
		s.window.nacked(s.now, h.To, s.seq)
	}
	waiting := 0
	if s.h.Dirty != nil {
		waiting = s.h.Dirty()
	}
	s.acks.hold(held{seq: h.Seq, sent: s.stateSent + uint64(waiting)})
}

// lose disposes of a message that the peer did not get.
func (s *FTFW) lose(e element) {
	switch e.kind {
	case state:
		s.h.Lost(Ref(e.a), e.seq)
	case ack, nack:
		s.again = append(s.again, e)
	case resync:
		if s.resync.phase == resyncAsked && e.seq == s.resync.seq {
			s.resync.phase = resyncWanted
		}
	}
}

func (s *FTFW) nacksOutstanding() int {
	n := s.ring.nacks
	for i := range s.again {
		if s.again[i].kind == nack {
			n++
		}
	}
	return n
}
