package daemon

import (
	"fmt"

	"ctsync/daemon/control"
)

// statistics are the counters of a link.
func (ch *channel) statistics(active bool) control.LinkStatistics {
	st := ch.before
	if ch.open != nil {
		st = ch.before.Add(ch.open.Stats())
	}
	s := control.LinkStatistics{
		Transport: ch.transport(), Device: ch.name(), State: ch.state, Role: control.LinkBackup,
		BytesSent: st.BytesSent, BytesReceived: st.BytesRecv, PacketsSent: st.DatagramsSent, PacketsReceived: st.DatagramsRecv,
		ErrorsSent: st.SendErrors, ErrorsReceived: st.RecvErrors + st.KernelDrops,
		SendBuffer:    control.Buffer{Asked: st.SendBuffer.Asked, Granted: st.SendBuffer.Granted},
		ReceiveBuffer: control.Buffer{Asked: st.RecvBuffer.Asked, Granted: st.RecvBuffer.Granted},
		Dropped:       map[string]uint64{},
	}
	if active {
		s.Role = control.LinkActive
	}
	for reason, n := range map[string]uint64{
		"wrong interface": st.WrongInterface, "wrong source": st.WrongSource, "looped back": st.Looped,
		"truncated": st.Truncated, "queue overflow": st.KernelDrops, "second sender": ch.foreign,
		"not sent, queue full": st.SendQueueFull, "not sent, unreachable": st.SendUnreachable,
		"not sent, blocked by the firewall": st.SendBlocked, "not sent, other error": st.SendOther,
	} {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	return s
}

// linkStatistics are the links' part of the statistics.
func (c *core) linkStatistics(s *control.Statistics) {
	for i, ch := range c.links {
		s.Links = append(s.Links, ch.statistics(i == c.choice.active))
	}
	s.LinkChanges = c.counts.linkChanges
}

// linkStatus is the links' part of the status. A backup link that is broken is no reason against being in step now, but
// one to act.
func (c *core) linkStatus(s *control.Status) {
	s.Interface = c.linkNames()
	if len(c.links) == 0 {
		return // about to start
	}
	active := c.sending()
	s.Transport = active.transport()
	if active.cfg.Peer.IsValid() {
		s.Peer = active.cfg.Peer.String()
	}
	if len(c.links) > 1 {
		s.ActiveLink = &control.ActiveLink{Device: active.name(), Changes: c.counts.linkChanges, Since: c.chosen.at, Reason: c.chosen.why}
	}
	for _, ch := range c.links {
		if ch != active && !ch.usable() {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the sync link on %s cannot stand in for the one on %s: %s", ch.name(), active.name(), ch.wrong()))
		}
	}
}

// noLink says why there is no way to the peer, "" if there is one. The active link is usable if any is.
func (c *core) noLink() string {
	if len(c.links) == 0 {
		return "the sync link is not open yet"
	}
	if ch := c.sending(); !ch.usable() {
		return fmt.Sprintf("the sync link on %s is not usable: %s", c.linkNames(), ch.wrong())
	}
	return ""
}
