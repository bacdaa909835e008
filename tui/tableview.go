package tui

import (
	"fmt"
	"strings"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// head is the number of lines above the rows: the tables, the question, what was compared, the failure if any, the
// names of the columns.
func (t *table) head() int {
	lines := 3
	if t.from().differences {
		lines++
	}
	if t.err != nil {
		lines++
	}
	return lines
}

// height is the number of rows that fit.
func (t *table) height() int {
	g := t.grid()
	return t.rowsIn(&g)
}

func (t *table) rowsIn(g *grid) int { return max((t.bodyHeight()-t.head())/g.height(), 1) }

// grid returns the columns of flows or groups.
func (t *table) grid() grid {
	columns := t.flowColumns()
	if t.group != "" {
		columns = t.groupColumns()
	}
	g := fitGrid(columns, t.width)
	o := t.sorting()
	g.sorted, g.desc = o.by, o.desc
	return g
}

func (t *table) body() []string {
	g := t.grid()
	lines := []string{t.sourceLine(), t.questionLine()}
	if t.from().differences {
		lines = append(lines, t.differenceFoot())
	}
	if t.err != nil && (t.read.IsZero() || t.stale || disabled(t.err)) {
		return append(lines, t.problem(t.err)...)
	}
	lines = append(append(lines, t.failure(t.err)...), g.head(t.look))
	switch {
	case t.read.IsZero():
		return append(lines, t.waiting(&t.pace))
	case t.list.total == 0 && !t.stale:
		return append(lines, "", "  "+t.emptyTable())
	}
	for place, to := t.list.visible(t.rowsIn(&g)); place < to; place++ {
		lines = append(lines, t.row(&g, place)...)
	}
	return lines
}

// row draws the row at a place of the list. It may not have been read yet.
func (t *table) row(g *grid, place int) []string {
	chosen := place == t.list.cursor
	mark := t.look.mark(chosen)
	if t.group != "" {
		return g.row(t.look, t.aged(t.groupCells(place, g.widths[3])[:len(g.columns)]), mark, chosen)
	}
	i := place - t.first
	if i < 0 || i >= len(t.rows) {
		lines := make([]string, g.height())
		lines[0] = mark + " " + t.look.in(faint, t.look.sign(signWait))
		return lines
	}
	r := &t.rows[i]
	if r.gone && !chosen {
		mark = t.look.sign(signGone)
	}
	return g.row(t.look, t.aged(t.flowCells(r, g.columns)), mark, chosen)
}

// aged makes the cells of stale rows faint.
func (t *table) aged(cells []cell) []cell {
	for i := range cells {
		if t.stale {
			cells[i].in = faint
		}
	}
	return cells
}

// sourceLine draws the names of the tables, that of the shown one in brackets. If there is no room, only that one.
func (t *table) sourceLine() string {
	if t.width < sourceWidth() {
		number := fmt.Sprintf(" %d of %d", t.source+1, len(sources))
		return " " + t.look.in(tab, "["+t.from().name+"]") + t.look.in(faint, number)
	}
	var b strings.Builder
	b.WriteString(" ")
	for i, s := range sources {
		if i == t.source {
			b.WriteString(t.look.in(tab, "["+s.name+"]"))
		} else {
			b.WriteString(t.look.in(faint, " "+s.name+" "))
		}
		b.WriteString(" ")
	}
	return b.String()
}

// sourceWidth is the width of the names of all tables.
func sourceWidth() int {
	n := 1
	for _, s := range sources {
		n += len(s.name) + 3
	}
	return n
}

// questionLine says which rows are shown: the position, the filter, the order, and how old they are if not live.
func (t *table) questionLine() string {
	var parts []string
	switch {
	case t.read.IsZero():
	case t.stale:
		parts = append(parts, t.look.in(faint, t.readingFor(&t.pace)+", old rows until then"))
	case t.group != "":
		parts = append(parts, t.groupSummary())
	case t.counts != nil:
		parts = append(parts, t.differenceSummary())
	default:
		position := t.list.position(t.units)
		if t.beyond > 0 {
			position += ", the first of " + t.units.count(uint64(t.list.total+t.beyond))
		}
		parts = append(parts, position+t.ofAll())
	}
	if t.filter != nil {
		parts = append(parts, t.look.in(accent, "filter ")+t.filterText)
	}
	if t.order.by != "" && t.group == "" && !t.from().differences {
		parts = append(parts, "by "+t.order.by+" "+t.look.arrow(t.order.desc))
	}
	if t.kept {
		parts = append(parts, t.look.in(warn, "order kept"))
	}
	if !t.from().live && t.counts == nil && !t.read.IsZero() && !t.stale {
		parts = append(parts, fmt.Sprintf("read %s ago, r reads again", span(t.still().Sub(t.read))))
	}
	if t.pace.busy && !t.stale && t.still().Sub(t.pace.began) >= 2*beat {
		parts = append(parts, t.look.in(faint, t.readingFor(&t.pace)))
	}
	return " " + strings.Join(parts, t.look.in(faint, " "+t.look.sign(signDot)+" "))
}

// ofAll says of what the position is.
func (t *table) ofAll() string {
	switch {
	case t.filter == nil:
		return " flows"
	case t.matches == 0 && !t.ended:
		return " or more that match"
	}
	return " that match"
}

func (t *table) groupSummary() string {
	g := &t.groups
	text := fmt.Sprintf("%s flows of %s by %s", t.units.count(g.Flows), t.from().name, g.By)
	if g.OtherCount > 0 {
		text += fmt.Sprintf(", %s in %s more groups", t.units.count(g.Other.Flows), t.units.count(g.OtherCount))
	}
	if g.Unnamed.Flows > 0 {
		text += fmt.Sprintf(", %s not grouped: too many keys", t.units.count(g.Unnamed.Flows))
	}
	return text
}

// emptyTable says why there are no rows.
func (t *table) emptyTable() string {
	switch {
	case t.from().differences:
		return "no differences"
	case t.filter != nil:
		return "no flow matches the filter: Esc removes it"
	case t.from().table == control.TableExternal:
		return "the peer has sent no flow"
	}
	return "no flows"
}

// selected returns the selected flow as conntrack(8) prints it, "" if there is none.
func (t *table) selected() string {
	r, ok := t.chosen()
	if !ok {
		return ""
	}
	return string(flow.AppendConntrack(nil, &r.flow))
}

// visible returns the visible rows for a file.
func (t *table) visible() export {
	if t.group != "" {
		return t.exportGroups()
	}
	return t.exportFlows()
}

// exportFlows returns all columns, also those for which there is no room.
func (t *table) exportFlows() export {
	file := export{name: t.from().fileName()}
	columns := t.flowColumns()
	for _, c := range columns {
		file.head = append(file.head, strings.ToLower(c.name))
	}
	rows := t.visibleRows()
	for i := range rows {
		file.add(rows[i].json(), t.csvRow(&rows[i], columns)...)
	}
	return file
}

func (t *table) exportGroups() export {
	file := export{name: t.from().fileName() + "-by-" + t.group, head: []string{t.group, "flows", "packets", "bytes"}}
	for _, g := range t.visibleGroups() {
		file.add(g, g.Key, fmt.Sprint(g.Flows), fmt.Sprint(g.Packets), fmt.Sprint(g.Bytes))
	}
	return file
}

// fileName is the name of the table in the name of a file.
func (s source) fileName() string { return strings.ReplaceAll(s.name, " ", "-") }

// visibleRows returns the visible rows that have been read.
func (t *table) visibleRows() []row {
	from := max(t.list.top, t.first)
	to := min(t.list.top+t.height(), t.first+len(t.rows))
	if from >= to {
		return nil
	}
	return t.rows[from-t.first : to-t.first]
}

func (t *table) visibleGroups() []control.Group {
	from, to := t.list.visible(t.height())
	return t.groups.Groups[from:to]
}

// json returns the row as the daemon's API writes it.
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

// csvRow writes for programs: times in seconds, exact amounts, port numbers. What is unknown stays empty.
func (t *table) csvRow(r *row, columns []column) []string {
	f := &r.flow
	var record []string
	for _, col := range columns {
		text := t.flowCell(r, col.name).text
		switch {
		case col.name == "SOURCE":
			text = services(nil).source(&f.Orig)
		case col.name == "DESTINATION":
			text = services(nil).destination(&f.Orig)
		case text == "":
		case col.name == "TIMEOUT":
			text = fmt.Sprint(f.Timeout)
		case col.name == "AGE":
			text = fmt.Sprint(int64(t.still().Sub(r.began()).Seconds()))
		case col.name == "IDLE":
			text = fmt.Sprint(int64(t.still().Sub(r.updated).Seconds()))
		case col.name == "BYTES":
			text = fmt.Sprint(f.Bytes[0] + f.Bytes[1])
		case col.name == "PACKETS":
			text = fmt.Sprint(f.Packets[0] + f.Packets[1])
		}
		record = append(record, text)
	}
	return record
}
