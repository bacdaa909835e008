package session

import "time"

// verdict says how a message stands to the ones before it.
type verdict uint8

const (
	inSync verdict = iota // the next one, or the first of all
	gap                   // later than expected: something between is missing
	old                   // came before, or too late
	fresh                 // first message of a new life of the peer
)

const (
	// helloJump is how far the numbers of a peer that goes on saying hello may jump without its being taken for
	// another life.
	helloJump = 4096

	// helloEcho is how long after a hello a copy of it, delayed or doubled by the network, may arrive. A peer that
	// really restarted within it and uses the same numbers is noticed by its hello a second later.
	helloEcho = int64(time.Second)

	// helloEarly is how many numbers before the first that we heard of a life such a hello may lie: it was overtaken.
	helloEarly = 64

	// behindLimit is how long nothing but old numbers may arrive. After that the peer has restarted and its hello was
	// missed, or a forged number had carried us away.
	behindLimit = int64(2 * time.Second)
)

// tracker knows where the peer's numbers are.
type tracker struct {
	known    bool
	hello    bool   // the latest message said hello: the peer has not heard our answer
	first    uint32 // of this life of the peer, or the first that we heard of it
	last     uint32
	helloAt  int64 // when this life was first heard, or last said hello
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

// judgeHello tells the first hello of a new life from further ones of this life.
//
// While the peer says hello it is sent nothing that matters, so a new life taken for the old one (a restart within the
// handshake whose numbers follow on) does no harm: nothing was acknowledged that it could have lost.
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

// start notes that a life of the peer begins, for us, with message q.
func (t *tracker) start(now int64, q uint32, hello bool) {
	*t = tracker{known: true, hello: hello, first: q, last: q, helloAt: now, behindAt: unset}
}
