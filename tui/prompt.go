package tui

import (
	"errors"
	"strings"

	"github.com/charmbracelet/bubbles/cursor"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/expr"
)

// maxInput bounds a line that is typed or pasted: what the daemon takes of a filter.
const maxInput = 4096

// prompt is a line that the user types at the bottom of the screen. What it is for is in its functions, which close it by
// setting monitor.prompt to nil.
type prompt struct {
	textinput.Model
	label  string         // in front of the line
	advice func() string  // what stands above the line
	typed  func() tea.Cmd // after a change; nil = nothing happens
	tab    func()         // completes; nil = nothing to complete
	enter  func(text string) tea.Cmd
	escape func() tea.Cmd // nil = nothing is to be undone
}

// openPrompt opens a prompt with a label in front of the text to be changed.
func (m *monitor) openPrompt(label, text string, p prompt) tea.Cmd {
	p.Model = textinput.New()
	p.label, p.Prompt, p.CharLimit = label, "", maxInput
	p.Cursor.Style = styled[plain][0]     // drawn by our renderer, whatever bubbles thinks of the terminal
	p.Cursor.SetMode(cursor.CursorStatic) // one that blinks is a frame twice a second
	p.Focus()
	p.SetValue(text)
	p.fit(m.width)
	m.prompt = &p
	return nil
}

// fit shows the part of the line around the cursor that has room in width columns.
func (p *prompt) fit(width int) {
	at := p.Position()
	p.Width = max(width-len(p.label)-1, 1) // behind the text there is room for the cursor
	p.CursorStart()
	p.CursorEnd()
	p.SetCursor(at)
}

// before is the text before the cursor.
func (p *prompt) before() string { return string([]rune(p.Value())[:p.Position()]) }

// promptKey edits the line, or ends it.
func (m *monitor) promptKey(k tea.KeyMsg) tea.Cmd {
	p, was := m.prompt, m.prompt.Value()
	switch name := k.String(); {
	case name == "esc", name == "backspace" && was == "":
		m.prompt = nil
		if p.escape != nil {
			return p.escape()
		}
		return nil
	case name == "enter":
		return p.enter(strings.TrimSpace(was))
	case name == "tab":
		if p.tab != nil {
			p.tab()
		}
	default:
		p.Model, _ = p.Update(k) // its commands read the clipboard of this machine, which is not the user's
	}
	if p.Value() == was || p.typed == nil {
		return nil
	}
	return p.typed()
}

// promptLines are the line being typed under what is to be said of it.
func (m *monitor) promptLines() []string {
	return []string{m.promptAdvice(), m.look.in(accent, m.prompt.label) + m.prompt.View()}
}

// promptAdvice says what is wrong with the line, pointing at the column, or what may come.
func (m *monitor) promptAdvice() string {
	p := m.prompt
	var x *expr.Error
	switch {
	case errors.As(p.Err, &x):
		text := x.Message
		if x.Hint != "" {
			text += ": " + x.Hint
		}
		at := len(p.label) + x.Column - 1
		pointer := "v " // the line stands below
		if at+width(text)+2 <= m.width {
			return strings.Repeat(" ", at) + m.look.in(bad, pointer+text)
		}
		return m.look.in(bad, m.look.pad("column "+itoa(x.Column)+": "+text, m.width, false))
	case p.Err != nil:
		return " " + m.look.in(bad, "! "+p.Err.Error())
	}
	return " " + p.advice()
}
