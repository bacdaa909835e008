package session

import (
	"math"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/lately"
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

const (
	aliveAfter = int64(time.Second)            // after so long without sending anything, send something
	aliveLossy = int64(200 * time.Millisecond) // likewise, while something was lost
	peerSilent = int64(3 * time.Second)        // a peer silent for so long does not count as alive
	staleAfter = int64(3 * time.Second)        // a message unacknowledged for so long while later ones are is lost
	staleLossy = int64(500 * time.Millisecond) // likewise, while something was lost
	staleEvery = int64(100 * time.Millisecond) // how often such messages are looked for
	nackLeast  = int64(250 * time.Millisecond) // a request unmet for so long is repeated, then after twice as long,
	nackMost   = int64(2 * time.Second)        // up to this
	ackTries   = 3                             // an acknowledgement is repeated so often, while something was lost

	unset = math.MinInt64 // a moment that has not been
	never = math.MaxInt64 // a deadline that will not come
)

// Ref is the caller's handle of the flow or expectation that a state message describes. The session only hands it back.
type Ref uint32

// Config sets up a session. Zero values mean the defaults.
type Config struct {
	AckWindow   int    // messages of the peer after which it gets an acknowledgement; default 300, as conntrackd
	Window      int    // most state messages in flight; default 65536
	MaxDatagram int    // bytes of a datagram, inclusive; default 1404
	Seq         uint32 // number of the first message; conntrackd uses the clock in seconds
}

// Handler holds the callbacks of a session. Receive, Finish, Tick and BulkSent call them. They must be quick. Of the
// session's methods they may call RequestResync, BulkStarted, Stats and State only. Flow, Acked and Lost are required,
// the others may be nil.
type Handler struct {
	Flow        func(wire.Type, *flow.Flow)        // the peer sent a flow; *flow.Flow is reused
	Expectation func(wire.Type, *flow.Expectation) // the peer sent an expectation; likewise

	Acked func(Ref, uint32) // the peer has the message with this number

	// Lost is called when the peer does not have the message with this number: send the flow or expectation as it is
	// now, unless it was sent since under a later number.
	Lost func(Ref, uint32)

	// Dirty returns how many state messages wait to be sent, oldest first. nil means that none wait when Finish is
	// called.
	Dirty func() int

	// ResyncRequested is called when the peer asks for the whole table: call BulkStarted, send the table, call
	// BulkSent. Before BulkStarted it may be called again, for another request: what was sent before that counts no
	// more.
	ResyncRequested func()

	// PeerRestarted is called on the hello of a peer that has restarted, or is heard for the first time: it has nothing
	// of ours. Lost has been called for all in flight.
	PeerRestarted func()

	Established func() // the peer answered our hello; called once

	// PathLimited is called when something else is known of what the path carries.
	PathLimited func(path.Limit)

	// ResyncSent is called when RequestResync's request leaves. What the peer does not mention from now on until
	// BulkReceived, it does not have.
	ResyncSent func()

	// Contradicted is called when an old number of the peer comes with other content than before: another one speaks
	// with the peer's numbers, and a message of the peer may be lost for good, of whatever kind. Call RequestResync and
	// send our table. What comes within 30 seconds is reported together.
	Contradicted func()

	// BulkReceived is called when Flow has got all that the peer had when RequestResync was last called.
	BulkReceived func()
}

// FTFW is one conversation with one peer in conntrackd's FTFW mode. It is not safe for concurrent use.
type FTFW struct {
	cfg Config
	h   Handler
	now int64

	established bool // the peer answered our hello
	sayBack     bool // the next message answers the peer's hello
	speak       bool // send something now, even if nothing is due

	// Sending.
	seq       uint32 // of the next message
	ackedSeq  uint32
	sentAt    int64 // when the last message was built
	staleAt   int64 // when stale messages were last looked for
	stateSent uint64
	ring      ring
	again     resend // what the peer missed
	path      path.Path
	out       output

	// Receiving.
	in          tracker
	acks        acks
	recall      recall
	doubt       doubt
	heard       int64 // when a well-formed message last came; 0 = never
	stateAt     int64 // when a state message last came
	bad         badPayloads
	flow        flow.Flow
	expectation flow.Expectation

	resync resyncState
	bulk   bulkState
	tables budget // whole tables that the peer may have
	stats  Stats

	unreadable, refused lately.Count // of stats, see watchMalformed
}

// New starts a conversation. Its first message, which carries HELLO, leaves with the first Tick or Finish.
func New(cfg Config, h Handler, now int64) *FTFW {
	if cfg.AckWindow <= 0 {
		cfg.AckWindow = 300
	}
	if cfg.MaxDatagram <= 0 {
		cfg.MaxDatagram = 1404
	}
	return &FTFW{
		cfg: cfg, h: h, now: now,
		seq: cfg.Seq, ackedSeq: cfg.Seq - 1, sentAt: now - aliveAfter, staleAt: now, bad: badPayloads{since: unset},
		path: path.New(now, cfg.MaxDatagram, cfg.Window, cfg.Seq),
		out:  output{most: cfg.MaxDatagram, usual: cfg.MaxDatagram, link: cfg.MaxDatagram},
		acks: acks{held: make([]held, 0, heldMost)}, recall: newRecall(), doubt: doubt{at: unset},
		tables: newBudget(now),
	}
}

// advance sets the session's clock, which never runs backwards.
func (s *FTFW) advance(now int64) { s.now = max(s.now, now) }

// ready reports whether a loss of what is sent now will be noticed: the peer has answered our hello, and it has heard
// our answer to its own, so it knows our numbers.
func (s *FTFW) ready() bool { return s.established && !s.in.hello }

// aliveAfter returns after how long something is to be sent. While messages get lost that is soon: what is sent shows
// the peer that the one before was lost.
func (s *FTFW) aliveAfter() int64 {
	if s.established && s.path.Lossy(s.now) {
		return aliveLossy
	}
	return aliveAfter
}

func (s *FTFW) alive() bool { return s.heard != 0 && s.now-s.heard < peerSilent }

// Tick does what is due and returns the latest moment for the next call. The datagrams that it makes are finished: take
// Output after it.
func (s *FTFW) Tick(now int64) (next int64) {
	s.advance(now)
	s.path.Window.Tick(s.now, s.alive())
	if s.now-s.staleAt >= staleEvery {
		s.staleAt = s.now
		s.loseStale()
		s.watchMalformed()
	}
	s.tickDoubt()
	s.tickResync()
	s.pump()
	s.close()
	s.aim()

	next = s.sentAt + s.aliveAfter()
	for _, t := range [...]int64{
		s.path.Window.Next(), s.acks.due(s.established), s.nextResync(), s.nextBulk(), s.nextResend(),
	} {
		if t > s.now { // what should have happened before now waits for a message of the peer
			next = min(next, t)
		}
	}
	if s.ring.len() > 0 {
		next = min(next, s.staleAt+staleEvery)
	}
	return next
}

// loseStale treats messages as lost that the peer passed over: it acknowledged later ones and has had time enough for
// these. FTFW acknowledges disjoint ranges, so a number can stay between two of them forever, for example when a later
// message was the first that the peer took in.
func (s *FTFW) loseStale() {
	s.repeatControl()
	after := staleAfter
	if s.path.Lossy(s.now) { // what the peer said of it may well be lost too
		after = staleLossy
	}
	for i := range s.ring.n {
		e := s.ring.at(i)
		if s.age(e) < after || !before(e.seq, s.ackedSeq) {
			break
		}
		if e.kind == gone || e.kind == resync && e.seq == s.resync.seq {
			continue // a RESYNC is acknowledged only at the end of its bulk
		}
		if e.kind != ack && e.kind != nack { // those count as retransmitted when they leave
			s.stats.Stale++
		}
		s.lose(s.ring.take(i))
	}
	s.ring.trim()
}
