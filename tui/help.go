package tui

import (
	"strconv"
	"strings"

	"ctsync/daemon/expr"
)

func itoa(n int) string { return strconv.Itoa(n) }

// questions are what people come with, and where the answer is.
var questions = [][2]string{
	{"Is my standby in step?", "1  the first line says yes, or why not"},
	{"Which flows would I lose now?", "2  then t: diff internal, diff external"},
	{"Who has the most connections?", "2  then b; Enter lists them"},
	{"What happened at the last failover?", "6  the newest on top, its flows below"},
}

// helpBody is made from the keys that work here.
func (m model) helpBody() []string {
	lines := m.helpLines()
	top := max(min(m.helpTop, len(lines)-m.bodyHeight()), 0)
	return lines[top:]
}

func (m model) helpLines() []string {
	l := m.look
	var here, always []string
	for i := range bindings {
		b := &bindings[i]
		if b.help == "" || !b.in(&m) {
			continue
		}
		line := l.in(accent, l.pad(keyName(l, b.name), 10, false)) + " " + keyName(l, b.help)
		if i >= len(bindings)-len(generalKeys()) {
			always = append(always, line)
		} else {
			here = append(here, line)
		}
	}
	lines := []string{" " + l.in(title, "Where is the answer?")}
	for _, q := range questions {
		text := l.pad(q[0], 36, false) + l.in(accent, q[1])
		if m.width < 80 {
			text = q[0] + " " + l.in(accent, strings.ReplaceAll(q[1], "  ", " "))
		}
		lines = append(lines, "   "+text)
	}
	lines = append(lines, "")
	lines = append(lines, m.section("Keys in "+viewNames[m.view], here)...)
	lines = append(lines, m.section("Everywhere", always)...)
	if m.view == viewTable {
		lines = append(lines, " "+l.in(title, "Filter")+l.in(faint, "  terms with and, or, not, ( ); != < <= > >= and ranges; Tab completes"))
		for _, k := range expr.Keys() {
			lines = append(lines, "   "+l.in(accent, l.pad(k.Example, 30, false))+" "+k.Doc)
		}
	}
	return append(lines, " "+l.in(faint, "Mouse: wheel, and click on what you see. With Shift the terminal selects text."))
}

// section lays its lines out in two columns where they fit.
func (m model) section(name string, lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	out := []string{" " + m.look.in(title, name)}
	widest := 0
	for _, l := range lines {
		widest = max(widest, width(l))
	}
	if 2*widest+8 > m.width {
		for _, l := range lines {
			out = append(out, "   "+l)
		}
		return append(out, "")
	}
	half := (len(lines) + 1) / 2
	for i := range half {
		line := "   " + m.look.pad(lines[i], widest+2, false)
		if i+half < len(lines) {
			line += lines[i+half]
		}
		out = append(out, line)
	}
	return append(out, "")
}

// helpKey reports whether help takes the key: it scrolls, or is closed. Others do what they do without help.
func (m model) helpKey(name string) bool {
	switch name {
	case "?", "f1", "esc", "enter", "q", "j", "down", "k", "up", "pgdown", " ", "pgup", "g", "G", "home", "end":
		return true
	}
	return false
}

func (m model) helpMoved(name string) model {
	step := 0
	switch name {
	case "j", "down":
		step = 1
	case "k", "up":
		step = -1
	case "pgdown", " ":
		step = m.bodyHeight()
	case "pgup":
		step = -m.bodyHeight()
	case "g", "home":
		step = -1 << 20
	case "G", "end":
		step = 1 << 20
	default:
		m.help = false
		return m
	}
	m.helpTop = scroll(m.helpTop, step, len(m.helpLines()), m.bodyHeight())
	return m
}
