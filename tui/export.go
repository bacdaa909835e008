package tui

import (
	"fmt"
	"strings"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// writable reports whether the view has rows that can be written.
func writable(m *model) bool {
	switch m.view {
	case viewTable:
		return len(m.table.rows) > 0 || len(m.table.groups.Groups) > 0
	case viewExpect:
		return len(m.expect.rows) > 0
	case viewTransitions:
		return len(m.transitions.all) > 0
	}
	return inLog(m)
}

// export returns the visible rows as files have them: at the time of what is shown, with exact amounts and port numbers.
func (m model) export() export {
	m = m.still()
	m.units, m.names = unitExact, false
	switch m.view {
	case viewExpect:
		return m.exportExpectations()
	case viewTransitions:
		return m.exportTransitions()
	case viewLog:
		return m.exportLog()
	}
	if m.table.group != "" {
		return m.exportGroups()
	}
	return m.exportFlows()
}

// exportFlows has every column of the table, shown or not.
func (m model) exportFlows() export {
	e := export{name: m.table.name()}
	columns := m.table.flowColumns()
	for _, c := range columns {
		e.head = append(e.head, strings.ToLower(c.name))
	}
	rows := m.visibleRows()
	for i := range rows {
		e.add(rows[i].json(), m.csvRow(&rows[i], columns)...)
	}
	return e
}

func (m model) exportGroups() export {
	e := export{name: m.table.name() + "-by-" + m.table.group, head: []string{m.table.group, "flows", "packets", "bytes"}}
	for _, g := range m.visibleGroups() {
		e.add(g, printable(g.Key), fmt.Sprint(g.Flows), fmt.Sprint(g.Packets), fmt.Sprint(g.Bytes))
	}
	return e
}

// name is the table's, as a part of a file's name.
func (t *table) name() string { return strings.ReplaceAll(t.from().name, " ", "-") }

func (m model) exportExpectations() export {
	e := export{name: "expectations", head: []string{"cache", "helper", "protocol", "source", "destination", "master source", "master destination", "timeout"}}
	v := &m.expect
	for i := v.list.top; i < min(v.list.top+m.expectHeight(), len(v.rows)); i++ {
		r := &v.rows[i]
		x := &r.entry
		timeout := ""
		if x.Has.Is(flow.HasTimeout) {
			timeout = fmt.Sprint(x.Timeout)
		}
		e.add(struct {
			Table control.Table `json:"table"`
			control.ExpectEntry
		}{r.table, control.ExpectEntry{ExpectationJSON: x.JSON(), Created: r.created}},
			string(r.table), flow.HelperName(&x.Helper), protoName(x.Expect.Proto), m.anySource(x), m.destination(&x.Expect),
			m.source(&x.Master), m.destination(&x.Master), timeout)
	}
	return e
}

func (m model) exportTransitions() export {
	e := export{name: "transitions", head: []string{"received", "type", "group", "state", "outcome", "flows", "failed", "took"}}
	v := &m.transitions
	for i := v.list.top; i < min(v.list.top+m.transitionHeight(), len(v.all)); i++ {
		t := &v.all[i]
		flows, failed, took := "", "", ""
		if has, lacks, ok := brought(t); ok {
			flows, failed = fmt.Sprint(has), fmt.Sprint(lacks)
		}
		if !t.Finished.IsZero() && !t.Started.IsZero() {
			took = fmt.Sprint(t.Finished.Sub(t.Started).Seconds())
		}
		e.add(t, t.Received.Format(time.RFC3339Nano), t.Type, printable(t.Group), printable(string(t.State)), printable(t.Outcome), flows, failed, took)
	}
	return e
}

func (m model) exportLog() export {
	e := export{name: "log", head: []string{"time", "level", "text"}}
	for _, l := range m.visibleLog() {
		e.add(l, l.Time.Format(time.RFC3339Nano), l.Level, l.Text)
	}
	return e
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
