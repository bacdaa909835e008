package session

import "time"

// verdict says how a message stands to the ones before it.
type verdict uint8

const (
	inSync verdict = iota // the next one, or the first of all
	gap                   // later than expected: something between is missing
	old                   // a duplicate, or too late
	fresh                 // the first message after the peer restarted
)

const (
	// helloJump is how far the numbers of a peer that still sends HELLO may jump before it counts as restarted.
	helloJump = 4096

	// helloEcho is how long after a hello a copy of it, delayed or doubled by the network, may arrive. A peer that did
	// restart within that time and uses the same numbers is noticed by its next hello, a second later.
	helloEcho = int64(time.Second)

	// helloEarly is how many numbers such a copy may lie before the first number that we heard since the peer started:
	// a later message may have overtaken it.
	helloEarly = 64

	// behindLimit is how long nothing but old numbers may arrive. After that the peer must have restarted and we
	// missed its hello, or a forged number has put us ahead of it.
	behindLimit = int64(2 * time.Second)
)

// tracker knows where the peer's numbers are.
type tracker struct {
	known    bool
	hello    bool   // the latest message carried HELLO: the peer has not heard our answer
	first    uint32 // the first number that we heard since the peer started
	last     uint32
	helloAt  int64 // when the peer last sent HELLO, or was first heard since it started
	behindAt int64 // when the first of an unbroken row of old messages came; unset = none
}

// judge classifies the message with number q. Only accept and start change where the numbers are.
func (t *tracker) judge(now int64, q uint32, hello bool) verdict {
	switch {
	case !t.known && hello:
		return fresh
	case !t.known:
		return inSync
	case hello:
		return t.judgeHello(now, q)
	case q == t.last+1:
		return inSync
	case before(t.last, q):
		return gap
	}
	if t.behindAt == unset {
		t.behindAt = now
	}
	if now-t.behindAt >= behindLimit {
		return fresh
	}
	return old
}

// judgeHello distinguishes the first hello of a peer that restarted from further ones of a peer that did not.
//
// While the peer sends HELLO we send it nothing that matters, so a restart that goes unnoticed (within the handshake,
// with numbers that follow on) does no harm: the peer has acknowledged nothing that it could have lost.
func (t *tracker) judgeHello(now int64, q uint32) verdict {
	switch {
	case t.hello && before(t.last, q) && q-t.last <= helloJump:
		if q == t.last+1 {
			return inSync
		}
		return gap
	case now-t.helloAt < helloEcho && !before(q, t.first-helloEarly) && !before(t.last, q):
		return old
	}
	return fresh
}

// accept notes that the message q was taken in.
func (t *tracker) accept(now int64, q uint32, hello bool) {
	if !t.known {
		t.start(now, q, hello)
		return
	}
	t.last, t.hello, t.behindAt = q, hello, unset
	if hello {
		t.helloAt = now
	}
}

// start notes that the peer, as far as we have heard, started with message q.
func (t *tracker) start(now int64, q uint32, hello bool) {
	*t = tracker{known: true, hello: hello, first: q, last: q, helloAt: now, behindAt: unset}
}
