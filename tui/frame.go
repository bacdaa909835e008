package tui

import (
	"fmt"
	"strings"
)

// View draws the screen: exactly m.height lines, none wider than m.width.
//
//	header   the machine, its role, whether the pair is in step, the age of old data
//	tabs     the views
//	body     the view, or help
//	bottom   the keys that work here, a note, or the line that is being typed
func (m *model) View() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	lines := []string{m.header()}
	if m.height >= 4 {
		lines = append(lines, m.tabs())
	}
	body := m.body()
	foot := m.foot()
	room := max(m.height-len(lines)-len(foot), 0)
	for len(body) < room {
		body = append(body, "")
	}
	lines = append(append(lines, body[:room]...), foot...)
	lines = lines[max(len(lines)-m.height, 0):]
	for i := range lines {
		lines[i] = m.look.cut(unsteered(lines[i]), m.width)
	}
	return strings.Join(lines, "\n")
}

func (m *model) body() []string {
	if !m.helping && !m.state.known() {
		return m.away()
	}
	return m.front().body()
}

// away draws the body while the daemon has not answered yet.
func (m *model) away() []string {
	if m.state.err == nil {
		return []string{"", m.look.in(faint, "  asking the daemon")}
	}
	return append(m.problem(m.state.err), "", m.look.in(faint, "  the monitor keeps trying"))
}

// header is the same in all views: role and "in step" are what one looks for first.
func (m *model) header() string {
	l := m.look
	left := " " + l.in(title, "ctsync")
	if m.host != "" && m.width >= 60 {
		left = " " + l.in(title, m.host)
	}
	if s := &m.state.Status; m.state.known() {
		left += "  " + l.in(title, strings.ToUpper(string(s.Role))) + "  " + m.stepWord()
		if name := s.Followed().Name; name != "" && m.width >= 60 {
			left += l.in(faint, "  "+name)
		}
	}
	right := m.headerRight()
	gap := m.width - width(left) - width(right) - 1
	if gap < 1 {
		if right == "" {
			return left
		}
		return l.cut(right, m.width) // trouble matters more than the usual
	}
	return left + strings.Repeat(" ", gap) + right
}

func (m *model) headerRight() string {
	l := m.look
	var parts []string
	switch {
	case m.state.err != nil && m.state.known():
		parts = append(parts, l.in(bad, fmt.Sprintf("! no answer, data is %s old", span(m.now.Sub(m.state.read)))))
	case m.paused:
		parts = append(parts, l.in(warn, fmt.Sprintf("paused, data is %s old", span(m.now.Sub(m.state.read)))))
	}
	if m.followed.following && m.shown != screen(m.followed) {
		parts = append(parts, l.in(accent, "following ")+m.followed.where())
	}
	if len(parts) == 0 && m.width >= 70 {
		return l.in(faint, m.now.Local().Format("15:04:05"))
	}
	return strings.Join(parts, "  ")
}

// stepWord says in a few words whether the pair is in step.
func (m *model) stepWord() string {
	switch {
	case m.state.err != nil:
		return m.look.in(faint, "in step unknown")
	case m.state.Status.InStep:
		return m.look.in(good, "in step")
	}
	return m.look.in(bad, "! not in step")
}

// tabs draws the names of the views.
func (m *model) tabs() string {
	var b strings.Builder
	for i, s := range m.screens {
		switch name := m.tabName(i); {
		case s == m.shown:
			b.WriteString(m.look.in(tab, "["+name+"]"))
		default:
			b.WriteString(" " + name + " ")
		}
	}
	return b.String()
}

// tabName is the number of a view with its name. If the names do not fit, only the shown view has one.
func (m *model) tabName(i int) string {
	full := 0
	for _, s := range m.screens {
		full += len(s.name()) + 4
	}
	if full > m.width && m.screens[i] != m.shown {
		return itoa(i + 1)
	}
	return itoa(i+1) + " " + m.screens[i].name()
}

// tabAt returns the view whose tab is at column x, or nil.
func (m *model) tabAt(x int) screen {
	at := 0
	for i, s := range m.screens {
		if at += len(m.tabName(i)) + 2; x < at {
			return s
		}
	}
	return nil
}

// foot draws the bottom line; while the user types, a line of advice stands above it.
func (m *model) foot() []string {
	switch {
	case m.prompt != nil:
		return m.promptLines()
	case m.action.running:
		return []string{m.actionLine()}
	case m.note.text != "" && m.now.Before(m.note.until):
		if m.note.bad {
			return []string{" " + m.look.in(bad, "! "+m.note.text)}
		}
		return []string{" " + m.look.in(good, m.note.text)}
	}
	return []string{m.hints()}
}
