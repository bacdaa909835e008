package session

import (
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

// InFlight is a message that was sent and that the peer has not acknowledged: an element of what conntrackd calls the
// resend queue.
type InFlight struct {
	Seq   uint32
	Flags wire.Flags // of a control message; 0 for one that carries state
}

// Control reports whether the message is a control message rather than the state of a flow or an expectation.
func (m InFlight) Control() bool { return m.Flags != 0 }

// controlFlags are the flags of the control messages that are kept.
var controlFlags = [...]wire.Flags{ack: wire.Ack, nack: wire.Nack, resync: wire.Resync}

// AppendInFlight appends the messages in flight in the order of their numbers, at most InFlightMost of them.
func (s *FTFW) AppendInFlight(list []InFlight) []InFlight {
	for i := range s.ring.n {
		e := s.ring.at(i)
		switch e.kind {
		case gone:
		case state:
			list = append(list, InFlight{Seq: e.seq})
		default:
			list = append(list, InFlight{Seq: e.seq, Flags: controlFlags[e.kind]})
		}
	}
	return list
}

// InFlightMost is how many messages may be in flight at the default Config.Window. At that number the session waits: it
// never drops a message for want of room.
const InFlightMost = path.WindowMost + controlMost
