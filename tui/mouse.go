package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// wheelRows is how far a turn of the wheel goes.
const wheelRows = 3

// bodyTop is the line of the screen at which the body begins.
const bodyTop = 2

// mouse scrolls by the wheel and does by a click what the thing under it stands for.
func (m model) mouse(e tea.MouseMsg) (tea.Model, tea.Cmd) {
	if e.Action != tea.MouseActionPress || m.line.kind != lineNone {
		return m, nil
	}
	switch e.Button {
	case tea.MouseButtonWheelUp:
		return m.wheel(-wheelRows)
	case tea.MouseButtonWheelDown:
		return m.wheel(wheelRows)
	case tea.MouseButtonLeft:
	default:
		return m, nil
	}
	if e.Y == 1 && m.height >= 4 {
		if v, ok := m.viewAt(e.X); ok {
			return m.show(v)
		}
		return m, nil
	}
	line := e.Y - bodyTop
	if m.help || line < 0 || line >= m.bodyHeight() {
		m.help = false
		return m, nil
	}
	switch m.view {
	case viewTable:
		return m.clickTable(e.X, line)
	case viewTransitions:
		at := line - len(m.failure(m.transitions.err)) - 1
		if n := m.transitions.list.top + at; at >= 0 && at < m.transitionHeight() && n < m.transitions.list.total {
			m.transitions.list.cursor = n
		}
	case viewExpect:
		g := m.expectGrid()
		if n := m.expect.list.top + (line-m.expectHead())/g.height(); line >= m.expectHead() && n < m.expect.list.total {
			m.expect.list.cursor = n
		}
	}
	return m, nil
}

// wheel scrolls without changing what is selected, as long as that stays visible.
func (m model) wheel(n int) (model, tea.Cmd) {
	switch {
	case m.help:
		m.helpTop = scroll(m.helpTop, n, len(m.helpLines()), m.bodyHeight())
	case m.view == viewTable && !m.table.kept:
		m.table.list = m.table.list.scrolled(n, m.tableHeight())
		return m.refill()
	default:
		return m.move(n)
	}
	return m, nil
}

// clickTable chooses a table, an order or a row; a click on the selected row opens it.
func (m model) clickTable(x, line int) (model, tea.Cmd) {
	g := m.tableGrid()
	switch {
	case line == 0 && m.width >= sourceWidth():
		at := 1
		for i, s := range sources {
			if w := len(s.name) + 2; x >= at && x < at+w {
				return m.showSource(i)
			} else {
				at += w + 1
			}
		}
	case line == m.table.head()-1:
		if i := g.at(x); i >= 0 && g.columns[i].sort != "" {
			o := order{by: g.columns[i].sort, desc: largestFirst[g.columns[i].sort]}
			if was := m.table.sorting(); was.by == o.by {
				o.desc = !was.desc
			}
			return m.sortBy(o)
		}
	case line >= m.table.head():
		place := m.table.list.top + (line-m.table.head())/g.height()
		switch {
		case place >= m.table.list.total:
		case place != m.table.list.cursor:
			m.table.list.cursor = place
		case m.table.group != "":
			return onRows(model.openGroup)(m)
		default:
			return onRows(model.openFlow)(m)
		}
	}
	return m, nil
}
