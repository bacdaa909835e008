package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

func (t *table) keys() []binding {
	var (
		live    = func() bool { return t.from().live }
		once    = func() bool { return !t.from().live }
		counted = func() bool { return !t.from().differences } // the daemon can sort and group it
		flows   = func() bool { _, ok := t.chosen(); return ok }
		groups  = func() bool { return t.group != "" && t.list.cursor < len(t.groups.Groups) }
	)
	list := []binding{
		{bind("Enter", "open the selected flow", "enter"), "open", flows, t.onRows(t.openFlow)},
		{bind("Enter", "list its flows", "enter"), "list", groups, t.onRows(t.openGroup)},
		{bind("/", "filter as you type", "/"), "filter", live, t.startFilter},
		{bind("/", "filter, with Enter", "/"), "filter", once, t.startFilter},
		{bind("Esc", "clear grouping or filter", "esc"), "", t.narrowed, t.lessFiltered},
		{bind("t →", "next table", "t", "right"), "table", always, func() tea.Cmd { return t.turn(1) }},
		{bind("T ←", "previous table", "T", "left"), "", always, func() tea.Cmd { return t.turn(-1) }},
		{bind("s", "sort by the next column", "s"), "sort", counted, t.sortNext},
		{bind("S", "reverse the order", "S"), "", func() bool { return counted() && t.sorting().by != "" }, t.sortTurn},
		{bind("b", "group: the top talkers", "b"), "group", counted, func() tea.Cmd { return t.groupBy(1) }},
		{bind("B", "grouping before this one", "B"), "", counted, func() tea.Cmd { return t.groupBy(-1) }},
		{bind("r", "read the table again", "r"), "read again", once, t.readAgain},
		{bind("o", "keep the order of rows", "o"), "", t.keepable, t.onRows(t.keepOrder)},
		{followKey, "follow", flows, t.onRows(t.flow.followSelected)},
	}
	for _, b := range []binding{t.copyKey("copy it to the clipboard", t.selected), t.writeKey(t.visible)} {
		b.do = t.onRows(b.do)
		list = append(list, b)
	}
	return list
}

func (t *table) narrowed() bool { return t.filter != nil || t.group != "" }
func (t *table) keepable() bool { return t.group == "" && t.from().live && len(t.rows) > 0 }

// onRows makes a key complain if the rows are stale: the user must not act on them.
func (t *table) onRows(do func() tea.Cmd) func() tea.Cmd {
	return func() tea.Cmd {
		if t.stale {
			t.complain("the table is still being read")
			return nil
		}
		return do()
	}
}

func (t *table) openFlow() tea.Cmd { return t.flow.openSelected() }

// turn shows the n-th table after this one. The filter stays, and so do grouping and order if that table can have them.
func (t *table) turn(n int) tea.Cmd {
	return t.showSource((t.source + n + len(sources)) % len(sources))
}

func (t *table) showSource(n int) tea.Cmd {
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
	return t.again()
}

// sorting is the order of the shown flows or groups.
func (q *question) sorting() order {
	switch {
	case q.group == "":
		return q.order
	case q.groupOrder.by == "":
		return order{by: "flows", desc: true}
	}
	return q.groupOrder
}

// sorts reports whether the daemon can sort the table by a word of control.Orders or GroupOrders. Differences are not
// sorted: an order stays for the next table.
func (s source) sorts(by string) bool {
	switch by {
	case "idle":
		return s.table != control.TableKernel
	case "packets", "bytes":
		return s.table == control.TableKernel
	}
	return true
}

// sortNext sorts by the next visible column. After the last one flows are not sorted; groups always are.
func (t *table) sortNext() tea.Cmd {
	g := t.grid()
	var words []string
	for i, c := range g.columns {
		if c.sort != "" && (g.widths[i] > 0 && !g.card || g.card && c.rank < cardRank) {
			words = append(words, c.sort)
		}
	}
	if t.group == "" {
		words = append(words, "")
	}
	at := slices.Index(words, t.sorting().by) // -1 if its column is not visible: next is the first
	next := words[(at+1)%len(words)]
	return t.sortBy(order{by: next, desc: largestFirst[next]})
}

// largestFirst are the orders of which one wants to see the largest values.
var largestFirst = map[string]bool{
	"flows": true, "bytes": true, "packets": true, "age": true, "idle": true, "mark": true, "zone": true, "nat": true,
	"helper": true,
}

func (t *table) sortTurn() tea.Cmd {
	o := t.sorting()
	o.desc = !o.desc
	return t.sortBy(o)
}

// sortBy asks for another order, from the top: who sorts wants to see the first rows.
func (t *table) sortBy(o order) tea.Cmd {
	if t.group != "" {
		t.groupOrder = o
	} else {
		t.order = o
	}
	return t.again()
}

// keepOrder makes rows stay in place while their values change, or lets them move again.
func (t *table) keepOrder() tea.Cmd {
	if t.kept {
		t.kept = false
		cmd := t.ask()
		t.sized()
		return cmd
	}
	t.kept = true
	t.sized()
	t.say("rows stay where they are; " + t.look.sign(signGone) + " marks those that ended or moved away")
	return nil
}

func (t *table) readAgain() tea.Cmd {
	if t.pace.busy {
		t.say("the table is being read already")
		return nil
	}
	return tea.Batch(t.ask(), t.askMatches())
}

// lessFiltered ends the grouping, or else removes the filter.
func (t *table) lessFiltered() tea.Cmd {
	if t.group != "" {
		t.group = ""
		t.other()
		return t.again()
	}
	return t.filterBy("")
}

// click chooses a table, an order or a row. A click on the selected row opens it.
func (t *table) click(x, line int) tea.Cmd {
	g := t.grid()
	switch {
	case line == 0 && t.width >= sourceWidth():
		at := 1
		for i, s := range sources {
			w := len(s.name) + 2
			if x >= at && x < at+w {
				return t.showSource(i)
			}
			at += w + 1
		}
	case line == t.head()-1:
		if i := g.at(x); i >= 0 && g.columns[i].sort != "" {
			o := order{by: g.columns[i].sort, desc: largestFirst[g.columns[i].sort]}
			if was := t.sorting(); was.by == o.by {
				o.desc = !was.desc
			}
			return t.sortBy(o)
		}
	case line >= t.head():
		return t.clickRow(t.list.top + (line-t.head())/g.height())
	}
	return nil
}

func (t *table) clickRow(place int) tea.Cmd {
	switch {
	case place >= t.list.total:
		return nil
	case place != t.list.cursor:
		t.list.cursor = place
		return nil
	case t.group != "":
		return t.onRows(t.openGroup)()
	}
	return t.onRows(t.openFlow)()
}
