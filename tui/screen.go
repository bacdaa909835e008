package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// screen is one of the views: what it reads from the daemon, what it draws in the body, and what its keys do. A screen
// belongs to one goroutine, Bubble Tea's; the commands it returns run in others and must not touch it.
type screen interface {
	name() string // on the tab
	keys() []binding
	help() []string // lines of help beside the keys

	// beat asks the daemon for what is due.
	beat() tea.Cmd
	// unread reports whether the screen still waits for an answer without which it has nothing to show, or shows the answer
	// to another question than the user's last one. A pause does not stop that question.
	unread() bool
	// take takes an answer in, unless it is another screen's.
	take(msg tea.Msg) (cmd tea.Cmd, mine bool)
	// paces are those of all its questions.
	paces() []*pacer

	// body draws the lines between tabs and bottom line: those that are visible first. More lines than fit are cut off.
	body() []string
	// settle is called when the terminal's size or the daemon's state has changed: what was selected stays selected and visible.
	settle() tea.Cmd
	// move goes n rows down, or up if n is negative; page is how many rows a page has.
	move(n int) tea.Cmd
	page() int
	// wheel scrolls by n rows without changing the selection, as long as that stays visible.
	wheel(n int) tea.Cmd
	// click is a click at column x of a line of the body.
	click(x, line int) tea.Cmd
}

// newScreens returns the views in the order of their tabs, and the flow that the frame shows as followed. A new view is a
// file and a line here.
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

// bare is a screen without what only some have.
type bare struct{ *monitor }

func (bare) keys() []binding        { return nil }
func (bare) help() []string         { return nil }
func (bare) settle() tea.Cmd        { return nil }
func (bare) click(_, _ int) tea.Cmd { return nil }

// silent is a screen that asks the daemon for nothing: it shows what the monitor knows anyway.
type silent struct{}

func (silent) beat() tea.Cmd                { return nil }
func (silent) unread() bool                 { return false }
func (silent) take(tea.Msg) (tea.Cmd, bool) { return nil, false }
func (silent) paces() []*pacer              { return nil }

// text is a screen of lines through which one scrolls.
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

// silentText is a text that needs no questions of its own.
type silentText struct {
	text
	silent
}
