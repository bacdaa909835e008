package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
)

// tableStep shows another table. Filter and grouping stay; an order that the table does not have does not.
func (m model) tableStep(n int) (model, tea.Cmd) {
	return m.showSource((m.table.source + n + len(sources)) % len(sources))
}

func (m model) showSource(n int) (model, tea.Cmd) {
	t := &m.table
	t.source = n
	t.other()
	if t.from().differences {
		t.group = ""
	}
	for _, o := range []*order{&t.order, &t.groupOrder} {
		if !t.from().sorts(o.by) {
			*o = order{}
		}
	}
	return m.again()
}

// sorting is the order of what is shown: rows or groups.
func (t *table) sorting() order {
	switch {
	case t.group == "":
		return t.order
	case t.groupOrder.by == "":
		return order{by: "flows", desc: true}
	}
	return t.groupOrder
}

// sorts reports whether the daemon sorts the table by a word of control.Orders or GroupOrders. Comparisons have no order:
// one that their cache has waits there for the next table.
func (s source) sorts(by string) bool {
	switch by {
	case "idle":
		return s.table != control.TableKernel
	case "packets", "bytes":
		return s.table == control.TableKernel
	}
	return true
}

// sortNext sorts by the next column that is visible; after the last one rows are in the order of storage again. Groups have
// no such order.
func (m model) sortNext() (model, tea.Cmd) {
	g := m.tableGrid()
	var words []string
	for i, c := range g.columns {
		if c.sort != "" && (g.widths[i] > 0 && !g.card || g.card && c.rank < cardRank) {
			words = append(words, c.sort)
		}
	}
	if m.table.group == "" {
		words = append(words, "")
	}
	at := slices.Index(words, m.table.sorting().by) // the last where it is not visible: the first is next
	next := words[(at+1)%len(words)]
	return m.sortBy(order{by: next, desc: largestFirst[next]})
}

// largestFirst are the orders of which one wants to see the end.
var largestFirst = map[string]bool{"flows": true, "bytes": true, "packets": true, "age": true, "idle": true, "mark": true, "zone": true, "nat": true, "helper": true}

func (m model) sortTurn() (model, tea.Cmd) {
	o := m.table.sorting()
	o.desc = !o.desc
	return m.sortBy(o)
}

// sortBy asks for another order. It begins at the top: who sorts wants to see what comes first.
func (m model) sortBy(o order) (model, tea.Cmd) {
	if m.table.group != "" {
		m.table.groupOrder = o
	} else {
		m.table.order = o
	}
	return m.again()
}

// keepOrder keeps rows in their places while their values change, or lets them move again.
func (m model) keepOrder() (model, tea.Cmd) {
	t := &m.table
	if t.kept {
		t.kept = false
		cmd := m.askTable()
		return m.sized(), cmd
	}
	t.kept = true
	return m.sized().say("rows stay where they are; " + m.look.sign(signGone) + " marks those that ended or moved away"), nil
}

func (m model) readAgain() (model, tea.Cmd) {
	if m.table.pace.busy {
		return m.say("the table is being read already"), nil
	}
	page, count := m.askTable(), m.askMatches()
	return m, tea.Batch(page, count)
}

// lessFiltered takes away what narrows the list: the grouping first, then the filter.
func (m model) lessFiltered() (model, tea.Cmd) {
	if m.table.group != "" {
		m.table.group = ""
		m.table.other()
		return m.again()
	}
	return m.filtered("")
}

// filtered asks for the flows that a filter lets pass. A text that is no filter changes nothing.
func (m model) filtered(text string) (model, tea.Cmd) {
	var filter *expr.Expr
	if text != "" {
		var err error
		if filter, err = expr.Parse(text); err != nil {
			return m.complain(err.Error()), nil
		}
	}
	m.table.filter, m.table.filterText = filter, text
	return m.again()
}
