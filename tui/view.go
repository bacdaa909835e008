package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// Styles. Every colour has a second cue in words, so that nothing is lost without colours.
var (
	styleTitle = lipgloss.NewStyle().Bold(true)
	styleTab   = lipgloss.NewStyle().Reverse(true)
	styleGood  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	styleBad   = lipgloss.NewStyle().Foreground(lipgloss.Color("1")).Bold(true)
	styleFaint = lipgloss.NewStyle().Faint(true)
)

// frame is how many lines stand around the body: title, blank line, help.
const frame = 3

// View draws the screen: exactly m.height lines, none wider than m.width.
func (m model) View() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	var body []string
	switch m.view {
	case viewOverview:
		body = m.overview()
	case viewTable:
		body = m.tableBody()
	case viewTransitions:
		body = m.transitionBody()
	}
	lines := append([]string{m.title(), ""}, body...)
	room := max(m.height-1, 0)
	for len(lines) < room {
		lines = append(lines, "")
	}
	lines = append(lines[:room], styleFaint.Render(m.help()))
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "")
	}
	return strings.Join(lines, "\n")
}

// title shows the views, whose daemon this is, and how old the data is when it does not answer.
func (m model) title() string {
	var b strings.Builder
	for v := range views {
		name := fmt.Sprintf(" %d %s ", v+1, viewNames[v])
		if v == m.view {
			name = styleTab.Render(name)
		}
		b.WriteString(name)
	}
	switch {
	case m.err != nil && m.answered.IsZero():
		b.WriteString(styleBad.Render("  no answer"))
	case m.err != nil:
		b.WriteString(styleBad.Render(fmt.Sprintf("  no answer for %v: old data", time.Since(m.answered).Round(time.Second))))
	case m.paused:
		b.WriteString("  paused")
	}
	return b.String()
}

func (m model) overview() []string {
	if m.answered.IsZero() {
		if m.err == nil {
			return []string{"asking the daemon"}
		}
		return strings.Split(ansi.Wordwrap(m.err.Error(), max(m.width, 1), ""), "\n")
	}
	s, st := &m.status, &m.statistics
	now, before := allLinks(st), allLinks(&m.before)
	lines := []string{
		row("role", roleText(s)),
		row("sync-group", s.SyncGroup),
		row("sync-interface", fmt.Sprintf("%s, %s, peer %s%s", activeText(s), s.Transport, orNone(s.Peer), heard(s))),
		row("in step", m.stepText()),
	}
	for _, w := range s.Why {
		lines = append(lines, row("", styleBad.Render("- "+w)))
	}
	for _, w := range s.Warnings {
		lines = append(lines, row("warning", styleBad.Render(w)))
	}
	lines = append(lines, "",
		row("internal cache", fmt.Sprintf("%d flows, %d waiting to be sent, %d unacknowledged", st.Internal.Active, st.Session.Waiting, st.Session.Unacknowledged)),
		row("external cache", externalText(st)),
		row("kernel table", fmt.Sprintf("%d of %d", st.Kernel.TableEntries, st.Kernel.TableMax)),
		"",
		row("kernel", m.rate("events", st.Kernel.Events, m.before.Kernel.Events)+fmt.Sprintf(", %d overruns", st.Kernel.Overruns)),
		row("sent", m.rate("bytes", now.BytesSent, before.BytesSent)+", "+m.rate("datagrams", now.PacketsSent, before.PacketsSent)),
		row("received", m.rate("bytes", now.BytesReceived, before.BytesReceived)+", "+m.rate("datagrams", now.PacketsReceived, before.PacketsReceived)),
		row("lost, repaired", fmt.Sprintf("%d lost messages, %d malformed, %d retransmitted", st.Tracking.Lost, st.Tracking.Malformed.Total(), st.Session.Retransmitted)),
	)
	for _, j := range s.Jobs {
		lines = append(lines, row("running", fmt.Sprintf("%s, %d of %d", j.Name, j.Done, j.Total)))
	}
	if t := s.LastTransition; t != nil {
		lines = append(lines, "", row("last transition", transitionText(t)))
	}
	return lines
}

func row(name, value string) string {
	return fmt.Sprintf("%-16s%s", styleTitle.Render(pad(name, 16)), value)
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(n-len(s), 0)) }

func roleText(s *control.Status) string {
	if s.RoleSince.IsZero() {
		return string(s.Role)
	}
	return fmt.Sprintf("%s since %s", s.Role, s.RoleSince.Local().Format(time.DateTime))
}

func heard(s *control.Status) string {
	if s.PeerHeard.IsZero() {
		return ""
	}
	return fmt.Sprintf(", heard %v ago", max(time.Since(s.PeerHeard), 0).Round(100*time.Millisecond))
}

func (m model) stepText() string {
	switch {
	case m.err != nil:
		return styleBad.Render("not known: the daemon does not answer")
	case m.status.InStep:
		return styleGood.Render("yes")
	}
	return styleBad.Render("no")
}

func orNone(s string) string {
	if s == "" {
		return "not heard"
	}
	return s
}

// allLinks sums up the traffic of all links: which of them sends may have changed between two looks.
func allLinks(s *control.Statistics) (sum control.LinkStatistics) {
	for _, l := range s.Links {
		sum.BytesSent += l.BytesSent
		sum.BytesReceived += l.BytesReceived
		sum.PacketsSent += l.PacketsSent
		sum.PacketsReceived += l.PacketsReceived
	}
	return sum
}

// activeText names the links and, of several, the one that sends.
func activeText(s *control.Status) string {
	if s.ActiveLink == nil {
		return s.Interface
	}
	return s.Interface + " (active: " + s.ActiveLink.Device + ")"
}

// rate shows a counter's growth per second since the refresh before.
func (m model) rate(unit string, now, before uint64) string {
	perSecond := 0.0
	if m.between > 0 && now > before {
		perSecond = float64(now-before) / m.between.Seconds()
	}
	return fmt.Sprintf("%.0f %s/s", perSecond, unit)
}

// tableHeight is how many flows fit.
func (m model) tableHeight() int { return m.height - frame - 2 }

func (m model) tableBody() []string {
	head := fmt.Sprintf("%s, flows from %d", tables[m.table], m.skip+1)
	lines := []string{styleTitle.Render(head), styleFaint.Render(flow.VyOSHeaderIPv4)}
	if len(m.rows) == 0 && !m.asking {
		return append(lines, "no flows")
	}
	return append(lines, m.rows...)
}

func (m model) transitionBody() []string {
	if len(m.transitions) == 0 {
		return []string{"no transition yet!"}
	}
	var lines []string
	for i := len(m.transitions) - 1; i >= 0; i-- {
		t := &m.transitions[i]
		lines = append(lines, transitionText(t))
		if c := t.Commit; c != nil {
			for _, n := range c.Named {
				lines = append(lines, "    "+n)
			}
		}
	}
	return lines
}

func transitionText(t *control.Transition) string {
	text := fmt.Sprintf("%s %s %s", t.Received.Local().Format(time.DateTime), t.State, t.Outcome)
	if t.Type == control.TypeInstance {
		text += " (instance " + t.Group + ")"
	}
	if c := t.Commit; c != nil {
		text += fmt.Sprintf(", %d flows committed in %v, %d expired, %d failed", c.Created+c.Updated+c.Replaced, c.Duration, c.Expired, c.Failed)
	}
	if i := t.Inject; i != nil {
		text += fmt.Sprintf(", no commit: the kernel had %d flows of the peer, %d are refused", i.Present, i.Failed)
	}
	return text
}

// externalText tells of the peer's flows, which are in the kernel where there is no external cache.
func externalText(s *control.Statistics) string {
	if s.Inject != nil {
		return fmt.Sprintf("none: %d flows of the peer go straight into the kernel, %d waiting, %d refused", s.Inject.Flows, s.Inject.Waiting, s.Inject.Missing)
	}
	return fmt.Sprintf("%d flows", s.External.Active)
}
