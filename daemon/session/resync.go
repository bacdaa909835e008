package session

import (
	"time"

	"ctsync/daemon/wire"
)

const (
	resyncQuiet  = int64(5 * time.Second)  // unacknowledged while no state arrives: repeat
	resyncLong   = int64(60 * time.Second) // unacknowledged in any case: repeat
	resyncSettle = int64(10 * time.Second) // acknowledged while gaps never close altogether: take it for complete
)

type resyncPhase uint8

const (
	resyncIdle   resyncPhase = iota
	resyncWanted             // to be sent as soon as the handshake allows
	resyncAsked              // sent
	resyncAcked              // the peer has sent everything, gaps may be open
)

// resyncState is our own request for the peer's table.
type resyncState struct {
	phase resyncPhase
	seq   uint32 // of the latest request
	at    int64  // when it was sent, then when it was acknowledged
	first int64  // when it was sent first; 0 = not yet
}

// bulkState is the peer's request for our table.
type bulkState struct {
	asked   bool // ResyncRequested was called, BulkStarted not yet
	running bool // between BulkStarted and BulkSent
	again   bool // another request came while running
}

// RequestResync asks the peer for its whole table. The request goes out when the handshake is complete, is repeated
// when it got lost and made anew when the peer restarts. BulkReceived follows once, after the answer to the latest
// request. It may be called from a callback.
func (s *FTFW) RequestResync(now int64) {
	s.advance(now)
	s.resync.phase, s.resync.first = resyncWanted, 0
}

func (s *FTFW) pumpResync() {
	if s.resync.phase != resyncWanted || !s.ready() {
		return
	}
	s.ring.drop(s.resync.seq, resync) // the new request covers what the former asked for
	s.resync.phase, s.resync.at = resyncAsked, s.now
	if s.resync.first == 0 {
		s.resync.first = s.now
		if s.h.ResyncSent != nil {
			s.h.ResyncSent()
		}
	}
	s.resync.seq = s.sendControl(wire.Resync, resync, 0, 0)
}

// resyncAcked notes that the request seq was acknowledged. A peer does that behind the last message of its bulk:
// conntrackd because both stand in one queue, ctsync because it waits for BulkSent.
func (s *FTFW) resyncAcked(seq uint32) {
	if s.resync.phase == resyncAsked && seq == s.resync.seq {
		s.resync.phase, s.resync.at = resyncAcked, s.now
	}
}

// settleResync calls BulkReceived when the bulk was sent completely and nothing of it is missing. A gap is asked for
// before anything behind it is looked at, so no outstanding NACK means no gap.
func (s *FTFW) settleResync() {
	if s.resync.phase != resyncAcked || s.nacksOutstanding() > 0 && s.now-s.resync.at < resyncSettle {
		return
	}
	s.resync.phase = resyncIdle
	if s.h.BulkReceived != nil {
		s.h.BulkReceived()
	}
}

// tickResync repeats a request that the peer passed over. While state messages arrive they are taken for the answer.
func (s *FTFW) tickResync() {
	if s.resync.phase == resyncAsked && s.alive() && s.now >= s.resyncRepeat() {
		s.resync.phase = resyncWanted
	}
	s.settleResync()
}

func (s *FTFW) resyncRepeat() int64 {
	return min(max(s.resync.at, s.stateAt)+resyncQuiet, s.resync.at+resyncLong)
}

func (s *FTFW) nextResync() int64 {
	switch s.resync.phase {
	case resyncAsked:
		return max(s.resyncRepeat(), s.now+resyncQuiet/10)
	case resyncAcked:
		return s.resync.at + resyncSettle
	}
	return never
}

// resyncRequested holds the number of the request and tells the caller, unless it has been told and not begun. A
// request that comes during a bulk may be about what has already passed, so it gets a bulk of its own.
func (s *FTFW) resyncRequested(seq uint32) {
	s.acks.hold(held{seq: seq, resync: true})
	switch {
	case s.bulk.running:
		s.bulk.again = true
	case !s.bulk.asked:
		s.askBulk()
	}
}

func (s *FTFW) askBulk() {
	s.bulk.asked = true
	if s.h.ResyncRequested != nil {
		s.h.ResyncRequested()
	}
}

// BulkStarted says that the caller begins to send its whole table: every entry that exists now will pass SendFlow
// before BulkSent. It may be called from ResyncRequested.
func (s *FTFW) BulkStarted() {
	s.bulk = bulkState{running: true}
	for i := range s.acks.held {
		s.acks.held[i].covered = s.acks.held[i].resync
	}
}

// BulkSent says that the last message of the bulk has passed SendFlow. The requests that it answered are acknowledged
// behind it, which tells the peer that it has everything. When another request came meanwhile, ResyncRequested is
// called from here.
func (s *FTFW) BulkSent() {
	again := s.bulk.again
	s.bulk.running, s.bulk.again = false, false
	s.release(func(h held) bool { return h.covered })
	if again {
		s.askBulk()
	}
}
