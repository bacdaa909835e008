package session

import (
	"time"

	"ctsync/daemon/wire"
)

const (
	resyncQuiet  = int64(5 * time.Second)  // a request unacknowledged for so long while no state arrives is repeated
	resyncLong   = int64(60 * time.Second) // a request unacknowledged for so long is repeated in any case
	resyncSettle = int64(10 * time.Second) // so long after the acknowledgement the bulk counts as complete despite gaps
)

type resyncPhase uint8

const (
	resyncIdle   resyncPhase = iota
	resyncWanted             // not sent yet: the handshake is not complete
	resyncAsked              // sent
	resyncAcked              // acknowledged: the peer has sent everything, but gaps may be open
)

// resyncState is our own request for the peer's table.
type resyncState struct {
	phase resyncPhase
	seq   uint32 // of the latest request
	at    int64  // when it was sent, then when it was acknowledged
	sent  bool   // ResyncSent was called for it
}

// bulkState is the peer's request for our table.
type bulkState struct {
	running bool // between BulkStarted and BulkSent
	again   bool // another request came while running
	waiting bool // another request came too early, see budget
}

const (
	bulksAtOnce = 8                       // whole tables that a peer may have at once,
	bulkEvery   = int64(10 * time.Second) // and then one in so long
)

// budget bounds how often a peer gets the whole table, by its request or by its restart.
type budget struct {
	left int
	at   int64 // when left last grew
	wait int64 // until when there is none
	mute int64 // until when the peer gets nothing at all: it restarts time and again
}

func newBudget(now int64) budget { return budget{left: bulksAtOnce, at: now} }

// take takes a table, or returns false and sets wait.
func (b *budget) take(now int64) bool {
	if n := (now - b.at) / bulkEvery; n > 0 {
		b.left, b.at = int(min(int64(b.left)+n, bulksAtOnce)), b.at+n*bulkEvery
	}
	if b.left == 0 {
		b.wait = b.at + bulkEvery
		return false
	}
	b.left--
	return true
}

// RequestResync asks the peer for its whole table. The request goes out when the handshake is complete, and again when
// it was lost or the peer restarts. BulkReceived follows once, after the answer to the latest request. It may be
// called from a callback.
func (s *FTFW) RequestResync(now int64) {
	s.advance(now)
	s.resync.phase, s.resync.sent = resyncWanted, false
}

func (s *FTFW) pumpResync() {
	if s.resync.phase != resyncWanted || !s.ready() {
		return
	}
	s.ring.drop(s.resync.seq, resync) // the new request covers what the former asked for
	s.resync.phase, s.resync.at = resyncAsked, s.now
	if !s.resync.sent {
		s.resync.sent = true
		if s.h.ResyncSent != nil {
			s.h.ResyncSent()
		}
	}
	s.resync.seq = s.sendControl(wire.Resync, element{kind: resync})
}

// resyncAcked notes that the peer acknowledged the request seq. It does so behind the last message of its bulk:
// conntrackd because both stand in one queue, ctsync because it waits for BulkSent.
func (s *FTFW) resyncAcked(seq uint32) {
	if s.resync.phase == resyncAsked && seq == s.resync.seq {
		s.resync.phase, s.resync.at = resyncAcked, s.now
	}
}

// settleResync calls BulkReceived when the peer has sent its whole bulk and nothing of it is missing. A gap is asked
// for before anything behind it is looked at, so no outstanding NACK means no gap.
func (s *FTFW) settleResync() {
	if s.resync.phase != resyncAcked || s.nacksOutstanding() > 0 && s.now-s.resync.at < resyncSettle {
		return
	}
	s.resync.phase = resyncIdle
	s.doubt.open = s.doubt.due
	if s.h.BulkReceived != nil {
		s.h.BulkReceived()
	}
}

// tickResync repeats a request that the peer passed over. While state messages arrive they count as the answer.
func (s *FTFW) tickResync() {
	if s.bulk.waiting && s.now >= s.tables.wait {
		s.askBulk()
	}
	if s.resync.phase == resyncAsked && s.alive() && s.now >= s.resyncRepeat() {
		s.resync.phase = resyncWanted
	}
	s.settleResync()
}

func (s *FTFW) resyncRepeat() int64 {
	return min(max(s.resync.at, s.stateAt)+resyncQuiet, s.resync.at+resyncLong)
}

// nextBulk returns when a request of the peer that came too early is passed on.
func (s *FTFW) nextBulk() int64 {
	if !s.bulk.waiting {
		return never
	}
	return s.tables.wait
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

// resyncRequested holds the number of the request and calls ResyncRequested, also when the caller has not begun the
// bulk for an earlier request: what was sent before this one does not count for the peer any more. A request that comes
// during a bulk may be about entries that have passed already, so it gets a bulk of its own.
func (s *FTFW) resyncRequested(seq uint32) {
	s.acks.hold(held{seq: seq, resync: true})
	if s.bulk.running {
		s.bulk.again = true
		return
	}
	s.askBulk()
}

func (s *FTFW) askBulk() {
	if s.bulk.waiting = !s.tables.take(s.now); s.bulk.waiting {
		return
	}
	if s.h.ResyncRequested != nil {
		s.h.ResyncRequested()
	}
}

// BulkStarted says that the caller begins to send its whole table: it will call SendFlow for every entry that exists
// now, and then BulkSent. It may be called from ResyncRequested.
func (s *FTFW) BulkStarted() {
	s.bulk = bulkState{running: true}
	for i := range s.acks.held {
		s.acks.held[i].covered = s.acks.held[i].resync
	}
}

// BulkSent says that the caller has sent the last message of the bulk. The session acknowledges the requests that the
// bulk answers behind it, by which the peer knows that it has everything. When another request came meanwhile, BulkSent
// calls ResyncRequested.
func (s *FTFW) BulkSent() {
	again := s.bulk.again
	s.bulk.running, s.bulk.again = false, false
	s.release(func(h held) bool { return h.covered })
	if again {
		s.askBulk()
	}
}
