package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// cursorCell returns the character under the cursor.
func cursorCell(m *model) string {
	_, after, _ := strings.Cut(m.prompt.View(), "\x1b[7m")
	cell, _, _ := strings.Cut(after, "\x1b[0m")
	return cell
}

// TestLongLine shows the part around the cursor in every width, and the cursor, also without colours.
func TestLongLine(t *testing.T) {
	m := pressed(scene("table"), "/")
	m.prompt.SetValue(strings.Repeat("界x", 60) + "END")
	for _, r := range []struct{ key, under, part string }{
		{"end", " ", "END"}, {"left", "D", "END"}, {"home", "界", "界x"}, {"right", "x", "界x"},
	} {
		pressed(m, r.key)
		for _, w := range []int{80, 20, 132, 12} {
			m.take(tea.WindowSizeMsg{Width: w, Height: 24})
			line, under := m.promptLines()[1], cursorCell(m)
			if width(line) > w || under != r.under || !strings.Contains(ansi.Strip(line), r.part) {
				t.Errorf("after %s in %d columns: %d columns, the cursor on %q: %q", r.key, w, width(line), under, line)
			}
		}
	}
}

// TestLineIsBounded accepts no more than the daemon does, and nothing from the machine's clipboard.
func TestLineIsBounded(t *testing.T) {
	m := pressed(scene("table"), "/")
	m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.Repeat("x", 2*maxInput)), Paste: true})
	if _, text := m.typing(); len(text) != maxInput {
		t.Errorf("a line of %d bytes", len(text))
	}
	if cmd := m.key(tea.KeyMsg{Type: tea.KeyCtrlV}); cmd != nil {
		t.Error("Ctrl+V runs a program")
	}
}

// TestLineIsLeft by Esc, and by Backspace where there is nothing more to erase.
func TestLineIsLeft(t *testing.T) {
	m := pressed(scene("table"), "/", "1", "backspace")
	if m.prompt == nil {
		t.Error("the last character cannot be erased")
	}
	if pressed(m, "backspace"); m.prompt != nil {
		t.Error("Backspace does not leave an empty line")
	}
	if pressed(m, "/", "1", "esc"); m.prompt != nil || m.table().filterText != "" {
		t.Errorf("Esc leaves the filter %q", m.table().filterText)
	}
}
