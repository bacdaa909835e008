package tui

import (
	"encoding/base64"
	"fmt"
	"os"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"
)

// terminal is standard output, to which the renderer and the clipboard write: not at the same time.
type terminal struct {
	*os.File
	mu sync.Mutex
}

// needTerminal refuses a file that is no terminal.
func needTerminal(f *os.File) error {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return fmt.Errorf("the monitor needs a terminal, and %s is none: ctsync show prints the same as text", f.Name())
	}
	return nil
}

// Write implements io.Writer.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.File.Write(b)
}

// clipboardSequence is what makes a terminal take text into its clipboard: OSC 52 of xterm's ctlseqs, which tmux passes on
// with set-clipboard.
func clipboardSequence(text string) string {
	return "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\a"
}

// copyKey copies what is selected in a view: text returns "" if nothing is. A flow is copied as conntrack(8) prints it,
// which is what one wants to search for elsewhere; of other views it is the line.
func (m *monitor) copyKey(help string, text func() string) binding {
	return binding{bind("c", help, "c"), "", func() bool { return text() != "" }, func() tea.Cmd { return m.copy(text()) }}
}

func (m *monitor) copy(text string) tea.Cmd {
	out := m.out
	return func() tea.Msg {
		if out == nil {
			return noteMsg{text: "no terminal to copy with", bad: true}
		}
		if _, err := out.Write([]byte(clipboardSequence(text))); err != nil {
			return noteMsg{text: "copy: " + err.Error(), bad: true}
		}
		return noteMsg{text: "sent to the terminal's clipboard: " + text}
	}
}
