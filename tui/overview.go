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
const inStepMeans = "nothing unacknowledged, no unrepaired loss, last bulk complete, " +
	"peer heard within its alive interval"

// newOverview returns the first view. Its answers in order: are the two routers in step, who is this one, what is
// replicated, how busy is it, what was lost, what happened last. If the lines do not fit, the blank ones between these
// go.
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
	for i := range s.Senders {
		lines = append(lines, m.paragraph("Another sender", "! "+s.Senders[i].String(), warn)...)
	}
	for _, w := range s.Warnings {
		lines = append(lines, m.paragraph("Warning", "! "+w, warn)...)
	}
	if len(s.NeedRestart) > 0 {
		text := "! a restart is needed for " + strings.Join(s.NeedRestart, ", ")
		lines = append(lines, m.paragraph("Warning", text, warn)...)
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
		lines = append(lines, m.field("Last transition", m.look.in(faint, "no notification from keepalived yet"))...)
	}
	return lines
}

func (m *monitor) stepLines() []string {
	s := &m.state.Status
	switch {
	case m.state.err != nil:
		return m.paragraph("In step", "not known: "+m.state.err.Error(), bad)
	case s.InStep:
		yes := m.paragraph("In step", "yes, as far as this router knows:", good)
		return append(yes, m.paragraph("", inStepMeans, faint)...)
	}
	lines := m.field("In step", m.look.in(bad, "! no:"))
	for _, w := range s.Why {
		lines = append(lines, m.paragraph("", "- "+w, bad)...)
	}
	return lines
}

func (m *monitor) roleText() string {
	s := &m.state.Status
	text := m.look.in(title, strings.ToUpper(string(s.Role)))
	if !s.RoleSince.IsZero() {
		since := s.RoleSince.Local().Format(time.DateTime)
		text += fmt.Sprintf(" for %s, since %s", span(m.still().Sub(s.RoleSince)), since)
	} else {
		text += m.look.in(faint, ", no notification from keepalived yet")
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

// ago says how long ago something was that should happen all the time.
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

// activeText says which of several links sends, since when and why, and how often that has changed.
func (m *monitor) activeText(l *control.ActiveLink) string {
	text := l.Device
	if !l.Since.IsZero() {
		text += " for " + span(m.still().Sub(l.Since))
	}
	if l.Reason != "" {
		text += ": " + l.Reason
	}
	if l.Changes == 0 {
		return text + " since the daemon started"
	}
	return text + fmt.Sprintf(" (change %s)", m.units.count(l.Changes))
}

func (m *monitor) cacheLines() []string {
	st := &m.state.Statistics
	room := ""
	if st.Kernel.TableMax > 0 {
		room = "of at most " + m.units.count(st.Kernel.TableMax)
	}
	wait := fmt.Sprintf("%s waiting to be sent", m.units.count(st.Session.Waiting))
	unacked := fmt.Sprintf("%s unacknowledged", m.units.count(st.Session.Unacknowledged))
	return slices.Concat(
		m.field("Internal cache", m.figure(m.units.count(st.Internal.Active), "flows", wait+", "+unacked)),
		m.peerFlows(),
		m.field("Kernel's table", m.figure(m.units.count(st.Kernel.TableEntries), "flows", room)),
	)
}

// peerFlows draws the external cache, or with disable-external-cache the flows that go straight into the kernel.
func (m *monitor) peerFlows() []string {
	st := &m.state.Statistics
	i := st.Inject
	if i == nil {
		return m.field("External cache", m.figure(m.units.count(st.External.Active), "flows", "from the peer"))
	}
	text := "from the peer into the kernel, " + m.units.count(i.Waiting) + " waiting"
	lines := m.field("Injecting", m.figure(m.units.count(i.Flows), "flows", text))
	if i.Missing > 0 {
		refused := "! " + m.units.count(i.Missing) + " refused by the kernel, to be tried again"
		lines = append(lines, m.paragraph("", refused, warn)...)
	}
	return lines
}

// figure puts a number into the column of all numbers of the view.
func (m *monitor) figure(number, unit, text string) string {
	return m.look.pad(number, 11, true) + " " + unit + "  " + m.look.in(faint, text)
}

// The least height of a graph: a router at rest must not look busy.
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

// lossLines draws what was lost since the daemon started, by kind.
func (m *monitor) lossLines() []string {
	st := &m.state.Statistics
	var parts []string
	say := func(n uint64, what, note string) {
		if n > 0 {
			parts = append(parts, what+" "+m.units.count(n)+note)
		}
	}
	say(st.Kernel.Overruns, "event overruns", " (repaired by comparison)")
	say(st.Tracking.Lost, "messages missed", " (requested again)")
	say(st.Tracking.PayloadsLost, "payloads given up", "")
	say(st.Tracking.Malformed.Total(), "malformed", "")
	say(st.Tracking.Invalid, "invalid flows", "")
	say(st.Internal.Full+st.External.Full, "flows refused, cache full", "")
	say(st.Commit.Failed, "flows not committed", "")
	if i := st.Inject; i != nil {
		say(i.Full, "peer's flows refused, limit reached", "")
		say(i.Lost, "peer's flows removed by the kernel", "")
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
		return m.paragraph("Losses", "none since the daemon started", good)
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

// transitionLine describes a transition in one line.
func (m *monitor) transitionLine(t *control.Transition) string {
	text := fmt.Sprintf("%s %s %s", t.Received.Local().Format(time.DateTime), t.State, t.Outcome)
	if i := t.Inject; i != nil {
		text += fmt.Sprintf(": %s of the peer's flows in the kernel", m.units.count(i.Present))
		if i.Failed > 0 {
			text += fmt.Sprintf(", %s refused", m.units.count(i.Failed))
		}
	}
	c := t.Commit
	if c == nil {
		return text
	}
	committed := m.units.count(c.Created + c.Updated + c.Replaced)
	text += fmt.Sprintf(": %s committed in %s", committed, took(time.Duration(c.Duration)))
	if c.Failed > 0 {
		text += fmt.Sprintf(", %s failed", m.units.count(c.Failed))
	}
	return text
}
