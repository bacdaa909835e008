package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// view is one of the screens.
type view int

const (
	viewOverview view = iota
	viewTable
	viewFlow
	viewExpect
	viewLinks
	viewTransitions
	viewLog
	views
)

var viewNames = [views]string{"Overview", "Table", "Flow", "Expectations", "Links", "Transitions", "Log"}

// model is everything that View shows.
type model struct {
	client *control.Client
	opt    Options
	look   look
	host   string    // whose daemon this is
	out    *terminal // for the clipboard; nil where there is none

	width, height int
	now           time.Time // of the last beat
	view          view
	help          bool
	helpTop       int
	paused        bool
	pausedAt      time.Time
	names         bool // ports by their names
	services      services
	units         units
	note          note
	line          line

	state       state
	table       table
	watch       watch
	expect      expectView
	overviewTop int
	linksTop    int
	transitions transitionView
	log         logView
	resend      resendView
	action      action
}

// note is a short word to the user in the bottom line.
type note struct {
	text  string
	bad   bool
	until time.Time
}

// noteTime is how long a note stays.
const noteTime = 6 * time.Second

func newModel(c *control.Client, opt Options) model {
	return model{client: c, opt: opt, look: look{colour: !opt.NoColor}, width: 80, height: 24, now: time.Now()}
}

type tickMsg time.Time

func tick() tea.Cmd { return tea.Tick(beat, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Init asks at once.
func (m model) Init() tea.Cmd {
	return tea.Batch(tick(), func() tea.Msg { return tickMsg(time.Now()) })
}

// Update takes in a message.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m = m.resized()
		return m.refill()
	case tea.KeyMsg:
		return m.key(msg)
	case tea.MouseMsg:
		return m.mouse(msg)
	case tickMsg:
		// The first beat comes from Init and the ticker's in addition; only the ticker goes on.
		first := m.state.pace.serial == 0
		m.now = time.Time(msg)
		m, cmd := m.beat()
		if first {
			return m, cmd
		}
		return m, tea.Batch(cmd, tick())
	case noteMsg:
		m.note = note{text: msg.text, bad: msg.bad, until: m.now.Add(noteTime)}
		return m, nil
	case servicesMsg:
		return m.takeServices(msg), nil
	case watchMsg:
		return m.takeWatched(msg)
	case actionMsg:
		return m.takeAction(msg)
	}
	return m.takeAnswer(msg)
}

// takeAnswer takes in an answer of the daemon.
func (m model) takeAnswer(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case answer[control.Snapshot]:
		return m.takeState(msg)
	case answer[page]:
		return m.takePage(msg)
	case answer[control.Groups]:
		return m.takeGroups(msg)
	case answer[differences]:
		return m.takeDifferences(msg)
	case answer[matches]:
		return m.takeMatches(msg), nil
	case answer[sighting]:
		return m.takeSighting(msg), nil
	case answer[[]expectRow]:
		return m.takeExpectations(msg), nil
	case answer[[]control.Transition]:
		return m.takeTransitions(msg), nil
	case answer[control.LogPage]:
		return m.takeLog(msg), nil
	case answer[[]control.Resend]:
		return m.takeResend(msg), nil
	}
	return m, nil
}

// beat asks for what is due.
func (m model) beat() (model, tea.Cmd) {
	var cmds []tea.Cmd
	if (!m.paused || !m.state.known()) && m.state.pace.ready(m.now) {
		cmds = append(cmds, ask(&m.state.pace, m.now, stateTimeout, m.client.Snapshot))
	}
	if m.watch.on && (!m.paused || m.watch.read.IsZero()) {
		var cmd tea.Cmd
		m, cmd = m.watchBeat()
		cmds = append(cmds, cmd)
	}
	m, cmd := m.viewBeat()
	return m, tea.Batch(append(cmds, cmd)...)
}

// viewBeat asks for what the view shows, if it is due.
func (m model) viewBeat() (model, tea.Cmd) {
	if m.paused && !m.unread() {
		return m, nil
	}
	switch m.view {
	case viewTable:
		return m.tableBeat()
	case viewExpect:
		return m.expectBeat()
	case viewLinks:
		return m.resendBeat()
	case viewTransitions:
		return m.transitionBeat()
	case viewLog:
		return m.logBeat()
	}
	return m, nil
}

// unread reports whether the view waits for an answer without which it has nothing to show, or not what the user asked for.
func (m *model) unread() bool {
	switch m.view {
	case viewTable:
		return m.table.read.IsZero() || m.table.stale
	case viewFlow:
		return m.watch.on && m.watch.read.IsZero()
	case viewExpect:
		return m.expect.read.IsZero()
	case viewLinks:
		return m.resend.read.IsZero()
	case viewTransitions:
		return m.transitions.read.IsZero()
	case viewLog:
		return m.log.read.IsZero()
	}
	return false
}

// pause lets nothing move, or go on with what happened meanwhile. What is under way would move what is shown.
func (m model) pause() (model, tea.Cmd) {
	m.paused = !m.paused
	if !m.paused {
		m.watch = m.watch.resumed()
		return m, nil
	}
	m.pausedAt = m.now
	if !m.unread() {
		for _, p := range m.paces() {
			p.drop()
		}
	}
	return m, nil
}

// still is the model at the time of what it shows: a pause stops ages too.
func (m model) still() model {
	if m.paused {
		m.now = m.pausedAt
	}
	return m
}

// paces are of all that the daemon is asked for.
func (m *model) paces() []*pacer {
	return []*pacer{
		&m.state.pace, &m.table.pace, &m.table.counter, &m.watch.pace, &m.expect.pace, &m.transitions.pace, &m.log.pace, &m.resend.pace,
	}
}

// show changes the view. What the view shows is asked for at once.
func (m model) show(v view) (model, tea.Cmd) {
	m.view, m.help = v, false
	if r, ok := m.table.chosen(); ok && v == viewFlow && !m.watch.on {
		return m.startWatch(&r)
	}
	return m.viewBeat()
}

// resized makes lists fit after a change of the terminal's size: what was selected stays selected and visible.
func (m model) resized() model {
	m = m.settled()
	m.expect.list = m.expect.list.settled(m.expectHeight())
	m.transitions.list = m.transitions.list.settled(m.transitionHeight())
	return m
}

// say leaves a note.
func (m model) say(text string) model {
	m.note = note{text: text, until: m.now.Add(noteTime)}
	return m
}

// complain leaves a note that something did not work.
func (m model) complain(text string) model {
	m.note = note{text: text, bad: true, until: m.now.Add(noteTime)}
	return m
}
