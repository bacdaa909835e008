package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// logView is the view of the last lines of the daemon's log.
type logView struct {
	bare
	reading
	kept []control.LogLine // oldest first
	last uint64            // number of the newest line that the daemon has
	up   int               // drawn lines below the visible ones; 0 = new lines stay visible
}

// maxLog limits the lines that are kept.
const maxLog = 2000

func (l *logView) name() string { return "Log" }

func (l *logView) keys() []binding {
	return []binding{l.copyKey("copy the lowest line", l.selected), l.writeKey(l.visible)}
}

func (l *logView) beat() tea.Cmd {
	if !l.pace.ready(l.now) {
		return nil
	}
	client, after := l.client, l.last
	return ask(l.ctx, &l.pace, l.now, stateTimeout, func(ctx context.Context) (control.LogPage, error) {
		p, err := client.Log(ctx, after)
		if err == nil && p.Last < after { // the daemon has restarted, and counts from 1 again
			p, err = client.Log(ctx, 0)
		}
		return p, err
	})
}

func (l *logView) take(msg tea.Msg) tea.Cmd {
	if a := msg.(answer[control.LogPage]); fresh(&l.reading, a, beat) {
		l.last = a.value.Last
		l.add(a.value.Lines)
	}
	return nil
}

// add appends new lines. If the user has scrolled up, the visible lines stay in place.
func (l *logView) add(lines []control.LogLine) {
	if len(lines) == 0 {
		return
	}
	before := len(l.lines())
	l.kept = append(l.kept, lines...)
	l.kept = l.kept[max(len(l.kept)-maxLog, 0):]
	if l.up > 0 {
		l.up += max(len(l.lines())-before, 0)
	}
}

func (l *logView) page() int           { return l.bodyHeight() }
func (l *logView) wheel(n int) tea.Cmd { return l.move(n) }

func (l *logView) move(n int) tea.Cmd {
	most := 0
	if lines, height := len(l.lines()), l.height(); lines > height {
		most = lines - height + 1 // one line says how many are below
	}
	l.up = max(min(l.up-n, most), 0)
	return nil
}

// lines draws all lines that are kept.
func (l *logView) lines() []string {
	var lines []string
	for i := range l.kept {
		lines = append(lines, l.logLine(&l.kept[i])...)
	}
	return lines
}

// logLine draws a line of the log. A long one continues under its text.
func (m *monitor) logLine(l *control.LogLine) []string {
	level, in := "info ", plain
	switch l.Level {
	case "ERROR":
		level, in = "ERROR", bad
	case "WARN":
		level, in = "WARN ", warn
	case "DEBUG":
		level, in = "debug", faint
	}
	stamp := l.Time.Local().Format("01-02 15:04:05")
	indent := len(stamp) + len(level) + 4
	if m.width < 2*indent {
		indent = 2
	}
	var lines []string
	for i, part := range wrap(l.Text, m.width-indent-1) {
		switch {
		case indent == 2 && i == 0:
			lines = append(lines, " "+m.look.in(faint, stamp)+" "+m.look.in(in, level), "  "+part)
		case i == 0:
			lines = append(lines, " "+m.look.in(faint, stamp)+"  "+m.look.in(in, level)+" "+part)
		default:
			lines = append(lines, m.look.pad("", indent, false)+part)
		}
	}
	return lines
}

// height is the number of drawn lines that fit.
func (l *logView) height() int { return max(l.bodyHeight()-len(l.failure(l.err)), 1) }

// visibleRange says which of the drawn lines are visible.
func (l *logView) visibleRange(lines int) (from, to int) {
	height := l.height()
	if l.up > 0 {
		height-- // one line says how many are below
	}
	to = max(lines-l.up, min(height, lines))
	return max(to-height, 0), to
}

// visibleLines returns the lines of the log that are visible at least in part.
func (l *logView) visibleLines() (shown []control.LogLine) {
	from, to := l.visibleRange(len(l.lines()))
	at := 0
	for i := range l.kept {
		n := len(l.logLine(&l.kept[i]))
		if at < to && at+n > from {
			shown = append(shown, l.kept[i])
		}
		at += n
	}
	return shown
}

// selected returns the lowest visible line: in the log nothing can be selected.
func (l *logView) selected() string {
	shown := l.visibleLines()
	if len(shown) == 0 {
		return ""
	}
	one := shown[len(shown)-1]
	return one.Time.Local().Format(time.DateTime) + " " + one.Level + " " + one.Text
}

// visible returns the visible lines for a file.
func (l *logView) visible() export {
	file := export{name: "log", head: []string{"time", "level", "text"}}
	for _, one := range l.visibleLines() {
		file.add(one, one.Time.Format(time.RFC3339Nano), one.Level, one.Text)
	}
	return file
}

func (l *logView) body() []string {
	if lines := l.unanswered(&l.reading); lines != nil {
		return lines
	}
	shown := l.failure(l.err)
	if len(l.kept) == 0 {
		return append(shown, "", "  the daemon has logged nothing")
	}
	lines := l.lines()
	from, to := l.visibleRange(len(lines))
	shown = append(shown, lines[from:to]...)
	if l.up > 0 {
		more := l.look.sign(signDown) + " " + itoa(l.up) + " more lines, G goes to the bottom"
		shown = append(shown, " "+l.look.in(accent, more))
	}
	return shown
}
