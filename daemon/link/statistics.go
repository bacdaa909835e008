package link

import (
	"fmt"
	"time"

	"ctsync/daemon/control"
)

// statistics are the counters of a link.
func (ch *Channel) statistics(active bool) control.LinkStatistics {
	st := ch.stats()
	s := control.LinkStatistics{
		Transport: ch.transport(), Device: ch.Name(), State: ch.state, Role: control.LinkBackup,
		BytesSent: st.BytesSent, BytesReceived: st.BytesRecv, PacketsSent: st.DatagramsSent, PacketsReceived: st.DatagramsRecv,
		ErrorsSent: st.SendErrors, ErrorsReceived: st.RecvErrors + st.KernelDrops,
		SendBuffer:    control.Buffer{Asked: st.SendBuffer.Asked, Granted: st.SendBuffer.Granted},
		ReceiveBuffer: control.Buffer{Asked: st.RecvBuffer.Asked, Granted: st.RecvBuffer.Granted},
		Dropped:       map[string]uint64{},
	}
	if active {
		s.Role = control.LinkActive
	}
	if ch.Open != nil {
		s.DatagramLimit, s.DatagramSize = ch.path.Most, ch.Open.MaxPayload()
		if ch.path.Most != 0 {
			s.DatagramSize = ch.path.Sent
		}
	}
	for reason, n := range map[string]uint64{
		"wrong interface": st.WrongInterface, "wrong source": st.WrongSource, "looped back": st.Looped,
		"truncated": st.Truncated, "queue overflow": st.KernelDrops, "second sender": ch.foreign,
		"unknown sender, not protocol v1": ch.unreadable,
		"not sent, queue full":            st.SendQueueFull, "not sent, unreachable": st.SendUnreachable,
		"not sent, blocked by the firewall": st.SendBlocked, "not sent, too long": st.SendTooLong,
		"not sent, other error": st.SendOther,
	} {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	return s
}

// Statistics fills in the links' part of the statistics.
func (s *Set) Statistics(to *control.Statistics) {
	for i, ch := range s.channels {
		to.Links = append(to.Links, ch.statistics(i == s.choice.active))
	}
	to.LinkChanges, to.Session.Foreign = s.changes, s.foreign
}

// Status fills in the links' part of the status, whose Time is that of now. A backup link that is broken is no reason
// against being in step now, but one to act.
func (s *Set) Status(to *control.Status, now int64) {
	to.Interface = s.Names()
	if s.peer.Addr.IsValid() {
		to.Peer = s.peer.Addr.String()
	}
	if s.peer.Heard != 0 {
		to.PeerHeard = to.Time.Add(-time.Duration(now - s.peer.Heard)) // by the wall clock as it is now
	}
	if len(s.channels) == 0 {
		return // about to start
	}
	active := s.Sending()
	to.Transport = active.transport()
	if active.named() && !s.peer.Addr.IsValid() {
		to.Peer = active.names().String()
	}
	s.senders.status(to, now)
	if len(s.channels) > 1 {
		to.ActiveLink = &control.ActiveLink{Device: active.Name(), Changes: s.changes, Reason: s.reason}
		if s.reason != "" {
			to.ActiveLink.Since = to.Time.Add(-time.Duration(now - s.chosenAt))
		}
	}
	for _, ch := range s.channels {
		if ch.path.Most != 0 {
			to.Warnings = append(to.Warnings, fmt.Sprintf("on %s datagrams of more than %d bytes do not arrive at the peer, "+
				"so at most %d are sent: set the MTU of %s on both routers to what the path carries",
				ch.Name(), ch.path.Most, ch.path.Sent, ch.Name()))
		}
		if ch != active && !ch.Usable() {
			to.Warnings = append(to.Warnings, fmt.Sprintf("the sync link on %s cannot stand in for the one on %s: %s",
				ch.Name(), active.Name(), ch.wrong()))
		}
	}
}

// NoLink says why nothing can be sent to the peer, "" if something can. The active link is usable if any is.
func (s *Set) NoLink() string {
	if len(s.channels) == 0 {
		return "the sync link is not open yet"
	}
	if ch := s.Sending(); !ch.Usable() {
		return fmt.Sprintf("the sync link on %s is not usable: %s", s.Names(), ch.wrong())
	}
	return ""
}
