package tui

import (
	"encoding/base64"
	"fmt"
	"os"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
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

// copyFlow copies the selected or open flow as conntrack(8) prints it: what one wants to search for elsewhere.
func (m model) copyFlow() (model, tea.Cmd) {
	var f *flow.Flow
	if m.view == viewFlow {
		for _, r := range m.watch.seen {
			if r != nil && f == nil {
				f = &r.flow
			}
		}
	} else if r, ok := m.table.chosen(); ok {
		f = &r.flow
	}
	if f == nil {
		return m.complain("there is no flow to copy"), nil
	}
	text := string(flow.AppendConntrack(nil, f))
	out := m.out
	return m, func() tea.Msg {
		if out == nil {
			return noteMsg{text: "no terminal to copy with", bad: true}
		}
		if _, err := out.Write([]byte(clipboardSequence(text))); err != nil {
			return noteMsg{text: "copy: " + err.Error(), bad: true}
		}
		return noteMsg{text: "sent to the terminal's clipboard: " + text}
	}
}

// close gives up what is open when the user leaves.
func (m model) close() tea.Cmd {
	for _, p := range m.paces() {
		p.drop()
	}
	return m.watch.endEvents()
}
