package tui

import (
	"encoding/base64"
	"fmt"
	"os"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"
)

// terminal is standard output. The renderer and the clipboard both write to it, but not at the same time.
type terminal struct {
	*os.File
	mu sync.Mutex
}

// needTerminal returns an error if a file is not a terminal.
func needTerminal(f *os.File) error {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		const format = "the monitor needs a terminal, and %s is not one: ctsync show prints the same as text"
		return fmt.Errorf(format, f.Name())
	}
	return nil
}

// Write implements io.Writer.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.File.Write(b)
}

// clipboardSequence makes a terminal put text into its clipboard: OSC 52, see xterm's ctlseqs. tmux passes it on if
// set-clipboard is on.
func clipboardSequence(text string) string {
	return "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\a"
}

// copyKey is the key that copies what is selected in a view; text returns "" if nothing is. Flows are copied as
// conntrack(8) prints them, to be searched for elsewhere.
func (m *monitor) copyKey(help string, text func() string) binding {
	some := func() bool { return text() != "" }
	return binding{bind("c", help, "c"), "", some, func() tea.Cmd { return m.copy(text()) }}
}

func (m *monitor) copy(text string) tea.Cmd {
	out := m.out
	return func() tea.Msg {
		if out == nil {
			return noteMsg{text: "there is no terminal to copy through", bad: true}
		}
		if _, err := out.Write([]byte(clipboardSequence(text))); err != nil {
			return noteMsg{text: "copy: " + err.Error(), bad: true}
		}
		return noteMsg{text: "sent to the terminal's clipboard: " + text}
	}
}
