package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// monitor is what all views have in common: the daemon and what it last said, the terminal, the time, and what the user
// chose for all of them.
type monitor struct {
	ctx    context.Context // of all questions: Bubble Tea hands none to Update
	client *control.Client
	state  state

	look          look
	host          string    // whose daemon this is
	out           *terminal // for the clipboard; nil where there is none
	width, height int

	now      time.Time // of the last beat
	paused   bool
	pausedAt time.Time

	units units
	names services // of ports, nil = ports are shown by their numbers
	known services // as read; nil = not yet

	screens []screen
	shown   screen
	note    note
	prompt  *prompt // what the user is typing; nil = nothing
}

// note is a short message to the user in the bottom line.
type note struct {
	text  string
	bad   bool
	until time.Time
}

// noteTime is how long a note stays.
const noteTime = 6 * time.Second

// say leaves a note.
func (m *monitor) say(text string) { m.note = note{text: text, until: m.now.Add(noteTime)} }

// complain leaves a note that something did not work.
func (m *monitor) complain(text string) {
	m.note = note{text: text, bad: true, until: m.now.Add(noteTime)}
}

// still is the time of what is shown: a pause stops ages too.
func (m *monitor) still() time.Time {
	if m.paused {
		return m.pausedAt
	}
	return m.now
}

// show changes the view. What the view shows is asked for at once.
func (m *monitor) show(s screen) tea.Cmd {
	m.shown = s
	return m.refresh(s)
}

// refresh lets a screen ask for what is due. During a pause it asks only for what it cannot do without.
func (m *monitor) refresh(s screen) tea.Cmd {
	if m.paused && !s.unread() {
		return nil
	}
	return s.beat()
}

// frameLines are the lines around the body.
const frameLines = 3

func (m *monitor) bodyHeight() int { return max(m.height-frameLines, 1) }

// nameWidth is the width of the names in front of values. Where there is less room than narrow, they stand above them.
const (
	nameWidth = 15
	narrow    = 50
)

// field is a value with its name in front.
func (m *monitor) field(name, value string) []string {
	switch {
	case m.width >= narrow:
		return []string{" " + m.look.in(faint, m.look.pad(name, nameWidth, false)) + " " + value}
	case name == "":
		return []string{"   " + value}
	}
	return []string{" " + m.look.in(faint, name), "   " + value}
}

// paragraph is a name with a text that may need several lines.
func (m *monitor) paragraph(name, text string, in paint) []string {
	room := m.width - 4
	if m.width >= narrow {
		room = m.width - nameWidth - 3
	}
	var lines []string
	for i, part := range wrap(text, room) {
		if i > 0 {
			name = ""
		}
		lines = append(lines, m.field(name, m.look.in(in, part))...)
	}
	return lines
}

// problem says why there is no answer, and what to do.
func (m *monitor) problem(err error) []string {
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

// failure is the line above rows that are old because they could not be read again.
func (m *monitor) failure(err error) []string {
	if err == nil {
		return nil
	}
	return []string{" " + m.look.in(bad, "! "+printable(err.Error()))}
}

// unanswered is what stands where nothing has been read yet, nil if something has.
func (m *monitor) unanswered(r *reading) []string {
	switch {
	case !r.unread():
		return nil
	case r.err != nil:
		return m.problem(r.err)
	}
	return []string{"", m.waiting(&r.pace)}
}

// waiting stands where an answer will be.
func (m *monitor) waiting(p *pacer) string {
	if !p.busy {
		return ""
	}
	return m.look.in(faint, "  "+m.readingFor(p))
}

// readingFor says that an answer is on its way, and for how long if one would wonder.
func (m *monitor) readingFor(p *pacer) string {
	if d := m.still().Sub(p.began); p.busy && d >= 2*beat {
		return "reading for " + span(d)
	}
	return "reading"
}
