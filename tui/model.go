package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// model is what Bubble Tea runs: the frame around the views, with help in front of them.
type model struct {
	monitor
	followed *flowView
	action   action
	write    bool // the user may give commands

	helping bool // help is shown instead of the view
	help    silentText
	keys    map[screen][]binding // of a view
	general []binding            // of all
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

// Init asks at once.
func (m *model) Init() tea.Cmd {
	return tea.Batch(tick(), func() tea.Msg { return tickMsg(time.Now()) })
}

// Update takes a message in. The model changes in place: Bubble Tea has drawn the last frame by then.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) { return m, m.take(msg) }

func (m *model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m.settle()
	case tea.KeyMsg:
		return m.key(msg)
	case tea.MouseMsg:
		return m.mouse(msg)
	case tickMsg:
		// Init sends the first beat beside the ticker's, and only the ticker goes on.
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
	case answer[control.Snapshot]:
		return m.takeState(msg)
	}
	for _, s := range m.screens {
		if cmd, mine := s.take(msg); mine {
			return cmd
		}
	}
	return nil
}

// takeState takes in what the daemon does now. How long a table is depends on that.
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

// settle makes every view fit the terminal and the daemon's state.
func (m *model) settle() tea.Cmd {
	if m.prompt != nil {
		m.prompt.fit(m.width)
	}
	cmds := make([]tea.Cmd, len(m.screens))
	for i, s := range m.screens {
		cmds[i] = s.settle()
	}
	return tea.Batch(cmds...)
}

// beat asks for what is due: the state, the view, and the flow that is followed while another view is shown.
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

// pause stops everything that moves, or lets it go on with what happened meanwhile. The answers that are under way would
// move what is shown: they are given up.
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

// to goes to a view. That of a flow opens the one that is selected in the table.
func (m *model) to(s screen) tea.Cmd {
	m.helping = false
	if s == screen(m.followed) && !m.followed.on {
		return m.followed.openSelected()
	}
	return m.show(s)
}

// front is what keys scroll: help if it is open, else the view.
func (m *model) front() screen {
	if m.helping {
		return &m.help
	}
	return m.shown
}
