package session

import (
	"hash/maphash"
	"time"
)

// recallMost is how many numbers back a message is known again, a power of two. A message and a forged one with its
// number come within a round trip of each other.
const recallMost = 8192

// recall remembers what the last messages of the peer said, as a hash by their numbers. A speaker of the protocol never
// gives one number to two messages, not even when it sends one again. So an old number with other content proves a
// second sender: whichever of the two came first was taken in, and the other one is lost for good.
//
// Messages with HELLO are left out: a peer that restarts within the handshake may use a number again.
type recall struct {
	seed maphash.Seed
	last []heardAs // at number modulo recallMost
	kept bool      // something, since clear
}

// heardAs is a message in few bytes.
type heardAs struct {
	seq uint32
	sum uint32 // of the whole message; 0 = none
}

func newRecall() recall {
	return recall{seed: maphash.MakeSeed(), last: make([]heardAs, recallMost)}
}

func (r *recall) sum(message []byte) uint32 {
	return uint32(maphash.Bytes(r.seed, message)) | 1
}

// keep notes that the message with number q was taken in.
func (r *recall) keep(q uint32, message []byte) {
	r.last[q%recallMost], r.kept = heardAs{q, r.sum(message)}, true
}

// contradicts reports whether the message with number q that was taken in is known and was another one.
func (r *recall) contradicts(q uint32, message []byte) bool {
	s := &r.last[q%recallMost]
	return s.sum != 0 && s.seq == q && s.sum != r.sum(message)
}

// clear forgets all: the peer's numbers start again. After the first one, a flood of forged hellos clears nothing.
func (r *recall) clear() {
	if r.kept {
		clear(r.last)
		r.kept = false
	}
}

// doubtEvery is how often Contradicted is called at most: whoever forges messages decides how often one is
// contradicted, and the answer is whole tables.
const doubtEvery = int64(30 * time.Second)

// doubt is what is to be done about contradicted messages.
type doubt struct {
	open bool  // the peer's table has not come since
	due  bool  // Contradicted is to be called
	at   int64 // when it last was; unset = never
}

// contradicted deals with the proof that another one speaks with the peer's numbers.
func (s *FTFW) contradicted() {
	s.stats.Contradicted++
	if s.doubt.open && s.resync.phase == resyncWanted {
		return // the request that is about to leave covers it
	}
	s.doubt.open, s.doubt.due = true, true
	s.tickDoubt()
}

// tickDoubt calls Contradicted when that is due.
func (s *FTFW) tickDoubt() {
	if !s.doubt.due || s.doubt.at != unset && s.now-s.doubt.at < doubtEvery {
		return
	}
	s.doubt.due, s.doubt.at = false, s.now
	if s.h.Contradicted != nil {
		s.h.Contradicted()
	}
}
