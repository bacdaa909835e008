package session

import (
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

// Messages counts messages by what they are. Hello and HelloBack count flags, which travel on any of the others.
type Messages struct {
	New, Update, Destroy          uint64
	ExpNew, ExpUpdate, ExpDestroy uint64
	Ack, Nack, Resync, Alive      uint64
	Hello, HelloBack              uint64
}

// Stats are the counters of a session since New.
type Stats struct {
	Sent, Received Messages // Received counts messages taken in, not those that Malformed, Before and Refused count

	Malformed         [wire.NumMalformed]uint64 // indexed by kind; OK stays 0
	Lost              uint64                    // messages of the peer that were missing when a later one came
	Before            uint64                    // messages of the peer that came again or too late
	Refused           uint64                    // messages of the peer treated as lost because too many answers wait
	PayloadsLost      uint64                    // malformed payloads given up: asking for them again did not help
	UnknownAttributes uint64                    // attributes of a newer version of the protocol, skipped
	Contradicted      uint64                    // of Before, those that said something else than before
	Stray             uint64                    // acknowledgements of and requests for numbers that were never sent

	Nacked        uint64 // state messages that the peer asked for again
	Stale         uint64 // state messages and RESYNCs that the peer neither acknowledged nor asked for, treated as lost
	Retransmitted uint64 // control messages sent again; the caller counts the state messages that it sends again
	Oversized     uint64 // messages longer than a datagram, sent alone to be fragmented
	PeerRestarts  uint64 // starts of the peer, the first one included
}

func (m *Messages) count(t wire.Type, f wire.Flags) {
	if f&wire.Hello != 0 {
		m.Hello++
	}
	if f&wire.HelloBack != 0 {
		m.HelloBack++
	}
	switch t {
	case wire.CTNew:
		m.New++
	case wire.CTUpdate:
		m.Update++
	case wire.CTDestroy:
		m.Destroy++
	case wire.ExpNew:
		m.ExpNew++
	case wire.ExpUpdate:
		m.ExpUpdate++
	case wire.ExpDestroy:
		m.ExpDestroy++
	case wire.Control:
		m.countControl(f)
	}
}

func (m *Messages) countControl(f wire.Flags) {
	switch {
	case f&wire.Ack != 0:
		m.Ack++
	case f&wire.Nack != 0:
		m.Nack++
	case f&wire.Resync != 0:
		m.Resync++
	default:
		m.Alive++
	}
}

// Named returns the counts that are not 0 by the names of the messages, as the statistics show them.
func (m *Messages) Named() map[string]uint64 {
	counts := map[string]uint64{}
	for name, n := range map[string]uint64{
		"new": m.New, "update": m.Update, "destroy": m.Destroy, "expect-new": m.ExpNew, "expect-update": m.ExpUpdate,
		"expect-destroy": m.ExpDestroy, "ack": m.Ack, "nack": m.Nack, "resync": m.Resync, "alive": m.Alive,
		"hello": m.Hello, "hello-back": m.HelloBack,
	} {
		if n > 0 {
			counts[name] = n
		}
	}
	return counts
}

// State is where a session stands.
type State struct {
	Established bool  // the peer has answered our hello
	PeerHello   bool  // the peer has not heard our answer to its hello
	Heard       int64 // when the peer last spoke; 0 = never

	Seq      uint32 // number of the next message
	AckedSeq uint32 // highest number that the peer acknowledged
	PeerSeq  uint32 // last number taken in from the peer; 0 before the first

	Unacked          int   // state messages in flight
	UnackedControl   int   // control messages in flight
	OldestUnacked    int64 // when the oldest state message in flight was sent, to the millisecond; 0 = none
	Window           int   // state messages that may be in flight
	NacksOutstanding int   // NACKs that the peer has not acknowledged
	Missed           int   // state messages that the peer missed and that wait to be sent again
	RoundTrip        int64 // measured, nanoseconds; 0 = not known
	Path             path.Limit
	ResyncPending    bool // a resync was requested and the peer's table is not complete yet
	BulkRunning      bool // between BulkStarted and BulkSent
}

// Handshake says how far the exchange of hellos has come.
func (s *State) Handshake() string {
	switch {
	case s.Established:
		return "established"
	case s.Heard != 0:
		return "the peer has not answered our hello"
	}
	return "the peer has not been heard"
}

// Stats returns the counters.
func (s *FTFW) Stats() Stats { return s.stats }

// State returns where the session stands. It costs time in proportion to UnackedControl.
func (s *FTFW) State() State {
	return State{
		Established: s.established, PeerHello: s.in.hello, Heard: s.heard,
		Seq: s.seq, AckedSeq: s.ackedSeq, PeerSeq: s.in.last,
		Unacked: s.ring.state, UnackedControl: s.ring.control + s.again.control(), OldestUnacked: s.oldestUnacked(),
		Missed: s.again.state, RoundTrip: s.path.RoundTrip.Smooth(), Path: s.path.Size.Known(),
		Window: s.path.Window.Limit(), NacksOutstanding: s.nacksOutstanding(),
		ResyncPending: s.resync.phase != resyncIdle, BulkRunning: s.bulk.running,
	}
}

// Heard returns when the last well-formed message came, 0 = never.
func (s *FTFW) Heard() int64 { return s.heard }

func (s *FTFW) oldestUnacked() int64 {
	for i := range s.again.lost {
		if e := &s.again.lost[i]; e.kind == state {
			return max(s.now-s.age(e), 1)
		}
	}
	for i := range s.ring.n {
		if e := s.ring.at(i); e.kind == state {
			return max(s.now-s.age(e), 1)
		}
	}
	return 0
}
