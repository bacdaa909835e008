package tui

import (
	"fmt"
	"strings"

	"ctsync/daemon/control"
)

// head is how many lines stand above the rows of the table view: the tables, what is shown of one, of differences what was
// compared, why the rows are old, the columns.
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

// tableHeight is how many rows fit.
func (m model) tableHeight() int {
	g := m.tableGrid()
	return max((m.bodyHeight()-m.table.head())/g.height(), 1)
}

// tableGrid fits the columns of what is shown.
func (m model) tableGrid() grid {
	t := &m.table
	columns := t.flowColumns()
	if t.group != "" {
		columns = t.groupColumns()
	}
	g := fitGrid(columns, m.width)
	o := t.sorting()
	g.sorted, g.desc = o.by, o.desc
	return g
}

func (m model) tableBody() []string {
	g := m.tableGrid()
	t := &m.table
	lines := []string{m.sourceLine(), m.tableLine()}
	if t.from().differences {
		lines = append(lines, m.differenceFoot())
	}
	if t.err != nil && (t.read.IsZero() || t.stale || disabled(t.err)) {
		return append(lines, m.problem(t.err)...)
	}
	lines = append(append(lines, m.failure(t.err)...), g.head(m.look))
	switch {
	case t.read.IsZero():
		return append(lines, m.waiting(t.pace))
	case t.list.total == 0 && !t.stale:
		return append(lines, "", "  "+m.emptyTable())
	}
	for i := range m.tableHeight() {
		place := t.list.top + i
		if place >= t.list.total {
			break
		}
		lines = append(lines, m.tableRow(&g, place)...)
	}
	return lines
}

// tableRow draws the row at a place of the list, which may still be on its way.
func (m model) tableRow(g *grid, place int) []string {
	t := &m.table
	chosen := place == t.list.cursor
	mark := ""
	if chosen {
		mark = m.look.sign(signCursor)
	}
	if t.group != "" {
		return g.row(m.look, t.aged(m.groupCells(place, g.widths[3])[:len(g.columns)]), mark, chosen)
	}
	i := place - t.first
	if i < 0 || i >= len(t.rows) {
		lines := make([]string, g.height())
		lines[0] = mark + " " + m.look.in(faint, m.look.sign(signWait))
		return lines
	}
	r := &t.rows[i]
	if r.gone && !chosen {
		mark = m.look.sign(signGone)
	}
	return g.row(m.look, t.aged(m.flowCells(r, g.columns)), mark, chosen)
}

// aged makes the cells of a row faint that is not the answer to what was asked last.
func (t *table) aged(cells []cell) []cell {
	for i := range cells {
		if t.stale {
			cells[i].in = faint
		}
	}
	return cells
}

// sourceLine names the tables, the one that is shown in brackets; where there is no room, only that one.
func (m model) sourceLine() string {
	if m.width < sourceWidth() {
		return " " + m.look.in(tab, "["+m.table.from().name+"]") + m.look.in(faint, fmt.Sprintf(" %d of %d", m.table.source+1, len(sources)))
	}
	var b strings.Builder
	b.WriteString(" ")
	for i, s := range sources {
		if i == m.table.source {
			b.WriteString(m.look.in(tab, "["+s.name+"]"))
		} else {
			b.WriteString(m.look.in(faint, " "+s.name+" "))
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

// tableLine says what of the table is shown: where we are, the order, the filter, the age of what is not live.
func (m model) tableLine() string {
	t := &m.table
	var parts []string
	switch {
	case t.read.IsZero():
	case t.stale:
		parts = append(parts, m.look.in(faint, m.reading(t.pace)+", old rows until then"))
	case t.group != "":
		parts = append(parts, m.groupSummary())
	case t.counts != nil:
		parts = append(parts, m.differenceSummary())
	default:
		position := t.list.position(m.units)
		if t.beyond > 0 {
			position += ", the first of " + m.units.count(uint64(t.list.total+t.beyond))
		}
		parts = append(parts, position+m.ofAll())
	}
	if t.filter != nil {
		parts = append(parts, m.look.in(accent, "filter ")+t.filterText)
	}
	if t.order.by != "" && t.group == "" && !t.from().differences {
		parts = append(parts, "by "+t.order.by+" "+m.look.arrow(t.order.desc))
	}
	if t.kept {
		parts = append(parts, m.look.in(warn, "order kept"))
	}
	if !t.from().live && t.counts == nil && !t.read.IsZero() && !t.stale {
		parts = append(parts, fmt.Sprintf("read %s ago, r reads again", span(m.now.Sub(t.read))))
	}
	if t.pace.busy && !t.stale && m.now.Sub(t.pace.began) >= 2*beat {
		parts = append(parts, m.look.in(faint, m.reading(t.pace)))
	}
	return " " + strings.Join(parts, m.look.in(faint, " "+m.look.sign(signDot)+" "))
}

// ofAll tells a filtered list from the whole table.
func (m model) ofAll() string {
	t := &m.table
	switch {
	case t.filter == nil:
		return " flows"
	case t.matches == 0 && !t.ended:
		return " or more that match"
	}
	return " that match"
}

func (m model) groupSummary() string {
	g := &m.table.groups
	text := fmt.Sprintf("%s flows of %s by %s", m.units.count(g.Flows), m.table.from().name, g.By)
	if g.OtherCount > 0 {
		text += fmt.Sprintf(", %s in %s more groups", m.units.count(g.Other.Flows), m.units.count(g.OtherCount))
	}
	if g.Unnamed.Flows > 0 {
		text += fmt.Sprintf(", %s not told apart: too many keys", m.units.count(g.Unnamed.Flows))
	}
	return text
}

// emptyTable says why nothing is shown.
func (m model) emptyTable() string {
	t := &m.table
	switch {
	case t.from().differences:
		return "no differences"
	case t.filter != nil:
		return "no flow matches the filter: Esc takes it away"
	case t.from().table == control.TableExternal:
		return "the peer has told of no flow"
	}
	return "no flows"
}

// waiting stands where an answer will be.
func (m model) waiting(p pacer) string {
	if !p.busy {
		return ""
	}
	return m.look.in(faint, "  "+m.reading(p))
}

// reading says that an answer is on its way, and for how long if one would wonder.
func (m model) reading(p pacer) string {
	if d := m.now.Sub(p.began); p.busy && d >= 2*beat {
		return "reading for " + span(d)
	}
	return "reading"
}
