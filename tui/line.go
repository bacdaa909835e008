package tui

import (
	"errors"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/expr"
)

// lineKind is what is being typed in the bottom line.
type lineKind uint8

const (
	lineNone lineKind = iota
	lineFilter
	lineCommand
	lineConfirm
	lineFile
)

// line is what is being typed.
type line struct {
	kind lineKind
	input
	before string // of a filter: the one in force before, which Esc brings back
	err    error  // what is wrong with it
}

func (m model) startFilter() (model, tea.Cmd) {
	m.line = line{kind: lineFilter, input: typed(m.table.filterText), before: m.table.filterText}
	return m, nil
}

// lineKey edits the line, or ends it.
func (m model) lineKey(k tea.KeyMsg) (tea.Model, tea.Cmd) {
	switch name := k.String(); {
	case name == "esc", name == "backspace" && m.line.text == "":
		l := m.line
		m.line = line{}
		m.action.asked = ""
		if l.kind == lineFilter && l.before != m.table.filterText {
			return m.filtered(l.before)
		}
		return m, nil
	case name == "enter":
		return m.lineDone()
	case name == "tab" && m.line.kind == lineFilter:
		m.line.input = completed(m.line.input)
		return m.lineChanged()
	}
	in, ok := m.line.edit(k)
	if !ok || in == m.line.input {
		m.line.input = in
		return m, nil
	}
	m.line.input = in
	return m.lineChanged()
}

// lineChanged lets a filter take effect while it is typed, as soon as it makes sense. What is not live waits for Enter: it
// is read anew for each filter, and every reading costs the whole of it.
func (m model) lineChanged() (model, tea.Cmd) {
	m.line.err = nil
	if m.line.kind != lineFilter {
		return m, nil
	}
	text := strings.TrimSpace(m.line.text)
	if _, err := expr.Parse(m.line.text); err != nil {
		m.line.err = err
		return m, nil
	}
	if text == m.table.filterText || !m.table.from().live {
		return m, nil
	}
	return m.filtered(text)
}

func (m model) lineDone() (tea.Model, tea.Cmd) {
	l := m.line
	switch {
	case l.kind == lineFilter && l.err != nil:
		return m, nil // the mistake is shown
	case l.kind == lineFilter:
		m.line = line{}
		if text := strings.TrimSpace(l.text); text != m.table.filterText {
			return m.filtered(text)
		}
		return m, nil
	case l.kind == lineFile:
		return m.save(strings.TrimSpace(l.text))
	case l.kind == lineConfirm:
		return m.confirmed(strings.TrimSpace(l.text))
	}
	return m.command(strings.Fields(l.text))
}

// prompts stand in front of what is typed.
var prompts = [...]string{lineFilter: "/", lineCommand: ":", lineConfirm: "type it to confirm: ", lineFile: "write to file: "}

// lineFoot is the line being typed under what is to be said of it.
func (m model) lineFoot() []string {
	prompt := prompts[m.line.kind]
	return []string{m.lineAdvice(len(prompt)), m.line.show(m.look, prompt, m.width)}
}

// lineAdvice says what is wrong with the line, pointing at the column, or what may come.
func (m model) lineAdvice(indent int) string {
	var x *expr.Error
	switch {
	case errors.As(m.line.err, &x):
		text := x.Message
		if x.Hint != "" {
			text += ": " + x.Hint
		}
		at := indent + x.Column - 1
		pointer := "v " // the line stands below
		if at+width(text)+2 <= m.width {
			return strings.Repeat(" ", at) + m.look.in(bad, pointer+text)
		}
		return m.look.in(bad, m.look.pad("column "+itoa(x.Column)+": "+text, m.width, false))
	case m.line.err != nil:
		return " " + m.look.in(bad, "! "+m.line.err.Error())
	case m.line.kind == lineFilter:
		advice := filterAdvice(m.line.input)
		if !m.table.from().live {
			advice = "Enter reads the table " + m.look.sign(signDot) + " " + advice
		}
		return " " + m.look.in(faint, advice)
	case m.line.kind == lineCommand:
		return " " + m.look.in(faint, commandWords())
	case m.line.kind == lineConfirm:
		return " " + m.look.in(warn, "! "+m.action.effect())
	case m.line.kind == lineFile:
		return " " + m.look.in(faint, ".json or .csv; a file that exists is not written over")
	}
	return ""
}

// wordAt returns the word before the cursor and where it begins.
func wordAt(i input) (word string, from int) {
	from = strings.LastIndexAny(i.text[:i.at], " (!") + 1
	return i.text[from:i.at], from
}

// filterAdvice explains the key that is being typed, or lists those that it may become.
func filterAdvice(i input) string {
	word, _ := wordAt(i)
	name := strings.ToLower(strings.TrimRight(word, ":=<>"))
	if at := strings.IndexAny(word, ":=!<>"); at >= 0 {
		name = strings.ToLower(word[:at])
	}
	var fit []string
	for _, k := range expr.Keys() {
		if name != "" && (name == k.Name || name == k.Other) {
			return k.Name + ": " + k.Doc + ", for example " + k.Example
		}
		if strings.HasPrefix(k.Name, name) {
			fit = append(fit, k.Name)
		}
	}
	if len(fit) == 0 {
		return "text that a row holds"
	}
	return strings.Join(fit, " ")
}

// completed completes the key before the cursor as far as it is clear.
func completed(i input) input {
	word, from := wordAt(i)
	common := ""
	for _, k := range expr.Keys() {
		if !strings.HasPrefix(k.Name, strings.ToLower(word)) {
			continue
		}
		if common == "" {
			common = k.Name + ":"
			continue
		}
		n := 0
		for n < len(common) && n < len(k.Name) && common[n] == k.Name[n] {
			n++
		}
		common = common[:n]
	}
	if word == "" || len(common) <= len(word) {
		return i
	}
	i.text = i.text[:from] + common + i.text[i.at:]
	i.at = from + len(common)
	return i
}
