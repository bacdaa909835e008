package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// binding is a key as data: what it does, where it works, and what help and the bottom line say of it.
type binding struct {
	keys []string // as Bubble Tea spells them
	name string   // as people do
	help string
	hint string // in the bottom line, "" = not there
	in   func(*model) bool
	do   func(model) (model, tea.Cmd)
}

var bindings []binding

func init() { // not a literal: help refers to the list
	bindings = append(bindings, tableKeys()...)
	bindings = append(bindings, flowKeys()...)
	bindings = append(bindings, rowKeys()...)
	bindings = append(bindings, listKeys()...)
	bindings = append(bindings, generalKeys()...)
}

func inTable(m *model) bool   { return m.view == viewTable }
func inList(m *model) bool    { return m.view == viewTable && m.table.group == "" }
func inGroups(m *model) bool  { return m.view == viewTable && m.table.group != "" }
func inFlow(m *model) bool    { return m.view == viewFlow }
func onRow(m *model) bool     { _, ok := m.table.chosen(); return inList(m) && ok }
func onGroup(m *model) bool   { return inGroups(m) && m.table.list.cursor < len(m.table.groups.Groups) }
func onFlow(m *model) bool    { return onRow(m) || inFlow(m) && m.watch.on }
func inLog(m *model) bool     { return m.view == viewLog && len(m.log.lines) > 0 }
func keepable(m *model) bool  { return inList(m) && inLive(m) && len(m.table.rows) > 0 }
func sorted(m *model) bool    { return counted(m) && m.table.sorting().by != "" }
func everywhere(*model) bool  { return true }
func mayWrite(m *model) bool  { return m.opt.Write }
func inLive(m *model) bool    { return inTable(m) && m.table.from().live }
func onceRead(m *model) bool  { return inTable(m) && !m.table.from().live }
func filtering(m *model) bool { return inTable(m) && (m.table.filter != nil || m.table.group != "") }
func counted(m *model) bool   { return inTable(m) && !m.table.from().differences } // lists that the daemon sorts and groups

// onRows refuses to act on rows that are not the answer to what was asked last.
func onRows(do func(model) (model, tea.Cmd)) func(model) (model, tea.Cmd) {
	return func(m model) (model, tea.Cmd) {
		if inTable(&m) && m.table.stale {
			return m.complain("the table is still being read"), nil
		}
		return do(m)
	}
}

func tableKeys() []binding {
	return []binding{
		{[]string{"enter"}, "Enter", "open the selected flow", "open", onRow, onRows(model.openFlow)},
		{[]string{"enter"}, "Enter", "list its flows", "list", onGroup, onRows(model.openGroup)},
		{[]string{"/"}, "/", "filter as you type", "filter", inLive, model.startFilter},
		{[]string{"/"}, "/", "filter, with Enter", "filter", onceRead, model.startFilter},
		{[]string{"esc"}, "Esc", "clear grouping or filter", "", filtering, model.lessFiltered},
		{[]string{"t", "right"}, "t →", "next table", "table", inTable, func(m model) (model, tea.Cmd) { return m.tableStep(1) }},
		{[]string{"T", "left"}, "T ←", "previous table", "", inTable, func(m model) (model, tea.Cmd) { return m.tableStep(-1) }},
		{[]string{"s"}, "s", "sort by the next column", "sort", counted, model.sortNext},
		{[]string{"S"}, "S", "reverse the order", "", sorted, model.sortTurn},
		{[]string{"b"}, "b", "group: the top talkers", "group", counted, func(m model) (model, tea.Cmd) { return m.groupBy(1) }},
		{[]string{"B"}, "B", "grouping before this one", "", counted, func(m model) (model, tea.Cmd) { return m.groupBy(-1) }},
		{[]string{"r"}, "r", "read the table again", "read again", onceRead, model.readAgain},
		{[]string{"o"}, "o", "keep the order of rows", "", keepable, onRows(model.keepOrder)},
	}
}

func flowKeys() []binding {
	return []binding{
		{[]string{"f"}, "f", "follow through a failover", "follow", onFlow, onRows(model.followFlow)},
		{[]string{"esc"}, "Esc", "back to the table", "back", inFlow, func(m model) (model, tea.Cmd) { return m.show(viewTable) }},
	}
}

// rowKeys are those of all views that list something.
func rowKeys() []binding {
	return []binding{
		{[]string{"c"}, "c", "copy it to the clipboard", "", copyable, onRows(model.copyRow)},
		{[]string{"c"}, "c", "copy the lowest line", "", inLog, model.copyRow},
		{[]string{"w"}, "w", "write rows: JSON or CSV", "", writable, onRows(model.startSave)},
	}
}

func listKeys() []binding {
	to := func(n int) func(model) (model, tea.Cmd) {
		return func(m model) (model, tea.Cmd) { return m.move(n) }
	}
	const end = 1 << 30
	return []binding{
		{[]string{"j", "down"}, "j ↓", "down", "", everywhere, to(1)},
		{[]string{"k", "up"}, "k ↑", "up", "", everywhere, to(-1)},
		{[]string{"pgdown", " ", "ctrl+d"}, "Space PgDn", "a page down", "", everywhere, func(m model) (model, tea.Cmd) { return m.move(m.pageSize()) }},
		{[]string{"pgup", "ctrl+u"}, "PgUp", "a page up", "", everywhere, func(m model) (model, tea.Cmd) { return m.move(-m.pageSize()) }},
		{[]string{"g", "home"}, "g", "to the beginning", "", everywhere, to(-end)},
		{[]string{"G", "end"}, "G", "to the end", "", everywhere, to(end)},
	}
}

func generalKeys() []binding {
	list := []binding{
		{[]string{"tab"}, "1-7 Tab", "views", "views", everywhere, func(m model) (model, tea.Cmd) { return m.show((m.view + 1) % views) }},
		{[]string{"shift+tab"}, "", "", "", everywhere, func(m model) (model, tea.Cmd) { return m.show((m.view + views - 1) % views) }},
		{[]string{"p"}, "p", "pause: nothing moves", "pause", everywhere, model.pause},
		{[]string{"n"}, "n", "port names or numbers", "", everywhere, model.toggleNames},
		{[]string{"u"}, "u", "bytes, bits, exact", "", everywhere, func(m model) (model, tea.Cmd) {
			m.units = (m.units + 1) % unitKinds
			return m.say("amounts are " + m.units.String()), nil
		}},
		{[]string{":"}, ":", "commit, flush, resync, …", "command", mayWrite, model.startCommand},
		{[]string{"?", "f1"}, "?", "help", "help", everywhere, func(m model) (model, tea.Cmd) { m.help, m.helpTop = true, 0; return m, nil }},
		{[]string{"q", "ctrl+c"}, "q", "quit", "quit", everywhere, func(m model) (model, tea.Cmd) { return m, tea.Sequence(m.close(), tea.Quit) }},
	}
	for v := range views {
		list = append(list, binding{keys: []string{string(rune('1' + v))}, in: everywhere, do: func(m model) (model, tea.Cmd) { return m.show(v) }})
	}
	return list
}

// key does what a key is bound to. Keys that arrive together, from a slow line or a fast finger, come as one message.
func (m model) key(k tea.KeyMsg) (tea.Model, tea.Cmd) {
	if k.Type == tea.KeyRunes && len(k.Runes) > 1 && !k.Paste {
		var next tea.Model = m
		cmds := make([]tea.Cmd, len(k.Runes))
		for i, r := range k.Runes {
			one := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt}
			if r == ' ' {
				one.Type = tea.KeySpace
			}
			next, cmds[i] = next.(model).oneKey(one)
		}
		return next, tea.Batch(cmds...)
	}
	return m.oneKey(k)
}

func (m model) oneKey(k tea.KeyMsg) (tea.Model, tea.Cmd) {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return m, tea.Sequence(m.close(), tea.Quit)
	case m.line.kind != lineNone:
		return m.lineKey(k)
	case m.help && m.helpKey(name):
		return m.helpMoved(name), nil
	}
	if k.Paste {
		return m, nil // a paste is text, not commands
	}
	for i := range bindings {
		b := &bindings[i]
		for _, n := range b.keys {
			if n == name && b.in(&m) {
				return b.do(m)
			}
		}
	}
	return m, nil
}

// hints is the bottom line: the keys that matter here, as many as fit, help and the end always.
func (m model) hints() string {
	var parts []string
	hint := func(name, what string) {
		parts = append(parts, m.look.in(accent, name)+m.look.in(faint, " "+what))
	}
	if m.help {
		hint("j k Space", "scroll")
		hint("Esc", "close help")
		return " " + strings.Join(parts, "  ")
	}
	for _, b := range bindings {
		if b.hint != "" && b.in(&m) {
			name, _, _ := strings.Cut(b.name, " ")
			hint(name, b.hint)
		}
	}
	for len(parts) > 2 && width(strings.Join(parts, "  "))+1 > m.width {
		parts = append(parts[:len(parts)-3], parts[len(parts)-2:]...)
	}
	return " " + strings.Join(parts, "  ")
}

// keyName spells a key for terminals without arrows.
func keyName(l look, name string) string {
	if !l.ascii {
		return name
	}
	return strings.TrimSpace(strings.NewReplacer("↓", "", "↑", "", "→", "", "←", "", "…", "...").Replace(name))
}

// move goes through what the view lists.
func (m model) move(n int) (model, tea.Cmd) {
	switch m.view {
	case viewTable:
		m.table.list.cursor += n
		return m.settled().refill()
	case viewExpect:
		m.expect.list = m.expect.list.move(n, m.expectHeight())
	case viewTransitions:
		m.transitions.list = m.transitions.list.move(n, m.transitionHeight())
	case viewFlow:
		m.watch.top = scroll(m.watch.top, n, len(m.flowLines()), m.bodyHeight())
	case viewOverview:
		m.overviewTop = scroll(m.overviewTop, n, len(m.overview()), m.bodyHeight())
	case viewLinks:
		m.linksTop = scroll(m.linksTop, n, len(m.linksBody()), m.bodyHeight())
	case viewLog:
		m.log = m.log.scrolled(n, len(m.logLines()), m.logHeight())
	}
	return m, nil
}

// pageSize is how far a page goes.
func (m model) pageSize() int {
	switch m.view {
	case viewTable:
		return m.tableHeight()
	case viewExpect:
		return m.expectHeight()
	case viewTransitions:
		return m.transitionHeight()
	}
	return m.bodyHeight()
}

// scroll moves the first visible one of lines.
func scroll(top, n, lines, height int) int { return max(min(top+n, lines-height), 0) }
