package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// logView is the daemon's log as far as the daemon keeps it.
type logView struct {
	pace  pacer
	lines []control.LogLine // oldest first
	last  uint64
	up    int // lines below the visible ones; 0 = the newest are visible, and stay so
	read  time.Time
	err   error
}

// maxLog is how many lines are held.
const maxLog = 2000

func (m model) logBeat() (model, tea.Cmd) {
	if !m.log.pace.ready(m.now) {
		return m, nil
	}
	client, after := m.client, m.log.last
	cmd := ask(&m.log.pace, m.now, stateTimeout, func(ctx context.Context) (control.LogPage, error) {
		p, err := client.Log(ctx, after)
		if err == nil && p.Last < after { // another daemon, whose lines count from the beginning
			p, err = client.Log(ctx, 0)
		}
		return p, err
	})
	return m, cmd
}

func (m model) takeLog(a answer[control.LogPage]) model {
	v := &m.log
	if !take(&v.pace, a, beat) {
		return m
	}
	if v.err = a.err; a.err != nil {
		return m
	}
	v.read, v.last = a.at, a.value.Last
	if len(a.value.Lines) == 0 {
		return m
	}
	before := len(m.logLines())
	lines := append(append([]control.LogLine(nil), v.lines...), a.value.Lines...)
	v.lines = lines[max(len(lines)-maxLog, 0):]
	if v.up > 0 { // what is being read stays in place
		v.up += max(len(m.logLines())-before, 0)
	}
	return m
}

// scrolled moves up or down; n is positive for down.
func (v logView) scrolled(n, lines, height int) logView {
	most := 0
	if lines > height {
		most = lines - height + 1 // one line says how many are below
	}
	v.up = max(min(v.up-n, most), 0)
	return v
}

func (m model) logLines() []string {
	var lines []string
	for i := range m.log.lines {
		lines = append(lines, m.logLine(&m.log.lines[i])...)
	}
	return lines
}

// logLine draws a line of the log; a long one is continued under its text.
func (m model) logLine(l *control.LogLine) []string {
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

// logHeight is how many lines of the log fit.
func (m model) logHeight() int { return max(m.bodyHeight()-len(m.failure(m.log.err)), 1) }

// logRange is which of the drawn lines are visible.
func (m model) logRange(lines int) (from, to int) {
	height := m.logHeight()
	if m.log.up > 0 {
		height-- // a line that says that there is more below
	}
	to = max(lines-m.log.up, min(height, lines))
	return max(to-height, 0), to
}

// visibleLog are the lines of the log of which something is visible.
func (m model) visibleLog() (shown []control.LogLine) {
	from, to := m.logRange(len(m.logLines()))
	at := 0
	for i := range m.log.lines {
		n := len(m.logLine(&m.log.lines[i]))
		if at < to && at+n > from {
			shown = append(shown, m.log.lines[i])
		}
		at += n
	}
	return shown
}

func (m model) logBody() []string {
	v := &m.log
	switch {
	case v.read.IsZero() && v.err != nil:
		return m.problem(v.err)
	case v.read.IsZero():
		return []string{"", m.waiting(v.pace)}
	case len(v.lines) == 0:
		return append(m.failure(v.err), "", "  the daemon has logged nothing")
	}
	lines := m.logLines()
	from, to := m.logRange(len(lines))
	shown := append(m.failure(v.err), lines[from:to]...)
	if v.up > 0 {
		shown = append(shown, " "+m.look.in(accent, m.look.sign(signDown)+" "+itoa(v.up)+" lines more, G goes to the end"))
	}
	return shown
}
