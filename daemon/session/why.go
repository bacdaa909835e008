package session

import "fmt"

// watchMalformed takes the present counters of what was wrong with the peer's messages.
func (s *FTFW) watchMalformed() {
	unreadable := s.stats.PayloadsLost
	for _, n := range s.stats.Malformed {
		unreadable += n
	}
	s.unreadable.See(unreadable, s.now)
	s.refused.See(s.stats.Refused, s.now)
}

// Why lists what the session knows against the two routers being in step, and what to do where an operator can do
// something. A peer that is silent is none: its caller knows better.
func (s *FTFW) Why() (why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	st := s.State()
	if !st.Established && s.alive() {
		say("the peer has not answered our hello")
	}
	if st.OldestUnacked != 0 && s.now-st.OldestUnacked > peerSilent { // a second, with conntrackd, is usual
		say("%d messages are not acknowledged", st.Unacked+st.Missed)
	}
	if n, tries := s.Repeated(); n > 0 {
		say("%d messages do not arrive and are sent again, up to %d times so far: look for loss on the sync link", n, tries)
	}
	if st.NacksOutstanding > 0 {
		say("gaps in what the peer sent are not repaired: %d", st.NacksOutstanding)
	}
	if n := s.unreadable.Now(s.now); n > 0 {
		say("%d messages of the peer could not be read: compare the versions of both routers (conntrackd needs 1.4.7), and see "+
			"ctsync show statistics --detail", n)
	}
	if n := s.refused.Now(s.now); n > 0 {
		say("%d messages of the peer were refused because answers to it pile up: look for loss on the sync link", n)
	}
	if s.tables.mute > s.now {
		say("the peer starts again and again, and gets nothing until it rests: see its log, and keep others off the sync link")
	} else if s.bulk.waiting {
		say("the peer asks for our table again and again, and has to wait for it: look for loss on the sync link")
	}
	if s.doubt.open {
		say("another sender speaks with the peer's numbers, the tables are sent again: keep others off the sync link")
	}
	if st.ResyncPending {
		say("the peer's table has been asked for and is not complete")
	}
	return why
}
