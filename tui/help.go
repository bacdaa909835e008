package tui

import (
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

func itoa(n int) string { return strconv.Itoa(n) }

// questions are why people open the monitor, with where the answer is.
var questions = [][2]string{
	{"Is my standby in step?", "1  the first line says yes, or why not"},
	{"Which flows would I lose now?", "2  then t: diff internal, diff external"},
	{"Who has the most connections?", "2  then b; Enter lists them"},
	{"What happened at the last failover?", "6  the newest is on top, its flows below"},
}

// closeHelp are the keys that close help. The others scroll it, or do what they always do.
var closeHelp = bind("Esc", "close help", "?", "f1", "esc", "enter", "q")

func (m *model) openHelp() tea.Cmd {
	m.helping, m.help.top = true, 0
	return nil
}

// helpLines draws help from the keys that work here.
func (m *model) helpLines() []string {
	l := m.look
	lines := []string{" " + l.in(title, "Where is the answer?")}
	for _, q := range questions {
		text := l.pad(q[0], 36, false) + l.in(accent, q[1])
		if m.width < 80 {
			text = q[0] + " " + l.in(accent, strings.ReplaceAll(q[1], "  ", " "))
		}
		lines = append(lines, "   "+text)
	}
	lines = append(lines, "")
	lines = append(lines, m.section("Keys in "+m.shown.name(), m.keys[m.shown])...)
	lines = append(lines, m.section("Everywhere", m.general)...)
	lines = append(lines, m.shown.help()...)
	const mouse = "Mouse: wheel, and click on what you see. With Shift the terminal selects text."
	return append(lines, " "+l.in(faint, mouse))
}

// section lists the keys that work now, in two columns where they fit.
func (m *model) section(name string, keys []binding) []string {
	var lines []string
	widest := 0
	for i := range keys {
		b := &keys[i]
		if h := b.Help(); h.Desc != "" && b.when() {
			line := m.look.in(accent, m.look.pad(keyName(m.look, h.Key), 10, false)) + " " + keyName(m.look, h.Desc)
			lines, widest = append(lines, line), max(widest, width(line))
		}
	}
	out := []string{" " + m.look.in(title, name)}
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
