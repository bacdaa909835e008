package tui

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"ctsync/daemon/control"
)

// inStepMeans is what a router can know about being in step.
const inStepMeans = "nothing unacknowledged, no unrepaired loss, last bulk complete, peer heard within its alive interval"

// newOverview answers in this order: are the two in step, who are we, what is replicated, what goes on, what was lost, what
// happened last. The blank lines between these give way where room is short.
func newOverview(m *monitor) screen {
	lines := func() []string {
		lines := m.overviewLines()
		if len(lines) > m.bodyHeight() {
			lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
		}
		return lines
	}
	return &silentText{text: text{bare: bare{m}, title: "Overview", lines: lines}}
}

func (m *monitor) overviewLines() []string {
	s := &m.state.Status
	lines := m.stepLines()
	lines = slices.Concat(lines, m.field("Role", m.roleText()), m.field("Peer", m.peerText()))
	for i := range m.state.Statistics.Links {
		name := "Link"
		if i > 0 {
			name = ""
		}
		lines = append(lines, m.field(name, m.linkText(&m.state.Statistics.Links[i]))...)
	}
	if l := s.ActiveLink; l != nil {
		lines = append(lines, m.paragraph("Active link", m.activeText(l), plain)...)
	}
	for _, w := range s.Warnings {
		lines = append(lines, m.paragraph("Warning", "! "+w, warn)...)
	}
	if len(s.NeedRestart) > 0 {
		lines = append(lines, m.paragraph("Warning", "! a restart is needed for "+strings.Join(s.NeedRestart, ", "), warn)...)
	}
	lines = append(lines, "")
	lines = append(lines, m.cacheLines()...)
	lines = append(lines, "")
	lines = append(lines, m.rateLines()...)
	lines = append(lines, "")
	lines = append(lines, m.lossLines()...)
	for i := range s.Jobs {
		lines = append(lines, m.field("Running", m.jobText(&s.Jobs[i]))...)
	}
	if t := s.LastTransition; t != nil {
		lines = append(lines, m.paragraph("Last transition", m.transitionLine(t), outcomePaint(t))...)
	} else {
		lines = append(lines, m.field("Last transition", m.look.in(faint, "keepalived has said nothing yet"))...)
	}
	return lines
}

func (m *monitor) stepLines() []string {
	s := &m.state.Status
	switch {
	case m.state.err != nil:
		return m.paragraph("In step", "not known: "+m.state.err.Error(), bad)
	case s.InStep:
		return append(m.paragraph("In step", "yes, as far as this router can know:", good), m.paragraph("", inStepMeans, faint)...)
	}
	lines := m.field("In step", m.look.in(bad, "! no, this router knows of:"))
	for _, w := range s.Why {
		lines = append(lines, m.paragraph("", "- "+w, bad)...)
	}
	return lines
}

func (m *monitor) roleText() string {
	s := &m.state.Status
	text := m.look.in(title, strings.ToUpper(string(s.Role)))
	if !s.RoleSince.IsZero() {
		text += fmt.Sprintf(" for %s, since %s", span(m.still().Sub(s.RoleSince)), s.RoleSince.Local().Format(time.DateTime))
	} else {
		text += m.look.in(faint, " until keepalived says what it is")
	}
	return text
}

func (m *monitor) peerText() string {
	s := &m.state.Status
	if s.Peer == "" {
		return m.look.in(bad, "! not heard yet") + " over " + s.Transport
	}
	text := s.Peer + " over " + s.Transport
	if s.PeerHeard.IsZero() {
		return text + m.look.in(bad, " ! not heard yet")
	}
	return text + ", heard " + ago(m.state.read.Sub(s.PeerHeard))
}

// ago says how long ago something was that happens all the time.
func ago(d time.Duration) string {
	if d < 2*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

func (m *monitor) linkText(n *control.LinkStatistics) string {
	in := good
	if n.State != "RUNNING" {
		in = bad
	}
	text := n.Device + " " + m.look.in(in, n.State) + " " + n.Role
	if e := n.ErrorsSent + n.ErrorsReceived; e > 0 {
		text += m.look.in(warn, fmt.Sprintf("  ! %s errors", m.units.count(e)))
	}
	return text
}

// activeText says which of several links sends, since when and why, and how often that changed.
func (m *monitor) activeText(l *control.ActiveLink) string {
	text := l.Device
	if !l.Since.IsZero() {
		text += " for " + span(m.still().Sub(l.Since))
	}
	if l.Reason != "" {
		text += ": " + l.Reason
	}
	if l.Changes == 0 {
		return text + " since the daemon began"
	}
	return text + fmt.Sprintf(" (change %s)", m.units.count(l.Changes))
}

func (m *monitor) cacheLines() []string {
	st := &m.state.Statistics
	room := ""
	if st.Kernel.TableMax > 0 {
		room = "of " + m.units.count(st.Kernel.TableMax) + " that it may hold"
	}
	wait := fmt.Sprintf("%s wait to be sent", m.units.count(st.Session.Waiting))
	unacked := fmt.Sprintf("%s unacknowledged", m.units.count(st.Session.Unacknowledged))
	return slices.Concat(
		m.field("Internal cache", m.figure(m.units.count(st.Internal.Active), "flows", wait+", "+unacked)),
		m.peerFlows(),
		m.field("Kernel's table", m.figure(m.units.count(st.Kernel.TableEntries), "flows", room)),
	)
}

// peerFlows is the row of the external cache, or of what goes straight into the kernel where there is none.
func (m *monitor) peerFlows() []string {
	st := &m.state.Statistics
	i := st.Inject
	if i == nil {
		return m.field("External cache", m.figure(m.units.count(st.External.Active), "flows", "of the peer"))
	}
	lines := m.field("Injecting", m.figure(m.units.count(i.Flows), "flows", "of the peer into the kernel, "+m.units.count(i.Waiting)+" wait"))
	if i.Missing > 0 {
		lines = append(lines, m.paragraph("", "! "+m.units.count(i.Missing)+" are refused by the kernel and tried again", warn)...)
	}
	return lines
}

// figure sets a number in the column where all numbers of the view stand.
func (m *monitor) figure(number, unit, text string) string {
	return m.look.pad(number, 11, true) + " " + unit + "  " + m.look.in(faint, text)
}

// A graph is as high as these at least: a router at rest does not look busy.
const (
	quietEvents = 10
	quietBytes  = 1000
)

func (m *monitor) rateLines() []string {
	r := &m.state.rates
	room := min(max(m.width-nameWidth-3-14-14, 0), graphLength)
	line := func(name string, s series, quiet float64, write func(float64) string) []string {
		text := m.look.pad(write(s.last()), 11, true) + "   " + m.look.in(accent, m.look.graph(s, room, quiet))
		if most := s.most(room); most > 0 && room > 8 {
			text += " " + m.look.in(faint, "max "+write(most))
		}
		return m.field(name, text)
	}
	return slices.Concat(
		line("Kernel events", r.events, quietEvents, m.units.perSecond),
		line("Messages out", r.sent, quietEvents, m.units.perSecond),
		line("Messages in", r.received, quietEvents, m.units.perSecond),
		line("Data out", r.bytesSent, quietBytes, m.units.bandwidth),
		line("Data in", r.bytesReceived, quietBytes, m.units.bandwidth),
	)
}

// lossLines name what was lost since the daemon began, by kind, and nothing else.
func (m *monitor) lossLines() []string {
	st := &m.state.Statistics
	var parts []string
	say := func(n uint64, what, note string) {
		if n > 0 {
			parts = append(parts, what+" "+m.units.count(n)+note)
		}
	}
	say(st.Kernel.Overruns, "event overruns", " (repaired by comparison)")
	say(st.Tracking.Lost, "messages missed", " (asked for again)")
	say(st.Tracking.PayloadsLost, "payloads given up", "")
	say(st.Tracking.Malformed.Total(), "malformed", "")
	say(st.Tracking.Invalid, "impossible flows", "")
	say(st.Internal.Full+st.External.Full, "flows refused, cache full", "")
	say(st.Commit.Failed, "flows not committed", "")
	if i := st.Inject; i != nil {
		say(i.Full, "flows of the peer refused, limit reached", "")
		say(i.Lost, "flows of the peer ended by the kernel", "")
	}
	dropped := map[string]uint64{}
	for i := range st.Links {
		for what, n := range st.Links[i].Dropped {
			dropped[what] += n
		}
	}
	for _, k := range keys(dropped) {
		say(dropped[k], "datagrams dropped, "+k, "")
	}
	for _, k := range keys(st.Unsupported) {
		say(st.Unsupported[k], "not handled, "+k, "")
	}
	if len(parts) == 0 {
		return m.paragraph("Losses", "none since the daemon began", good)
	}
	return m.paragraph("Losses", "! "+strings.Join(parts, "; "), warn)
}

func keys(m map[string]uint64) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

func (m *monitor) jobText(j *control.Job) string {
	if j.Total == 0 {
		return fmt.Sprintf("%s for %s", j.Name, span(m.still().Sub(j.Started)))
	}
	return fmt.Sprintf("%s, %s of %s", j.Name, m.units.count(j.Done), m.units.count(j.Total))
}

// transitionLine is a transition in one line.
func (m *monitor) transitionLine(t *control.Transition) string {
	text := fmt.Sprintf("%s %s %s", t.Received.Local().Format(time.DateTime), t.State, t.Outcome)
	if i := t.Inject; i != nil {
		text += fmt.Sprintf(": %s flows of the peer in the kernel", m.units.count(i.Present))
		if i.Failed > 0 {
			text += fmt.Sprintf(", %s refused", m.units.count(i.Failed))
		}
	}
	c := t.Commit
	if c == nil {
		return text
	}
	text += fmt.Sprintf(": %s committed in %s", m.units.count(c.Created+c.Updated+c.Replaced), took(time.Duration(c.Duration)))
	if c.Failed > 0 {
		text += fmt.Sprintf(", %s failed", m.units.count(c.Failed))
	}
	return text
}
