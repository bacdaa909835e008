package tui

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/tui/printable"
)

// noteMsg is a note to the user from a command.
type noteMsg struct {
	text string
	bad  bool
}

// writeKey is the key that writes the visible rows of a view to a file.
func (m *monitor) writeKey(rows func() export) binding {
	some := func() bool { return len(rows().json) > 0 }
	return binding{bind("w", "write rows: JSON or CSV", "w"), "", some, func() tea.Cmd { return m.startSave(rows) }}
}

// startSave asks for the name of a file for the visible rows.
func (m *monitor) startSave(rows func() export) tea.Cmd {
	name := "ctsync-" + rows().name + m.now.Local().Format("-20060102-150405") + ".csv"
	return m.openPrompt("write to file: ", name, prompt{
		advice: func() string { return m.look.in(faint, ".json or .csv; an existing file is not overwritten") },
		enter:  func(name string) tea.Cmd { return m.save(name, rows()) },
	})
}

// save writes rows to a file: as JSON all that is known about them, one object per line; as CSV their columns.
func (m *monitor) save(name string, e export) tea.Cmd {
	write := e.writeJSON
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
	case ".csv":
		write = e.writeCSV
	default:
		m.prompt.Err = errors.New("the name must end in .json or .csv")
		return nil
	}
	m.prompt = nil
	return func() tea.Msg {
		if err := writeNew(name, write); err != nil {
			return noteMsg{text: err.Error(), bad: true}
		}
		return noteMsg{text: fmt.Sprintf("%d rows written to %s", len(e.json), name)}
	}
}

// writeNew creates a file that only its owner can read: who talks to whom is confidential.
func writeNew(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := &printable.Writer{To: f} // it may be shown in a terminal
	if err := errors.Join(write(out), out.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// export holds the visible rows of a view for a file: with exact amounts and port numbers, and with ages as shown.
type export struct {
	name    string     // part of the file's name
	json    []any      // one per row
	head    []string   // names of the CSV columns
	records [][]string // one per row
}

func (e *export) add(json any, record ...string) {
	e.json, e.records = append(e.json, json), append(e.records, record)
}

func (e *export) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, v := range e.json {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) writeCSV(w io.Writer) error {
	return csv.NewWriter(w).WriteAll(append([][]string{e.head}, e.records...))
}
