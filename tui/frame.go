package tui

import (
	"fmt"
	"strings"

	"ctsync/daemon/control"
)

// View draws the screen: exactly m.height lines, none wider than m.width.
//
//	header       whose daemon this is, its role, whether the pair is in step, the age of old data
//	tabs         the views
//	body         the view, or help
//	bottom       keys that work here, a note, or the line that is being typed
func (m model) View() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	lines := []string{m.header()}
	if m.height >= 4 {
		lines = append(lines, m.tabs())
	}
	body := m.still().body()
	foot := m.foot()
	room := max(m.height-len(lines)-len(foot), 0)
	for len(body) < room {
		body = append(body, "")
	}
	lines = append(append(lines, body[:room]...), foot...)
	lines = lines[max(len(lines)-m.height, 0):]
	for i := range lines {
		lines[i] = m.look.cut(lines[i], m.width)
	}
	return strings.Join(lines, "\n")
}

// frameLines are the lines around the body.
const frameLines = 3

func (m model) bodyHeight() int { return max(m.height-frameLines, 1) }

func (m model) body() []string {
	if m.help {
		return m.helpBody()
	}
	if !m.state.known() {
		return m.away()
	}
	switch m.view {
	case viewTable:
		return m.tableBody()
	case viewFlow:
		return m.flowBody()
	case viewExpect:
		return m.expectBody()
	case viewLinks:
		return scrolledTo(m.linksBody(), m.linksTop, m.bodyHeight())
	case viewTransitions:
		return m.transitionBody()
	case viewLog:
		return m.logBody()
	}
	return scrolledTo(m.overview(), m.overviewTop, m.bodyHeight())
}

// away stands where nothing is known yet.
func (m model) away() []string {
	if m.state.err == nil {
		return []string{"", m.look.in(faint, "  asking the daemon")}
	}
	return append(m.problem(m.state.err), "", m.look.in(faint, "  the monitor goes on asking"))
}

// scrolledTo returns the lines that are visible when top of them are above.
func scrolledTo(lines []string, top, height int) []string {
	return lines[max(min(top, len(lines)-height), 0):]
}

// header is the same in all views: the two things that one looks for first.
func (m model) header() string {
	l := m.look
	left := " " + l.in(title, "ctsync")
	if m.host != "" && m.width >= 60 {
		left = " " + l.in(title, m.host)
	}
	if s := &m.state.Status; m.state.known() {
		left += "  " + l.in(title, strings.ToUpper(string(s.Role))) + "  " + m.stepWord()
		if s.SyncGroup != "" && m.width >= 60 {
			left += l.in(faint, "  "+printable(s.SyncGroup))
		}
	}
	right := m.headerRight()
	gap := m.width - width(left) - width(right) - 1
	if gap < 1 {
		if right == "" {
			return left
		}
		return l.cut(right, m.width) // what is unusual is worth more than what is usual
	}
	return left + strings.Repeat(" ", gap) + right
}

func (m model) headerRight() string {
	l := m.look
	var parts []string
	switch {
	case m.state.err != nil && m.state.known():
		parts = append(parts, l.in(bad, fmt.Sprintf("! no answer, data is %s old", span(m.now.Sub(m.state.at)))))
	case m.paused:
		parts = append(parts, l.in(warn, fmt.Sprintf("paused, data is %s old", span(m.now.Sub(m.state.at)))))
	}
	if m.watch.following && m.view != viewFlow {
		parts = append(parts, l.in(accent, "following ")+m.watch.words())
	}
	if len(parts) == 0 && m.width >= 70 {
		return l.in(faint, m.now.Local().Format("15:04:05"))
	}
	return strings.Join(parts, "  ")
}

// stepWord says in two words whether the pair is in step.
func (m model) stepWord() string {
	switch {
	case m.state.err != nil:
		return m.look.in(faint, "in step not known")
	case m.state.Status.InStep:
		return m.look.in(good, "in step")
	}
	return m.look.in(bad, "! not in step")
}

// tabs names the views; where there is no room, only the one that is shown.
func (m model) tabs() string {
	for _, short := range []bool{false, true} {
		var b strings.Builder
		for v := range views {
			name := fmt.Sprintf("%d %s", v+1, viewNames[v])
			switch {
			case v == m.view:
				b.WriteString(m.look.in(tab, "["+name+"]"))
			case short:
				fmt.Fprintf(&b, " %d ", v+1)
			default:
				b.WriteString(" " + name + " ")
			}
		}
		if width(b.String()) <= m.width || short {
			return b.String()
		}
	}
	return ""
}

// viewAt returns the view whose tab stands at x.
func (m model) viewAt(x int) (view, bool) {
	full := 0
	for v := range views {
		full += len(viewNames[v]) + 4
	}
	at := 0
	for v := range views {
		w := len(viewNames[v]) + 4
		if full > m.width && v != m.view {
			w = 3
		}
		if x >= at && x < at+w {
			return v, true
		}
		at += w
	}
	return 0, false
}

// foot is the bottom line, and above it what is to be said of a line that is being typed.
func (m model) foot() []string {
	if m.line.kind != lineNone {
		return m.lineFoot()
	}
	if m.action.running {
		return []string{m.actionFoot()}
	}
	if m.note.text != "" && m.now.Before(m.note.until) {
		in := good
		text := m.note.text
		if m.note.bad {
			in, text = bad, "! "+text
		}
		return []string{" " + m.look.in(in, text)}
	}
	return []string{m.hints()}
}

// nameWidth is the width of the names in front of values. Where there is less room than narrow, they stand above them.
const (
	nameWidth = 15
	narrow    = 50
)

// row is a value with its name in front.
func (m model) row(name, value string) []string {
	switch {
	case m.width >= narrow:
		return []string{" " + m.look.in(faint, m.look.pad(name, nameWidth, false)) + " " + value}
	case name == "":
		return []string{"   " + value}
	}
	return []string{" " + m.look.in(faint, name), "   " + value}
}

// rows is a name with a text that may need several lines.
func (m model) rows(name, text string, in paint) []string {
	room := m.width - 4
	if m.width >= narrow {
		room = m.width - nameWidth - 3
	}
	var lines []string
	for i, part := range wrap(text, room) {
		if i > 0 {
			name = ""
		}
		lines = append(lines, m.row(name, m.look.in(in, part))...)
	}
	return lines
}

// outcomePaint is the paint of what came of a transition.
func outcomePaint(t *control.Transition) paint {
	_, lacks, _ := brought(t)
	switch {
	case strings.HasPrefix(t.Outcome, control.OutcomeFailed):
		return bad
	case lacks > 0:
		return warn
	case t.Outcome == control.OutcomeDone:
		return good
	}
	return plain
}

// problem says why there is no answer, and what to do.
func (m model) problem(err error) []string {
	in := bad
	if disabled(err) {
		in = plain // as configured
	}
	lines := []string{""}
	for _, l := range wrap(err.Error(), m.width-4) {
		lines = append(lines, "  "+m.look.in(in, l))
	}
	return lines
}

// failure is the line above what is old because it could not be read again.
func (m model) failure(err error) []string {
	if err == nil {
		return nil
	}
	return []string{" " + m.look.in(bad, "! "+printable(err.Error()))}
}
