package session

import "time"

// When the peer counts as deaf. conntrackd acknowledges what it got after 300 messages or a second without anything to
// send: one that has much to send and hears little may take a minute for it.
const (
	deafWindows = 2                       // so many windows of acknowledgement
	deafBusy    = int64(5 * time.Second)  // that are not acknowledged for so long
	deafIdle    = int64(90 * time.Second) // or any message for so long
)

// Deaf reports whether the peer shows no sign of hearing us: our hello goes unanswered, or nothing is acknowledged. It
// is how one direction that is broken shows with a conntrackd, which does not look for another link. A peer that is
// silent proves nothing: ask while it is heard.
func (s *FTFW) Deaf(now int64) bool {
	if !s.ready() {
		return true // who asks waits long enough for it to end
	}
	oldest := s.oldestUnacked()
	age := now - oldest
	return oldest != 0 && (age >= deafIdle || age >= deafBusy && s.seq-s.ackedSeq > uint32(deafWindows*s.cfg.AckWindow))
}
