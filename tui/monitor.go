package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// monitor is what all views have in common: the daemon and its last state, the terminal, the time, and the settings
// that hold for every view.
type monitor struct {
	ctx    context.Context // ends all requests; here because Update gets none
	client *control.Client
	state  state

	look          look
	host          string    // name of this machine
	out           *terminal // for the clipboard; nil where there is none
	width, height int

	now      time.Time // of the last beat
	paused   bool
	pausedAt time.Time

	units units
	names services // in use: nil = show port numbers
	known services // as read; nil = not read yet

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

// still is the time from which ages are counted. It stops during a pause.
func (m *monitor) still() time.Time {
	if m.paused {
		return m.pausedAt
	}
	return m.now
}

// show changes the view, and asks at once for what it shows.
func (m *monitor) show(s screen) tea.Cmd {
	m.shown = s
	return m.refresh(s)
}

// refresh lets a screen ask for what is due. During a pause it may only ask if it has no answer yet.
func (m *monitor) refresh(s screen) tea.Cmd {
	if m.paused && !s.unread() {
		return nil
	}
	return s.beat()
}

// frameLines is the number of lines around the body.
const frameLines = 3

func (m *monitor) bodyHeight() int { return max(m.height-frameLines, 1) }

// nameWidth is the width of the names in front of values. In a terminal narrower than narrow, names stand above values.
const (
	nameWidth = 15
	narrow    = 50
)

// field draws a value with its name in front.
func (m *monitor) field(name, value string) []string {
	switch {
	case m.width >= narrow:
		return []string{" " + m.look.in(faint, m.look.pad(name, nameWidth, false)) + " " + value}
	case name == "":
		return []string{"   " + value}
	}
	return []string{" " + m.look.in(faint, name), "   " + value}
}

// paragraph draws a text that may need several lines, with its name in front.
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

// problem draws an error that takes the place of an answer.
func (m *monitor) problem(err error) []string {
	in := bad
	if disabled(err) {
		in = plain // the configuration says so: nothing is wrong
	}
	lines := []string{""}
	for _, l := range wrap(err.Error(), m.width-4) {
		lines = append(lines, "  "+m.look.in(in, l))
	}
	return lines
}

// failure draws the line above old rows that could not be read again.
func (m *monitor) failure(err error) []string {
	if err == nil {
		return nil
	}
	return []string{" " + m.look.in(bad, "! "+err.Error())}
}

// unanswered draws what stands where nothing has been read yet. It returns nil if something has.
func (m *monitor) unanswered(r *reading) []string {
	switch {
	case !r.unread():
		return nil
	case r.err != nil:
		return m.problem(r.err)
	}
	return []string{"", m.waiting(&r.pace)}
}

// waiting draws what stands where the answer will be.
func (m *monitor) waiting(p *pacer) string {
	if !p.busy {
		return ""
	}
	return m.look.in(faint, "  "+m.readingFor(p))
}

// readingFor says that an answer is awaited, and since when if it takes long.
func (m *monitor) readingFor(p *pacer) string {
	if d := m.still().Sub(p.began); p.busy && d >= 2*beat {
		return "reading for " + span(d)
	}
	return "reading"
}
