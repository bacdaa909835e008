package tui

import (
	"encoding/base64"
	"fmt"
	"os"
	"sync"
	"time"

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

// copyRow copies what is selected: a flow as conntrack(8) prints it, which is what one wants to search for elsewhere, of
// other views the line.
func (m model) copyRow() (model, tea.Cmd) {
	text := m.copied()
	if text == "" {
		return m.complain("there is nothing to copy"), nil
	}
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

// copied is the text of what is selected, "" where nothing is. The log has no selection: its lowest line stands for one.
func (m model) copied() string {
	switch m.view {
	case viewTable:
		if r, ok := m.table.chosen(); ok {
			return string(flow.AppendConntrack(nil, &r.flow))
		}
	case viewFlow:
		for _, r := range m.watch.seen {
			if r != nil {
				return string(flow.AppendConntrack(nil, &r.flow))
			}
		}
	case viewExpect:
		if n := m.expect.list.cursor; n < len(m.expect.rows) {
			return m.expectText(&m.expect.rows[n])
		}
	case viewTransitions:
		if n := m.transitions.list.cursor; n < len(m.transitions.all) {
			return printable(m.transitionLine(&m.transitions.all[n]))
		}
	case viewLog:
		if shown := m.visibleLog(); len(shown) > 0 {
			l := shown[len(shown)-1]
			return l.Time.Local().Format(time.DateTime) + " " + l.Level + " " + printable(l.Text)
		}
	}
	return ""
}

// copyable reports whether something is selected.
func copyable(m *model) bool { return m.view != viewLog && m.copied() != "" }

// close gives up what is open when the user leaves.
func (m model) close() tea.Cmd {
	for _, p := range m.paces() {
		p.drop()
	}
	return m.watch.endEvents()
}
