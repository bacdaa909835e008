package session

import "ctsync/daemon/wire"

// repeatedTries is how often a message must have been asked for to count as asked for again and again.
const repeatedTries = 3

// resend holds the messages that the peer missed until they may be sent again; see path.Again.
type resend struct {
	lost    []element // oldest first
	state   int       // of them
	nacks   int       // of them
	in, out uint64    // elements that came, and that left
	marks   []mark    // state messages that left, until they are sent
}

// mark is the place of a message in the order of all state messages, and how often it was asked for.
type mark struct {
	place uint64
	tries uint8
}

func (r *resend) push(e element) {
	r.lost = append(r.lost, e)
	r.in++
	r.count(e.kind, 1)
}

func (r *resend) count(k kind, d int) {
	switch k {
	case state:
		r.state += d
	case nack:
		r.nacks += d
	}
}

// control is how many control messages wait.
func (r *resend) control() int { return len(r.lost) - r.state }

// tries returns how often the state message with this place was asked for before.
func (r *resend) tries(place uint64) uint8 {
	for len(r.marks) > 0 && r.marks[0].place <= place {
		m := r.marks[0]
		if r.marks = r.marks[1:]; m.place == place {
			return m.tries
		}
	}
	return 0
}

// clear forgets everything and hands each state message to fn.
func (r *resend) clear(fn func(element)) {
	for _, e := range r.lost {
		if e.kind == state {
			fn(e)
		}
	}
	*r = resend{lost: r.lost[:0]}
}

// resend begins a round if one is due. What was sent anew since it was lost is passed over and costs nothing.
func (s *FTFW) resend() {
	r := &s.again
	if len(r.lost) == 0 || s.now < s.path.Again.At() {
		return
	}
	if s.dirty() == 0 {
		r.marks = r.marks[:0]
	}
	n, spent, left := s.path.Again.Open(s.now, s.path.RoundTrip.Wait(), len(r.marks) == 0), 0, 0
	for ; left < len(r.lost) && spent < n; left++ {
		e := r.lost[left]
		r.count(e.kind, -1)
		r.out++
		if s.giveBack(e) {
			spent++
		}
	}
	s.path.Again.Spend(s.now, spent)
	r.lost = r.lost[:copy(r.lost, r.lost[left:])]
}

// nextResend returns when the next round is due.
func (s *FTFW) nextResend() int64 {
	if len(s.again.lost) == 0 {
		return never
	}
	return s.path.Again.At()
}

// sendAgain sends a control message again.
func (s *FTFW) sendAgain(e element) {
	s.stats.Retransmitted++
	if e.tries = min(e.tries, 254) + 1; e.kind == nack {
		s.sendControl(wire.Nack, e)
	} else {
		s.sendAck(e)
	}
}

// giveBack sends a lost message again. One of state it hands to the caller, who sends what it is about once more,
// behind all that is dirty. It returns false when the caller does not: it was sent anew since, or will be anyway.
func (s *FTFW) giveBack(e element) bool {
	if e.kind != state {
		s.sendAgain(e)
		return true
	}
	before := s.dirty()
	s.h.Lost(Ref(e.a), e.seq)
	after := s.dirty()
	if after > before {
		s.again.marks = append(s.again.marks, mark{s.stateSent + uint64(after), min(e.tries, 254) + 1})
	}
	return after > before || s.h.Dirty == nil
}

// repeatControl repeats control messages that the peer has not acknowledged for long: requests as long as it has not
// met them, and, while messages get lost, acknowledgements a few times. Waiting until the loss of one shows, and the
// loss of the request for it, takes too long.
func (s *FTFW) repeatControl() {
	lossy := s.path.Lossy(s.now)
	if !s.established || s.ring.nacks == 0 && !lossy {
		return
	}
	for i, n := 0, s.ring.n; i < n; i++ {
		e := s.ring.at(i)
		again := false
		switch age := s.age(e); e.kind {
		case nack:
			again = age >= min(nackLeast<<min(e.tries, 8), nackMost)
		case ack:
			again = lossy && e.tries < ackTries && age >= ackLate
		}
		if again {
			s.sendAgain(s.ring.take(i))
		}
	}
	s.ring.trim()
}

// sample measures the round trip by the peer's answer to message seq.
func (s *FTFW) sample(seq uint32, prompt bool) {
	if i := s.ring.search(seq); i < s.ring.n {
		if e := s.ring.at(i); e.seq == seq && e.kind != gone && e.kind != resync {
			s.path.RoundTrip.Sample(s.age(e), prompt)
		}
	}
}

// Repeated returns how many state messages the peer asked for again and again and has not acknowledged since, and how
// often it asked for the worst of them. It costs time in proportion to the messages in flight.
func (s *FTFW) Repeated() (n, tries int) {
	count := func(was uint8) {
		if was >= repeatedTries {
			n++
			tries = max(tries, int(was))
		}
	}
	for i := range s.ring.n {
		if e := s.ring.at(i); e.kind == state {
			count(e.tries)
		}
	}
	for _, e := range s.again.lost {
		if e.kind == state {
			count(e.tries + 1)
		}
	}
	for _, m := range s.again.marks {
		count(m.tries)
	}
	return n, tries
}

func (s *FTFW) dirty() int {
	if s.h.Dirty == nil {
		return 0
	}
	return s.h.Dirty()
}
