package session

import (
	"math"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

const (
	aliveAfter = int64(time.Second)            // of our own silence: say something
	peerSilent = int64(3 * time.Second)        // without a word the peer is not taken for alive
	staleAfter = int64(3 * time.Second)        // unacknowledged while later numbers are: lost
	staleEvery = int64(500 * time.Millisecond) // how often that is looked for

	unset = math.MinInt64 // a moment that has not been
	never = math.MaxInt64 // a deadline that will not be
)

// Ref is the caller's handle of what a state message describes. The session only hands it back.
type Ref uint32

// Config sets up a session. Zero values mean the defaults.
type Config struct {
	AckWindow   int    // messages of the peer after which it gets an acknowledgement; default 300, as conntrackd
	Window      int    // most state messages in flight; default 65536
	MaxDatagram int    // bytes of a datagram, inclusive; default 1404
	Seq         uint32 // number of the first message; conntrackd uses the clock in seconds
}

// Handler holds the callbacks of a session. They are called from Receive, Finish, Tick and BulkSent, must be quick, and of the
// session's methods may call RequestResync, BulkStarted, Stats and State only. Flow, Acked and Lost are required, the
// others may be nil.
type Handler struct {
	Flow        func(wire.Type, *flow.Flow)        // a flow of the peer; *flow.Flow is reused
	Expectation func(wire.Type, *flow.Expectation) // an expectation of the peer, likewise

	Acked func(Ref, uint32) // the peer has what was sent under this number
	Lost  func(Ref, uint32) // the peer has not: send it as it is now, unless it was sent since under a later number
	Dirty func() int        // how many state messages wait to be sent, oldest first; nil: none ever wait when Finish is called

	ResyncRequested func() // the peer asks for the whole table: BulkStarted, all of it, BulkSent
	PeerRestarted   func() // the peer began a life (also when first heard) and knows nothing; called after Lost for all in flight
	Established     func() // the peer answered our hello; called once
	ResyncSent      func() // RequestResync's request leaves now: what the peer does not mention until BulkReceived, it does not have
	BulkReceived    func() // all that the peer had when RequestResync was last called has been handed to Flow
}

// FTFW is one conversation with one peer in conntrackd's FTFW mode. It is not safe for concurrent use.
type FTFW struct {
	cfg Config
	h   Handler
	now int64

	established bool // our hello was answered
	sayBack     bool // the peer's hello is to be answered
	speak       bool // something is to be said at once

	// Sending.
	seq       uint32 // of the next message
	ackedSeq  uint32
	sentAt    int64 // when the last message was built
	staleAt   int64 // when stale messages were last looked for
	stateSent uint64
	ring      ring
	again     []element // control messages to be sent again
	window    window
	out       output

	// Receiving.
	in          tracker
	acks        acks
	heard       int64 // when a well-formed message last came; 0 = never
	stateAt     int64 // when a state message last came
	badSince    int64
	badCount    int
	flow        flow.Flow
	expectation flow.Expectation

	resync resyncState
	bulk   bulkState
	stats  Stats
}

// New starts a conversation. Its first message, which says hello, leaves with the first Tick or Finish.
func New(cfg Config, h Handler, now int64) *FTFW {
	if cfg.AckWindow <= 0 {
		cfg.AckWindow = 300
	}
	if cfg.MaxDatagram <= 0 {
		cfg.MaxDatagram = 1404
	}
	return &FTFW{
		cfg: cfg, h: h, now: now,
		seq: cfg.Seq, ackedSeq: cfg.Seq - 1, sentAt: now - aliveAfter, staleAt: now, badSince: unset,
		again: make([]element, 0, controlMost), window: newWindow(cfg.Window), out: output{most: cfg.MaxDatagram},
		acks: acks{held: make([]held, 0, heldMost)},
	}
}

// advance sets the session's clock, which never runs backwards.
func (s *FTFW) advance(now int64) { s.now = max(s.now, now) }

// ready reports whether what is sent now cannot be lost unnoticed: the peer has answered our hello, and it has heard
// our answer to its own, so it knows our numbers.
func (s *FTFW) ready() bool { return s.established && !s.in.hello }

func (s *FTFW) alive() bool { return s.heard != 0 && s.now-s.heard < peerSilent }

// Tick does what is due and returns when it wants to be called next, at the latest. What it sends is finished: take
// Output after it.
func (s *FTFW) Tick(now int64) (next int64) {
	s.advance(now)
	s.window.tick(s.now, s.alive())
	if s.now-s.staleAt >= staleEvery {
		s.staleAt = s.now
		s.loseStale()
	}
	s.tickResync()
	s.pump()
	s.out.close()

	next = s.sentAt + aliveAfter
	for _, t := range [...]int64{s.window.next(), s.acks.due(s.established), s.nextResync()} {
		if t > s.now { // what is past waits for the peer to speak
			next = min(next, t)
		}
	}
	if s.ring.len() > 0 {
		next = min(next, s.staleAt+staleEvery)
	}
	return next
}

// loseStale disposes of messages that the peer passed over: it acknowledged later ones, and that was time enough for
// these. FTFW acknowledges disjoint ranges, so a number can fall between two of them for good, for example when the
// peer had not taken in anything yet and a later message came first.
func (s *FTFW) loseStale() {
	for i := range s.ring.n {
		e := s.ring.at(i)
		if s.age(e) < staleAfter || !before(e.seq, s.ackedSeq) {
			break
		}
		if e.kind == gone || e.kind == resync && e.seq == s.resync.seq {
			continue // a request for a bulk waits for its end
		}
		if e.kind != ack && e.kind != nack { // those count as retransmitted when they leave
			s.stats.Stale++
		}
		s.lose(s.ring.take(i))
	}
	s.ring.trim()
}
