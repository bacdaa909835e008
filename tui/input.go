package tui

import (
	"strings"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
)

// maxInput bounds a line that is typed or pasted: what the daemon takes of a filter.
const maxInput = 4096

// input is a line being edited.
type input struct {
	text string
	at   int // byte before which the next character goes
}

func typed(text string) input { return input{text: text, at: len(text)} }

// edit returns the line after a key, and whether the key edits lines.
func (i input) edit(k tea.KeyMsg) (input, bool) {
	switch k.String() {
	case "left", "ctrl+b":
		i.at = i.before()
	case "right", "ctrl+f":
		i.at = i.after()
	case "home", "ctrl+a":
		i.at = 0
	case "end", "ctrl+e":
		i.at = len(i.text)
	case "backspace", "ctrl+h":
		from := i.before()
		i.text, i.at = i.text[:from]+i.text[i.at:], from
	case "delete", "ctrl+d":
		i.text = i.text[:i.at] + i.text[i.after():]
	case "ctrl+u":
		i.text, i.at = i.text[i.at:], 0
	case "ctrl+k":
		i.text = i.text[:i.at]
	case "ctrl+w":
		from := strings.LastIndexByte(strings.TrimRight(i.text[:i.at], " "), ' ') + 1
		i.text, i.at = i.text[:from]+i.text[i.at:], from
	default:
		if (k.Type != tea.KeyRunes && k.Type != tea.KeySpace) || k.Alt {
			return i, false
		}
		return i.insert(string(k.Runes)), true
	}
	return i, true
}

// insert puts in what was typed or pasted; line breaks and other control characters become blanks.
func (i input) insert(s string) input {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if len(i.text)+len(s) > maxInput {
		return i
	}
	i.text, i.at = i.text[:i.at]+s+i.text[i.at:], i.at+len(s)
	return i
}

func (i input) before() int {
	_, n := utf8.DecodeLastRuneInString(i.text[:i.at])
	return i.at - n
}

func (i input) after() int {
	_, n := utf8.DecodeRuneInString(i.text[i.at:])
	return i.at + n
}

// show draws the line behind a prompt in width columns, the cursor in reverse. Of a line that is too long the part around
// the cursor is shown.
func (i input) show(l look, prompt string, width int) string {
	under, rest := " ", ""
	if i.at < len(i.text) {
		under, rest = i.text[i.at:i.after()], i.text[i.after():]
	}
	before := i.text[:i.at]
	for room := width - utf8.RuneCountInString(prompt) - 1; before != "" && utf8.RuneCountInString(before) > room; {
		_, n := utf8.DecodeRuneInString(before)
		before = before[n:]
	}
	return l.in(accent, prompt) + before + l.in(selected, under) + rest
}
