package session

import (
	"errors"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

const (
	// A malformed payload is not acknowledged, so that a damaged message comes again. One that is malformed each time
	// must not be asked for forever: beyond badMost within badPeriod, malformed payloads are acknowledged and given
	// up.
	badMost   = 8
	badPeriod = int64(10 * time.Second)
)

// badPayloads counts them in the present period.
type badPayloads struct {
	since int64
	count int
}

// Receive takes in a datagram from the peer. Any bytes will do: malformed messages are counted and change nothing. news
// reports whether some message was neither malformed, nor a duplicate, nor too late.
func (s *FTFW) Receive(now int64, datagram []byte) (news bool) {
	s.advance(now)
	for len(datagram) > 0 {
		h, body, rest, bad := wire.Next(datagram)
		message := datagram[:len(datagram)-len(rest)]
		datagram = rest
		if bad == wire.OK && !wellFormed(&h) {
			bad = wire.BadHeader
		}
		if bad != wire.OK {
			s.stats.Malformed[bad]++
			continue
		}
		s.heard = s.now
		news = s.message(&h, body, message) || news
		s.settleResync()
	}
	return news
}

// nearby is how far apart two numbers of one conversation may be for Continues: a full window and its answers.
const nearby = 1 << 17

// Continues reports whether a datagram likely belongs to this conversation: the number of its first message is near the
// last one of the peer.
func (s *FTFW) Continues(datagram []byte) bool {
	h, _, _, bad := wire.Next(datagram)
	return bad == wire.OK && s.in.known && h.Seq-s.in.last+nearby <= 2*nearby
}

// Greets reports whether a readable datagram says that its sender has started.
func Greets(datagram []byte) bool {
	h, _, _, bad := wire.Next(datagram)
	return bad == wire.OK && h.Flags&wire.Hello != 0
}

// Readable reports whether a datagram is of this protocol: it holds at least one message, and a new session would take
// in every one. The caller asks before it takes an unknown sender for the peer. A peer whose datagram holds one bad
// message is recognized by its next one: every speaker of the protocol sends something each second.
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
		if err != nil && !errors.Is(err, wire.ErrDCCP) { // which conntrackd sends, see parse
			return false
		}
		rest = behind
	}
	return len(datagram) > 0
}

// wellFormed reports whether type, flags and range of a header go together. The precedence of flags is conntrackd's.
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

// message takes in one message with a well-formed header and reports whether it did; whole is the message with its
// header. Nothing changes before the message is known to be acceptable, except that an answer to our hello counts even
// in an old message.
func (s *FTFW) message(h *wire.Header, body, whole []byte) bool {
	hello := h.Flags&wire.Hello != 0
	v := s.in.judge(s.now, h.Seq, hello)
	if v == old {
		s.stats.Before++
		s.helloAnswered(h)
		if !hello && s.recall.contradicts(h.Seq, whole) {
			s.contradicted()
		}
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
	if !hello {
		s.recall.keep(h.Seq, whole)
	}
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

// congested reports whether there is no room for the two messages that answer a gap. The message that shows the gap is
// then treated as lost too: the gap grows, and is asked for as a whole once there is room again.
func (s *FTFW) congested() bool {
	return s.ring.control+s.again.control() > controlMost-2 || len(s.out.ends) >= 4*outputMost
}

// parse reads the body of a state message. useful reports whether it could. bad says to treat the message as if it had
// not arrived, so that the peer sends it again.
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
	if s.bad.since == unset || s.now-s.bad.since >= badPeriod {
		s.bad.since, s.bad.count = s.now, 0
	}
	// A DCCP flow without state comes from a conntrackd that reads its ports from stale memory: asking again cannot
	// help.
	if s.bad.count < badMost && !errors.Is(err, wire.ErrDCCP) {
		s.bad.count++
		return false, true
	}
	s.stats.PayloadsLost++
	return false, false
}

// missed answers a gap before number q: it acknowledges what came before the gap and asks for what is in it.
func (s *FTFW) missed(q uint32) {
	s.stats.Lost += uint64(q - s.in.last - 1)
	s.path.Lost(s.now)
	s.acknowledge()
	s.sendControl(wire.Nack, element{kind: nack, a: s.in.last + 1, b: q - 1})
}

// helloAnswered completes our handshake when h answers our hello. A message without HELLO must follow at once: the peer
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

// peerRestarted forgets everything that was sent to and received from the peer before it restarted. What was in flight
// goes back to the caller: the restarted peer may have taken it in before its hello arrived here.
func (s *FTFW) peerRestarted() {
	s.stats.PeerRestarts++
	lost := func(e element) {
		if e.kind == state {
			s.h.Lost(Ref(e.a), e.seq)
		}
	}
	s.again.clear(lost)
	s.ring.clear(lost)
	s.acks.reset()
	s.recall.clear()
	s.path.Window = path.NewWindow(s.cfg.Window)
	s.bulk.again, s.bulk.waiting = false, false
	if !s.tables.take(s.now) {
		s.tables.mute = s.tables.wait
	}
	if s.resync.phase != resyncIdle {
		s.resync.phase, s.resync.sent = resyncWanted, false
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
		s.stats.Stray++ // meant for us before we restarted
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
	s.sample(to, to-from+1 >= uint32(s.cfg.AckWindow)) // one of a full window leaves at once
	n := s.ring.state
	s.ring.remove(from, to, func(e element) {
		s.path.Size.Arrived(s.now, int(e.size), e.seq)
		s.path.Again.Acked(e.tries > 0)
		switch e.kind {
		case state:
			s.h.Acked(Ref(e.a), e.seq)
		case resync:
			s.resyncAcked(e.seq)
		}
	})
	if n -= s.ring.state; n > 0 {
		s.path.Window.Acked(n)
	}
	s.aim()
}

// nacked hands the state messages that the peer misses back to the caller, and queues control messages to be sent
// again. The NACK itself is acknowledged when all of them have left. That holds for a NACK that finds nothing as well:
// it may repeat an earlier one that still waits.
func (s *FTFW) nacked(h *wire.Header) {
	s.sample(h.To+1, true) // it left as soon as the message behind the gap came
	n, all := s.ring.state, s.ring.len()
	s.ring.remove(h.From, h.To, func(e element) {
		s.path.Size.Missed(s.now, int(e.size), e.seq, s.seq)
		s.lose(e)
	})
	if s.ring.len() < all {
		s.path.Lost(s.now)
		s.path.Size.Lower(s.now)
		s.aim()
	}
	if n -= s.ring.state; n > 0 {
		s.stats.Nacked += uint64(n)
		s.path.Window.Nacked(s.now, h.To, s.seq)
	}
	s.acks.hold(held{seq: h.Seq, lost: s.again.in})
	s.resend()
	s.acks.settle(s.again.out, s.stateSent+uint64(s.dirty()))
}

// lose deals with a message that the peer did not get.
func (s *FTFW) lose(e element) {
	switch e.kind {
	case state, ack, nack:
		s.again.push(e)
	case resync:
		if s.resync.phase == resyncAsked && e.seq == s.resync.seq {
			s.resync.phase = resyncWanted
		}
	}
}

func (s *FTFW) nacksOutstanding() int { return s.ring.nacks + s.again.nacks }
