// Package tui shows the daemon through the control client: what this router is, whether the pair is in step, the flow
// tables, and what happened at the last failovers.
//
// Update does no input or output: it returns commands, whose answers come back as messages. View is a pure function of
// the model. The daemon pages and sorts; the model holds only what is visible.
package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// refresh is how often the daemon is asked.
const refresh = time.Second

// askTimeout bounds one question; a daemon that does not answer is shown as away.
const askTimeout = 2 * time.Second

// Run shows the monitor until the user quits.
func Run(ctx context.Context, client *control.Client) error {
	_, err := tea.NewProgram(newModel(client), tea.WithContext(ctx), tea.WithAltScreen()).Run()
	return err
}

// view is one of the screens.
type view int

const (
	viewOverview view = iota
	viewTable
	viewTransitions
	views
)

var viewNames = [views]string{"Overview", "Table", "Transitions"}

// tables are what the table view cycles through. The kernel's is read only when the user asks for it, because each read
// walks the whole of it.
var tables = []control.Table{control.TableInternal, control.TableExternal, control.TableKernel}

// model is everything that View shows.
type model struct {
	client        *control.Client
	width, height int
	view          view
	paused        bool

	status      control.Status
	statistics  control.Statistics
	before      control.Statistics // one refresh earlier, for rates
	transitions []control.Transition
	answered    time.Time // when the daemon last answered
	between     time.Duration
	err         error

	table  int // index in tables
	skip   int // flows above the first visible one
	rows   []string
	asking bool // a question for rows is under way
}

func newModel(c *control.Client) model { return model{client: c, width: 80, height: 24} }

// Messages.
type (
	tickMsg  time.Time
	stateMsg struct {
		at          time.Time
		status      control.Status
		statistics  control.Statistics
		transitions []control.Transition
		err         error
	}
	rowsMsg struct {
		table, skip int
		rows        []string
		err         error
	}
)

// Init asks at once.
func (m model) Init() tea.Cmd { return tea.Batch(m.ask(), tick()) }

func tick() tea.Cmd { return tea.Tick(refresh, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update takes in a message.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m.askRows()
	case tea.KeyMsg:
		return m.key(msg.String())
	case tickMsg:
		if m.paused {
			return m, tick()
		}
		if tables[m.table] == control.TableKernel {
			return m, tea.Batch(m.ask(), tick())
		}
		m, cmd := m.askRows()
		return m, tea.Batch(m.ask(), cmd, tick())
	case stateMsg:
		return m.take(msg), nil
	case rowsMsg:
		m.asking = false
		if msg.err == nil && msg.table == m.table && msg.skip == m.skip {
			m.rows = msg.rows
		}
		if msg.table != m.table || msg.skip != m.skip {
			return m.askRows() // the user moved on meanwhile
		}
	}
	return m, nil
}

// take stores an answer; a missing one leaves the old data, whose age is then shown.
func (m model) take(msg stateMsg) model {
	m.err = msg.err
	if msg.err != nil {
		return m
	}
	m.before, m.between = m.statistics, msg.at.Sub(m.answered)
	if m.answered.IsZero() {
		m.before = msg.statistics
	}
	m.status, m.statistics, m.transitions, m.answered = msg.status, msg.statistics, msg.transitions, msg.at
	return m
}

// ask returns the command that asks for everything but rows.
func (m model) ask() tea.Cmd {
	client := m.client
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		var s stateMsg
		if s.status, s.err = client.Status(ctx); s.err == nil {
			s.statistics, s.err = client.Statistics(ctx)
		}
		if s.err == nil {
			s.transitions, s.err = client.Transitions(ctx)
		}
		s.at = time.Now()
		return s
	}
}

// askRows asks for the visible rows of the table, one question at a time.
func (m model) askRows() (model, tea.Cmd) {
	if m.view != viewTable || m.asking {
		return m, nil
	}
	m.asking = true
	q := control.FlowQuery{Table: tables[m.table], Skip: m.skip, Limit: max(m.tableHeight(), 1)}
	client, table, skip := m.client, m.table, m.skip
	return m, func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		rows, err := readRows(ctx, client, q)
		return rowsMsg{table: table, skip: skip, rows: rows, err: err}
	}
}
