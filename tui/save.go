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

	"ctsync/daemon/control"
)

// noteMsg is a word to the user from a command.
type noteMsg struct {
	text string
	bad  bool
}

// startSave asks for the name of a file for the visible rows.
func (m model) startSave() (model, tea.Cmd) {
	if m.visibleCount() == 0 {
		return m.complain("there are no rows to write"), nil
	}
	name := "ctsync-" + strings.ReplaceAll(m.table.from().name, " ", "-")
	if m.table.group != "" {
		name += "-by-" + m.table.group
	}
	m.line = line{kind: lineFile, input: typed(name + m.now.Local().Format("-20060102-150405") + ".csv")}
	return m, nil
}

// visibleCount is how many rows the table view shows.
func (m model) visibleCount() int {
	if m.table.group != "" {
		return len(m.visibleGroups())
	}
	return len(m.visibleRows())
}

// visibleRows are those of the visible places that have been read.
func (m model) visibleRows() []row {
	t := &m.table
	from := max(t.list.top, t.first)
	to := min(t.list.top+m.tableHeight(), t.first+len(t.rows))
	if from >= to {
		return nil
	}
	return t.rows[from-t.first : to-t.first]
}

func (m model) visibleGroups() []control.Group {
	g := m.table.groups.Groups
	from := min(m.table.list.top, len(g))
	return g[from:min(from+m.tableHeight(), len(g))]
}

// save writes the visible rows: all their attributes as JSON, one object per line, or the columns of the table as CSV.
func (m model) save(name string) (model, tea.Cmd) {
	var write func(io.Writer) error
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		write = m.writeJSON
	case ".csv":
		write = m.writeCSV
	default:
		m.line.err = errors.New("the name must end in .json or .csv")
		return m, nil
	}
	m.line = line{}
	count := m.visibleCount()
	return m, func() tea.Msg {
		if err := writeNew(name, write); err != nil {
			return noteMsg{text: err.Error(), bad: true}
		}
		return noteMsg{text: fmt.Sprintf("%d rows written to %s", count, name)}
	}
}

// writeNew makes a file that only its owner reads: who talks to whom is nobody else's business.
func writeNew(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (m model) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	if m.table.group != "" {
		for _, g := range m.visibleGroups() {
			if err := e.Encode(g); err != nil {
				return err
			}
		}
		return nil
	}
	rows := m.visibleRows()
	for i := range rows {
		if err := e.Encode(rows[i].json()); err != nil {
			return err
		}
	}
	return nil
}

// json is the row as the daemon's API writes it.
func (r *row) json() any {
	j := r.flow.JSON()
	if !r.difference {
		return control.Entry{JSON: j, Created: r.created, Updated: r.updated}
	}
	d := control.DifferenceJSON{What: r.what, Attributes: r.attributes}
	if r.kernel != nil {
		k := r.kernel.JSON()
		d.Kernel = &k
	}
	if r.what != control.KernelOnly {
		d.Cache = &j
	}
	return d
}

// writeCSV writes every column of the table, shown or not; amounts are exact.
func (m model) writeCSV(w io.Writer) error {
	m = m.still()
	m.units, m.names = unitExact, false
	t := &m.table
	c := csv.NewWriter(w)
	columns := t.flowColumns()
	if t.group != "" {
		_ = c.Write([]string{t.group, "flows", "packets", "bytes"})
		for _, g := range m.visibleGroups() {
			_ = c.Write([]string{printable(g.Key), fmt.Sprint(g.Flows), fmt.Sprint(g.Packets), fmt.Sprint(g.Bytes)})
		}
	} else {
		var head []string
		for _, col := range columns {
			head = append(head, strings.ToLower(col.name))
		}
		_ = c.Write(head)
		rows := m.visibleRows()
		for i := range rows {
			_ = c.Write(m.csvRow(&rows[i], columns))
		}
	}
	c.Flush()
	return c.Error()
}

// csvRow writes times in seconds and amounts as plain numbers, for programs. What a row does not tell stays empty.
func (m *model) csvRow(r *row, columns []column) []string {
	f := &r.flow
	var record []string
	for _, col := range columns {
		text := m.flowCell(r, col.name).text
		switch {
		case text == "":
		case col.name == "TIMEOUT":
			text = fmt.Sprint(f.Timeout)
		case col.name == "AGE":
			text = fmt.Sprint(int64(m.now.Sub(r.began()).Seconds()))
		case col.name == "IDLE":
			text = fmt.Sprint(int64(m.now.Sub(r.updated).Seconds()))
		case col.name == "BYTES":
			text = fmt.Sprint(f.Bytes[0] + f.Bytes[1])
		case col.name == "PACKETS":
			text = fmt.Sprint(f.Packets[0] + f.Packets[1])
		}
		record = append(record, text)
	}
	return record
}
