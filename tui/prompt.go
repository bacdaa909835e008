package tui

import (
	"errors"
	"strings"

	"github.com/charmbracelet/bubbles/cursor"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/expr"
)

// maxInput is the limit of a line in characters. The daemon accepts no longer filter.
const maxInput = 4096

// prompt is a line that the user types at the bottom of the screen. Its functions say what it is for. To close it they
// set monitor.prompt to nil.
//
// bubbles' textinput edits the line, because it also knows wide characters and words.
type prompt struct {
	textinput.Model
	label  string                    // in front of the line
	advice func() string             // drawn above the line while nothing is wrong with it
	typed  func() tea.Cmd            // called after a change; may be nil
	tab    func()                    // completes the line; may be nil
	enter  func(text string) tea.Cmd // takes the line without blanks around it
	escape func() tea.Cmd            // undoes what typed did; may be nil
}

// openPrompt opens a prompt with a label in front of the text to edit.
func (m *monitor) openPrompt(label, text string, p prompt) tea.Cmd {
	p.Model = textinput.New()
	p.label, p.Prompt, p.CharLimit = label, "", maxInput
	p.Cursor.Style = styled[plain][0]     // lipgloss' default renderer drops "reverse" with NO_COLOR
	p.Cursor.SetMode(cursor.CursorStatic) // a blinking one needs messages all the time
	p.Focus()
	p.SetValue(text)
	p.fit(m.width)
	m.prompt = &p
	return nil
}

// fit makes the line scroll so that the cursor is visible in width columns.
func (p *prompt) fit(width int) {
	at := p.Position()
	p.Width = max(width-len(p.label)-1, 1) // one column is for the cursor behind the text
	p.CursorStart()
	p.CursorEnd()
	p.SetCursor(at)
}

// before is the text before the cursor.
func (p *prompt) before() string { return string([]rune(p.Value())[:p.Position()]) }

// promptKey edits the line, or closes it.
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

// promptLines draws the line under its advice.
func (m *monitor) promptLines() []string {
	return []string{m.promptAdvice(), m.look.in(accent, m.prompt.label) + m.prompt.View()}
}

// promptAdvice says what is wrong with the line, pointing at the column, or what may be typed.
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
