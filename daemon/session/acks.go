package session

import (
	"slices"
	"time"
)

const (
	ackQuiet = int64(50 * time.Millisecond)  // after the last message that matters
	ackLate  = int64(200 * time.Millisecond) // after the first one
	ackIdle  = int64(time.Second)            // after a message that does not matter
	heldMost = 64
)

// held is the number of a request of the peer that must not be acknowledged before the request is answered.
type held struct {
	seq     uint32
	resync  bool   // a RESYNC, otherwise a NACK
	covered bool   // RESYNC: the bulk that answers it has started
	lost    uint64 // NACK: once so many lost messages have left resend, all that it asks for have
	sent    uint64 // NACK: once so many state messages have been sent then, all that it asks for have been; 0 = not known
}

// acks collects the numbers that the peer is owed an acknowledgement for: a range that ends with the last number
// accepted, minus those held.
type acks struct {
	open    bool
	from    uint32
	count   int   // messages in the range
	firstAt int64 // when the range was opened
	matter  bool  // some message in the range matters: state, RESYNC or NACK
	firstM  int64 // when the first of those came
	lastM   int64 // when the last of those came
	held    []held
}

// note adds number q, the last one accepted. matters says whether its message does, see acks.
func (a *acks) note(now int64, q uint32, matters bool) {
	if !a.open {
		a.open, a.from, a.count, a.firstAt, a.matter = true, q, 0, now, false
	}
	a.count++
	if !matters {
		return
	}
	if !a.matter {
		a.matter, a.firstM = true, now
	}
	a.lastM = now
}

// due returns when the range is to be acknowledged. A range without a message that matters waits for a second, as with
// conntrackd: two idle routers would acknowledge each other's acknowledgements without end. quick is false while our
// own hello is unanswered: each message with HELLO makes conntrackd forget what it keeps for us.
func (a *acks) due(quick bool) int64 {
	switch {
	case !a.open:
		return never
	case a.matter && quick:
		return min(a.lastM+ackQuiet, a.firstM+ackLate)
	}
	return a.firstAt + ackIdle
}

// hurry makes the open range due at once.
func (a *acks) hurry(now int64) {
	if a.open {
		a.matter, a.firstM = true, min(a.firstM, now-ackLate)
		a.lastM = a.firstM
	}
}

// hold keeps h.seq out of acknowledgements until release. When too many are held, the oldest NACK is released early: it
// is the next to be answered. Of RESYNCs only one that the peer has repeated is: on the acknowledgement of its last one
// the peer would drop the flows that the bulk has not sent yet.
func (a *acks) hold(h held) {
	if len(a.held) == heldMost {
		oldest := max(slices.IndexFunc(a.held, func(h held) bool { return !h.resync }), 0)
		a.held = slices.Delete(a.held, oldest, oldest+1)
	}
	a.held = append(a.held, h)
}

// settle notes of each NACK whose messages have all left resend when they will have been sent.
func (a *acks) settle(left, sent uint64) {
	for i := range a.held {
		if h := &a.held[i]; !h.resync && h.sent == 0 && left >= h.lost {
			h.sent = sent
		}
	}
}

// reset forgets everything.
func (a *acks) reset() { *a = acks{held: a.held[:0]} }

// acknowledge sends the acknowledgements that are owed, up to the last number accepted, without the numbers held.
func (s *FTFW) acknowledge() {
	if !s.acks.open {
		return
	}
	s.acks.open = false
	from, last := s.acks.from, s.in.last
	for _, h := range s.acks.held {
		if before(h.seq, from) || before(last, h.seq) {
			continue
		}
		if from != h.seq {
			s.sendAck(element{a: from, b: h.seq - 1})
		}
		from = h.seq + 1
	}
	if !before(last, from) {
		s.sendAck(element{a: from, b: last})
	}
}

// release acknowledges the held numbers for which ready returns true.
func (s *FTFW) release(ready func(held) bool) {
	kept := s.acks.held[:0]
	for _, h := range s.acks.held {
		if !ready(h) {
			kept = append(kept, h)
			continue
		}
		if s.acks.open && !before(h.seq, s.acks.from) {
			s.acks.hurry(s.now)
		} else {
			s.sendAck(element{a: h.seq, b: h.seq})
		}
	}
	s.acks.held = kept
}
