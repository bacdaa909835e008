package tui

import (
	"time"

	"ctsync/daemon/control"
)

// state is the daemon's last snapshot, with the rates between it and those before.
type state struct {
	reading
	control.Snapshot
	rates rates
	links []linkRates // in the order of Statistics.Links
}

// rates are per second.
type rates struct {
	events, sent, received, bytesSent, bytesReceived series
}

// linkRates are bytes and datagrams per second of one link.
type linkRates struct{ sent, received, packetsSent, packetsReceived float64 }

// known reports whether the daemon has ever answered.
func (s *state) known() bool { return !s.read.IsZero() }

// take stores an answer, and reports whether it brought something new. If the daemon did not answer, the old data
// stays; the header shows its age.
func (s *state) take(a answer[control.Snapshot]) bool {
	before, was := s.Statistics, s.read
	if !fresh(&s.reading, a, stateEvery) {
		return false
	}
	if s.Snapshot = a.value; !was.IsZero() {
		s.count(&before, a.at.Sub(was))
	}
	return true
}

// count appends the rates of the counters since before. Counters that became smaller are of a daemon that restarted:
// the rate is then 0.
func (s *state) count(before *control.Statistics, between time.Duration) {
	rate := func(now, then uint64) float64 {
		if now < then || between <= 0 {
			return 0
		}
		return float64(now-then) / between.Seconds()
	}
	now := &s.Statistics
	s.links = make([]linkRates, len(now.Links))
	var bytesSent, bytesReceived float64
	for i := range now.Links {
		if i >= len(before.Links) {
			break
		}
		n, b, r := &now.Links[i], &before.Links[i], &s.links[i]
		r.sent, r.received = rate(n.BytesSent, b.BytesSent), rate(n.BytesReceived, b.BytesReceived)
		r.packetsSent = rate(n.PacketsSent, b.PacketsSent)
		r.packetsReceived = rate(n.PacketsReceived, b.PacketsReceived)
		bytesSent, bytesReceived = bytesSent+r.sent, bytesReceived+r.received
	}
	r := &s.rates
	r.events = r.events.add(rate(now.Kernel.Events, before.Kernel.Events))
	r.sent = r.sent.add(rate(sum(now.Session.Sent), sum(before.Session.Sent)))
	r.received = r.received.add(rate(sum(now.Session.Received), sum(before.Session.Received)))
	r.bytesSent, r.bytesReceived = r.bytesSent.add(bytesSent), r.bytesReceived.add(bytesReceived)
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}
