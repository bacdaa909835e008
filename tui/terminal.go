package tui

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"ctsync/tui/printable"
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

// The size of a terminal of which nobody says how large it is, and the most that LINES and COLUMNS are believed.
const (
	usualRows, usualColumns = 24, 80
	mostCells               = 1000
)

// Size returns the rows and columns of the terminal f. A serial console says that it has none: then it is as large as
// the environment variables LINES and COLUMNS say, or else 24 rows of 80 columns. The error is that of TIOCGWINSZ if f
// is not a terminal.
func Size(f *os.File) (rows, columns int, err error) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, fmt.Errorf("size of terminal %s: %w", f.Name(), err)
	}
	rows, columns = sizeOf(int(size.Row), int(size.Col), os.Getenv)
	return rows, columns, nil
}

// sizeOf replaces what a terminal does not say about its size.
func sizeOf(rows, columns int, env func(string) string) (int, int) {
	known := func(said int, variable string, usual int) int {
		if said > 0 {
			return said
		}
		if n, err := strconv.Atoi(env(variable)); err == nil && n > 0 && n <= mostCells {
			return n
		}
		return usual
	}
	return known(rows, "LINES", usualRows), known(columns, "COLUMNS", usualColumns)
}

// sized replaces the size that Bubble Tea has read from the terminal, before anything sees it: with 0 columns nothing
// would be drawn.
func sized(_ tea.Model, msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok {
		size.Height, size.Width = sizeOf(size.Height, size.Width, os.Getenv)
		return size
	}
	return msg
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
	out, text := m.out, printable.Text(text) // it may be pasted into a shell
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
