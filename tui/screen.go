package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// screen is one view: what it asks the daemon for, what it draws in the body, and what its keys do. Only Bubble Tea's
// goroutine uses a screen. The commands that it returns run in other goroutines and must not touch it.
type screen interface {
	name() string    // on the tab
	keys() []binding // asked for once
	help() []string  // lines that help shows below the keys

	// beat asks the daemon for what is due.
	beat() tea.Cmd
	// unread reports whether the answer to the user's last question is still missing. A pause does not stop that
	// question.
	unread() bool
	// paces are the pacers of all its questions.
	paces() []*pacer
	// take takes the answer to one of them.
	take(answer tea.Msg) tea.Cmd

	// body draws the lines between the tabs and the bottom line, from the first visible one. The frame cuts off what
	// does not fit.
	body() []string
	// settle adapts to a new size of the terminal or a new state of the daemon. The selected row stays selected and
	// visible.
	settle() tea.Cmd
	// move goes n rows down, or up if n is negative.
	move(n int) tea.Cmd
	// page is the number of rows in a page.
	page() int
	// wheel scrolls by n rows. The selection changes only if it would leave the visible rows.
	wheel(n int) tea.Cmd
	// click handles a click at column x of a line of the body.
	click(x, line int) tea.Cmd
}

// newScreens returns the views in the order of their tabs. A new view is a file of its own and a line here. followed is
// the one among them that the frame shows in its header.
func newScreens(m *monitor) (all []screen, followed *flowView) {
	table := &table{bare: bare{m}}
	table.flow = newFlowView(m, table)
	return []screen{
		newOverview(m),
		table,
		table.flow,
		&expectations{bare: bare{m}},
		newLinks(m),
		&transitions{bare: bare{m}},
		&logView{bare: bare{m}},
	}, table.flow
}

// bare is the part of a screen that has no keys, no help, no rows to settle and nothing to click.
type bare struct{ *monitor }

func (bare) keys() []binding        { return nil }
func (bare) help() []string         { return nil }
func (bare) settle() tea.Cmd        { return nil }
func (bare) click(_, _ int) tea.Cmd { return nil }

// silent is the part of a screen that asks nothing: it shows what the monitor knows anyway.
type silent struct{}

func (silent) beat() tea.Cmd        { return nil }
func (silent) unread() bool         { return false }
func (silent) paces() []*pacer      { return nil }
func (silent) take(tea.Msg) tea.Cmd { return nil }

// text is a screen of lines that scroll.
type text struct {
	bare
	title string
	lines func() []string
	top   int // the first visible line
}

func (t *text) name() string { return t.title }

func (t *text) body() []string {
	lines := t.lines()
	return lines[max(min(t.top, len(lines)-t.bodyHeight()), 0):]
}

func (t *text) move(n int) tea.Cmd {
	t.top = max(min(t.top+n, len(t.lines())-t.bodyHeight()), 0)
	return nil
}

func (t *text) page() int           { return t.bodyHeight() }
func (t *text) wheel(n int) tea.Cmd { return t.move(n) }

// silentText is a text that asks nothing.
type silentText struct {
	text
	silent
}
