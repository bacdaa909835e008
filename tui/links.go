package tui

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"ctsync/daemon/control"
)

// links is the view of the dedicated links and of the protocol over them. It reads the messages that the peer has not
// acknowledged.
type links struct {
	text
	reading
	resend []control.Resend // the first maxResend
}

func newLinks(m *monitor) screen {
	l := &links{}
	l.text = text{bare: bare{m}, title: "Links", lines: l.all}
	return l
}

func (l *links) all() []string {
	var lines []string
	for i := range l.state.Statistics.Links {
		var r linkRates
		if i < len(l.state.links) {
			r = l.state.links[i]
		}
		lines = append(lines, l.linkLines(&l.state.Statistics.Links[i], r)...)
	}
	lines = append(lines, l.protocolLines()...)
	lines = append(lines, l.messageLines()...)
	return append(lines, l.wrongLines()...)
}

func (m *monitor) linkLines(n *control.LinkStatistics, r linkRates) []string {
	l := m.look
	u := m.units
	in := good
	if n.State != "RUNNING" {
		in = bad
	}
	direction := func(rate, packets float64, bytes, datagrams uint64) string {
		return l.pad(u.bandwidth(rate), 12, true) + l.pad(u.perSecond(packets), 11, true) +
			l.in(faint, fmt.Sprintf("  %s in %s datagrams", u.size(bytes), u.count(datagrams)))
	}
	lines := slices.Concat(
		[]string{" " + l.in(title, "Link "+n.Device) + "  " + n.Transport + "  " + l.in(in, n.State) + "  " + n.Role},
		m.field("Sent", direction(r.sent, r.packetsSent, n.BytesSent, n.PacketsSent)),
		m.field("Received", direction(r.received, r.packetsReceived, n.BytesReceived, n.PacketsReceived)),
		m.field("Errors", m.ifAny(n.ErrorsSent, "sent")+", "+m.ifAny(n.ErrorsReceived, "received")),
		m.field("Buffers", fmt.Sprintf("send %s, receive %s", m.buffer(n.SendBuffer), m.buffer(n.ReceiveBuffer))),
	)
	if len(n.Dropped) > 0 {
		lines = append(lines, m.paragraph("Dropped", "! "+m.named(n.Dropped), warn)...)
	}
	return append(lines, "")
}

// ifAny writes a count that should be 0.
func (m *monitor) ifAny(n uint64, what string) string {
	text := m.units.count(n) + " " + what
	if n > 0 {
		return m.look.in(warn, "! "+text)
	}
	return text
}

func (m *monitor) buffer(b control.Buffer) string {
	text := m.units.size(uint64(max(b.Granted, 0)))
	if b.Granted < b.Asked {
		return m.look.in(warn, "! "+text+" of "+m.units.size(uint64(b.Asked))+" requested")
	}
	return text
}

func (m *monitor) named(counts map[string]uint64) string {
	var parts []string
	for _, k := range keys(counts) {
		parts = append(parts, m.units.count(counts[k])+" "+k)
	}
	return strings.Join(parts, ", ")
}

func (m *links) protocolLines() []string {
	s, u := &m.state.Statistics.Session, m.units
	state := m.look.in(good, s.State)
	if !m.state.Status.Established {
		state = m.look.in(bad, "! "+s.State)
	}
	return slices.Concat(
		[]string{" " + m.look.in(title, "Protocol") + "  " + m.state.Status.Mode + "  " + state},
		m.field("Sequence", fmt.Sprintf("ours %d, the peer's %d", s.Sequence, s.PeerSequence)),
		m.field("Unacknowledged", fmt.Sprintf("%s of at most %s messages, kept for retransmission",
			u.count(s.Unacknowledged), u.count(s.Window))),
		m.resendLines(),
		m.paragraph("Acknowledged", m.timesText(&m.state.Statistics.Times.EventAcknowledged), plain),
		m.field("Waiting", u.count(s.Waiting)+" changed flows for room in the window"),
		m.field("Retransmitted", u.count(s.Retransmitted)+" messages"),
		m.field("Gaps", m.ifAny(s.NacksOutstanding, "in what the peer sent, requested and not yet repaired")),
		m.field("Peer's restarts", u.count(s.PeerRestarts)),
		m.field("Datagrams", u.count(s.Oversized)+" messages in fragments, "+
			m.ifAny(s.Foreign, "datagrams from a second sender")),
		[]string{""},
	)
}

// timesText says how long it took from an event to the peer's acknowledgement. The daemon measures a sample of the
// events.
func (m *monitor) timesText(h *control.Histogram) string {
	if h.Count == 0 {
		return "no event yet"
	}
	text := took(time.Duration(h.Mean())) + " after the event on average"
	if bound, ok := h.Within(0.99); ok {
		text += ", 99% within " + took(time.Duration(bound))
	}
	return text
}

// messageLines draws the number of messages by kind.
func (m *monitor) messageLines() []string {
	s := &m.state.Statistics.Session
	names := map[string]bool{}
	for k := range s.Sent {
		names[k] = true
	}
	for k := range s.Received {
		names[k] = true
	}
	kinds := make([]string, 0, len(names))
	for k := range names {
		kinds = append(kinds, k)
	}
	sort.Slice(kinds, func(i, j int) bool { // the busiest first
		a, b := s.Sent[kinds[i]]+s.Received[kinds[i]], s.Sent[kinds[j]]+s.Received[kinds[j]]
		return a > b || a == b && kinds[i] < kinds[j]
	})
	name := m.look.in(title, m.look.pad("Messages", nameWidth, false))
	lines := []string{" " + name + m.look.in(faint, fmt.Sprintf("%13s %13s", "sent", "received"))}
	for _, k := range kinds {
		counts := fmt.Sprintf("%12s %13s", m.units.count(s.Sent[k]), m.units.count(s.Received[k]))
		lines = append(lines, m.field(k, counts)...)
	}
	if len(kinds) == 0 {
		lines = append(lines, m.look.in(faint, "   none yet"))
	}
	return append(lines, "")
}

// wrongLines draws what was wrong with received messages. Zeros are shown too: this is where one looks for them.
func (m *monitor) wrongLines() []string {
	t := &m.state.Statistics.Tracking
	b := &t.Malformed
	lines := []string{" " + m.look.in(title, "Malformed and lost")}
	for _, k := range []struct {
		n    uint64
		name string
		text string
	}{
		{b.BadVersion, "bad version", "another protocol version"},
		{b.BadHeader, "bad header", "unknown flags or an impossible length"},
		{b.BadPayload, "bad payload", "attributes that cannot be read"},
		{b.BadType, "bad type", "a message type that version 1 does not have"},
		{b.Truncated, "truncated", "shorter than its header says"},
		{b.BadSize, "bad size", "longer than its header says"},
		{t.Lost, "lost", "messages missed by their sequence numbers"},
		{t.PayloadsLost, "given up", "bad payloads requested again in vain"},
		{t.Before, "before", "duplicate or late messages"},
		{t.Refused, "refused", "treated as lost because answers to the peer piled up"},
		{t.Contradicted, "contradicted", "another content than the number had before: a second sender"},
		{t.Stray, "stray", "acknowledgements of what was never sent"},
		{t.Invalid, "invalid", "well-formed flows that cannot exist"},
		{t.UnknownAttributes, "unknown", "attributes of a newer peer, skipped"},
	} {
		in := plain
		number := m.units.count(k.n)
		if k.n > 0 {
			in, number = warn, "! "+number
		}
		text := m.look.in(in, m.look.pad(number, 12, true)) + "  " + m.look.in(faint, k.text)
		lines = append(lines, m.field(k.name, text)...)
	}
	return lines
}
