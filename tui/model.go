package tui

import (
	"context"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// model is the Bubble Tea model: the frame around the views, with help in front of them.
type model struct {
	monitor
	followed *flowView
	action   action
	write    bool // Options.Write

	helping bool // help covers the view
	help    silentText
	keys    map[screen][]binding // of each view
	general []binding            // of all views
}

func newModel(ctx context.Context, c *control.Client, opt Options) *model {
	m := &model{write: opt.Write, monitor: monitor{
		ctx: ctx, client: c, look: look{colour: !opt.NoColor}, width: 80, height: 24, now: time.Now(),
	}}
	m.screens, m.followed = newScreens(&m.monitor)
	m.shown = m.screens[0]
	m.help = silentText{text: text{bare: bare{&m.monitor}, title: "Help", lines: m.helpLines}}
	m.keys, m.general = map[screen][]binding{}, m.generalKeys()
	for _, s := range m.screens {
		m.keys[s] = append(s.keys(), m.listKeys()...)
	}
	return m
}

type tickMsg time.Time

func tick() tea.Cmd { return tea.Tick(beat, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Init starts the ticker, and sends a first tick at once.
func (m *model) Init() tea.Cmd {
	return tea.Batch(tick(), func() tea.Msg { return tickMsg(time.Now()) })
}

// Update handles a message. The model changes in place: Bubble Tea never draws at the same time.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) { return m, m.take(msg) }

func (m *model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.prompt != nil {
			m.prompt.fit(m.width)
		}
		return m.settle()
	case tea.KeyMsg:
		return m.key(msg)
	case tea.MouseMsg:
		return m.mouse(msg)
	case tickMsg:
		// Init sends the first tick in addition to the ticker's. Only the ticker goes on.
		next := tick()
		if m.state.pace.serial == 0 {
			next = nil
		}
		m.now = time.Time(msg)
		return tea.Batch(m.beat(), next)
	case noteMsg:
		m.note = note{text: msg.text, bad: msg.bad, until: m.now.Add(noteTime)}
	case servicesMsg:
		m.takeServices(msg)
	case actionMsg:
		return m.takeAction(msg)
	case watchMsg:
		return m.followed.takeEvent(msg)
	case answer[control.Snapshot]:
		return m.takeState(msg)
	case interface{ pacer() *pacer }:
		for _, s := range m.screens {
			if slices.Contains(s.paces(), msg.pacer()) {
				return s.take(msg)
			}
		}
	}
	return nil
}

// takeState takes the daemon's state. The views settle because it says how long the tables are.
func (m *model) takeState(a answer[control.Snapshot]) tea.Cmd {
	was, known := m.state.Status.Role, m.state.known()
	if !m.state.take(a) {
		return nil
	}
	if role := m.state.Status.Role; known && role != was {
		m.followed.became(a.at, role)
	}
	return m.settle()
}

// settle adapts every view to the terminal and to the daemon's state.
func (m *model) settle() tea.Cmd {
	cmds := make([]tea.Cmd, len(m.screens))
	for i, s := range m.screens {
		cmds[i] = s.settle()
	}
	return tea.Batch(cmds...)
}

// beat asks for what is due: the state, the shown view, and the followed flow whatever view is shown.
func (m *model) beat() tea.Cmd {
	var cmds []tea.Cmd
	if (!m.paused || !m.state.known()) && m.state.pace.ready(m.now) {
		cmds = append(cmds, ask(m.ctx, &m.state.pace, m.now, stateTimeout, m.client.Snapshot))
	}
	cmds = append(cmds, m.refresh(m.shown))
	if m.shown != screen(m.followed) {
		cmds = append(cmds, m.refresh(m.followed))
	}
	return tea.Batch(cmds...)
}

// pause stops everything that moves, or lets it continue with what happened meanwhile. It cancels the requests under
// way, because their answers would still move something.
func (m *model) pause() tea.Cmd {
	m.paused = !m.paused
	if !m.paused {
		m.followed.resume()
		return nil
	}
	m.pausedAt = m.now
	if m.shown.unread() {
		return nil
	}
	m.state.pace.drop()
	for _, s := range m.screens {
		for _, p := range s.paces() {
			p.drop()
		}
	}
	return nil
}

// to goes to a view. The view of a flow opens the one that is selected in the table.
func (m *model) to(s screen) tea.Cmd {
	m.helping = false
	if s == screen(m.followed) && !m.followed.on {
		return m.followed.openSelected()
	}
	return m.show(s)
}

// front is what the keys scroll: help if it is open, otherwise the view.
func (m *model) front() screen {
	if m.helping {
		return &m.help
	}
	return m.shown
}
