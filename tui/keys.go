package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// binding is one key, what it does, and where. The help line is made of these.
type binding struct {
	keys []string
	help string
	in   func(model) bool // nil: everywhere
	do   func(model) (model, tea.Cmd)
}

func inTable(m model) bool { return m.view == viewTable }

var bindings []binding

func init() { // not a literal: the functions refer to the list
	bindings = []binding{
		{[]string{"tab", "right"}, "next view", nil, func(m model) (model, tea.Cmd) { return m.show((m.view + 1) % views) }},
		{[]string{"shift+tab", "left"}, "", nil, func(m model) (model, tea.Cmd) { return m.show((m.view + views - 1) % views) }},
		{[]string{"1"}, "", nil, func(m model) (model, tea.Cmd) { return m.show(viewOverview) }},
		{[]string{"2"}, "", nil, func(m model) (model, tea.Cmd) { return m.show(viewTable) }},
		{[]string{"3"}, "", nil, func(m model) (model, tea.Cmd) { return m.show(viewTransitions) }},
		{[]string{"t"}, "kernel/internal/external", inTable, func(m model) (model, tea.Cmd) {
			m.table = (m.table + 1) % len(tables)
			return m.move(-m.skip)
		}},
		{[]string{"j", "down"}, "down", inTable, func(m model) (model, tea.Cmd) { return m.move(1) }},
		{[]string{"k", "up"}, "up", inTable, func(m model) (model, tea.Cmd) { return m.move(-1) }},
		{[]string{"pgdown", " "}, "page", inTable, func(m model) (model, tea.Cmd) { return m.move(m.tableHeight()) }},
		{[]string{"pgup"}, "", inTable, func(m model) (model, tea.Cmd) { return m.move(-m.tableHeight()) }},
		{[]string{"g", "home"}, "top", inTable, func(m model) (model, tea.Cmd) { return m.move(-m.skip) }},
		{[]string{"p"}, "pause", nil, func(m model) (model, tea.Cmd) {
			m.paused = !m.paused
			return m, nil
		}},
		{[]string{"q", "esc", "ctrl+c"}, "quit", nil, func(m model) (model, tea.Cmd) { return m, tea.Quit }},
	}
}

func (m model) key(k string) (tea.Model, tea.Cmd) {
	for _, b := range bindings {
		for _, name := range b.keys {
			if name == k && (b.in == nil || b.in(m)) {
				return b.do(m)
			}
		}
	}
	return m, nil
}

func (m model) show(v view) (model, tea.Cmd) {
	m.view = v
	return m.askRows()
}

// move scrolls by n rows; past the end the daemon has no rows, so the last page stays.
func (m model) move(n int) (model, tea.Cmd) {
	if n > 0 && len(m.rows) < m.tableHeight() {
		return m, nil
	}
	m.skip = max(m.skip+n, 0)
	return m.askRows()
}

// help is the line of keys that work here.
func (m model) help() string {
	var parts []string
	for _, b := range bindings {
		if b.help != "" && (b.in == nil || b.in(m)) {
			name := b.keys[0]
			if name == "pgdown" {
				name = "space"
			}
			parts = append(parts, name+" "+b.help)
		}
	}
	return strings.Join(parts, " · ")
}
