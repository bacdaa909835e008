package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
)

func pressed(m model, names ...string) model {
	for _, n := range names {
		next, _ := m.key(keyNamed(n))
		m = next.(model)
	}
	return m
}

// TestHelpShowsWhatWorks compares help with what the keys do: what it lists works, and what is not listed does not.
func TestHelpShowsWhatWorks(t *testing.T) {
	for v := range views {
		m := sample()
		m.view = v
		text := ansi.Strip(strings.Join(m.helpLines(), "\n"))
		for i := range bindings {
			b := &bindings[i]
			if b.help == "" {
				continue
			}
			listed := strings.Contains(text, b.name+" ") && strings.Contains(text, b.help)
			if listed != b.in(&m) {
				t.Errorf("%s: help lists %q %q: %v, it works: %v", viewNames[v], b.name, b.help, listed, b.in(&m))
			}
		}
	}
}

// TestHelpHidesWhatDoesNothing: no row, nothing to open, follow, copy, write or keep; no order, nothing to reverse.
func TestHelpHidesWhatDoesNothing(t *testing.T) {
	works := func(m model) (keys string) {
		for i := range bindings {
			if b := &bindings[i]; b.in(&m) && strings.Contains(" Enter f c w o S ", " "+b.name+" ") {
				keys += b.name
			}
		}
		return keys
	}
	kernel := sample()
	kernel.view, kernel.table.source = viewTable, 2
	sortedRows := sample()
	sortedRows.view, sortedRows.table.order = viewTable, order{by: "source"}
	noGroups := sample()
	noGroups.view, noGroups.table.group, noGroups.table.rows = viewTable, "source", nil
	noExpectations := sample()
	noExpectations.view = viewExpect
	for _, r := range []struct {
		name, want string
		m          model
	}{
		{"empty table", "", scenes()["empty"]}, {"no groups", "S", noGroups}, {"no expectations", "", noExpectations},
		{"table", "Enterofcw", scenes()["table"]}, {"sorted", "EnterSofcw", sortedRows}, {"kernel", "Enterfcw", kernel},
		{"groups", "EnterSw", scenes()["groups"]}, {"log", "cw", scenes()["log"]}, {"flow", "fc", scenes()["flow"]}, {"overview", "", sample()},
	} {
		if got := works(r.m); got != r.want {
			t.Errorf("%s: %s work, want %s", r.name, got, r.want)
		}
	}
}

// TestBindings: a key does one thing in a place, and has no binding without a way to learn of it.
func TestBindings(t *testing.T) {
	for name, m := range scenes() {
		seen := map[string]string{}
		for i := range bindings {
			b := &bindings[i]
			if !b.in(&m) {
				continue
			}
			for _, k := range b.keys {
				if was, twice := seen[k]; twice {
					t.Errorf("%s: %s does %q and %q", name, k, was, b.help)
				}
				seen[k] = b.help
			}
		}
	}
	for i := range bindings {
		if b := &bindings[i]; b.help == "" && b.name != "" || b.do == nil {
			t.Errorf("binding %v is incomplete", b.keys)
		}
	}
}

// TestEveryKeyEverywhere presses every bound key in every scene: nothing panics and every frame fits.
func TestEveryKeyEverywhere(t *testing.T) {
	for name, m := range scenes() {
		for i := range bindings {
			for _, k := range bindings[i].keys {
				next, _ := m.key(keyNamed(k))
				n := next.(model)
				check(t, name+" after "+k, n)
				n.width, n.height = 30, 7
				check(t, name+" after "+k, n.resized())
			}
		}
	}
}

func TestViewKeys(t *testing.T) {
	m := sample()
	for _, r := range []struct {
		keys string
		want view
	}{
		{"tab", viewTable}, {"shift+tab", viewLog}, {"5", viewLinks}, {"7 tab", viewOverview}, {"6 1", viewOverview}, {"? 2", viewTable},
	} {
		if got := pressed(m, strings.Fields(r.keys)...); got.view != r.want || got.help {
			t.Errorf("%s shows %s", r.keys, viewNames[got.view])
		}
	}
	if got := pressed(m, "?", "j", "q"); got.help || got.view != m.view {
		t.Error("q does not close help")
	}
	if got := pressed(m, "p"); !got.paused || pressed(got, "p").paused {
		t.Error("p does not pause and go on")
	}
	if got := pressed(m, "u", "u", "u"); got.units != m.units {
		t.Error("u does not come round")
	}
	for _, k := range []string{"q", "ctrl+c"} {
		if _, cmd := m.key(keyNamed(k)); cmd == nil {
			t.Errorf("%s does not quit", k)
		}
	}
	if got := pressed(m, ":"); got.line.kind != lineNone {
		t.Error("there is a command line without --write")
	}
}

// TestPausedAsksNothing keeps what is shown, whatever time it is.
func TestPausedAsksNothing(t *testing.T) {
	m := pressed(sample(), "2", "p")
	m.state.pace.serial, m.table.pace = 1, pacer{}
	m.now = m.now.Add(beat * 100)
	if after, _ := m.beat(); after.state.pace.busy || after.table.pace.busy || after.watch.pace.busy {
		t.Error("the daemon is asked while paused")
	}
	m.paused = false
	if after, _ := m.beat(); !after.state.pace.busy || !after.table.pace.busy {
		t.Error("the daemon is not asked")
	}
}

// TestPausedTime: ages stand still with what they are of, on the screen and in a file.
func TestPausedTime(t *testing.T) {
	for v := range views {
		m := sampleExpecting(sample())
		m.view, m.width = v, 130
		m = pressed(m, "p")
		was := m.still().body()
		m.now = m.now.Add(time.Hour)
		if d := cmp.Diff(was, m.still().body()); d != "" {
			t.Errorf("%s moves while paused:\n%s", viewNames[v], d)
		}
	}
	m := pressed(sample(), "2", "p")
	var was, is strings.Builder
	e := m.export()
	_ = e.writeCSV(&was)
	m.now = m.now.Add(time.Hour)
	e = m.export()
	if _ = e.writeCSV(&is); was.String() != is.String() {
		t.Error("ages are written that are not on the screen")
	}
}

// TestPausedViews asks for a view that was never read, and for nothing else; also after an operation.
func TestPausedViews(t *testing.T) {
	m := pressed(sampleExpecting(sample()), "p")
	m.log.read = time.Time{}
	for v := range views {
		m, _ := m.show(v)
		next, _ := m.takeAction(actionMsg{})
		m = next.(model)
		asked := slices.ContainsFunc(m.paces(), func(p *pacer) bool { return p.busy })
		if asked != (v == viewLog) {
			t.Errorf("%s: the daemon is asked: %v", viewNames[v], asked)
		}
	}
	unseen := pressed(sample(), "3")
	unseen.watch.read = time.Time{}
	unseen = pressed(unseen, "p")
	if unseen, _ = unseen.beat(); !unseen.watch.pace.busy {
		t.Error("a flow that was never looked at is not looked at")
	}
	m = pressed(m, "2", "s") // what the user asks for
	m.now = m.now.Add(beat)
	if m, _ = m.beat(); !m.table.pace.busy {
		t.Error("the new order is not asked for")
	}
}

// TestPausedInFlight gives up what is under way: its answer would move what is shown.
func TestPausedInFlight(t *testing.T) {
	m := pressed(sample(), "2")
	if !m.table.pace.busy {
		t.Fatal("the table is not asked for")
	}
	if m = pressed(m, "p"); m.table.pace.busy {
		t.Error("the answer would be shown")
	}
}

// TestPausedEvents are counted, and shown afterwards.
func TestPausedEvents(t *testing.T) {
	m := sample()
	m.view = viewFlow
	m = pressed(m, "p")
	was := len(m.watch.history)
	f, at := sampleFlow(0), noon
	j := f.JSON()
	for range 2 * maxHistory {
		next, _ := m.takeWatched(watchMsg{serial: m.watch.serial, stream: &eventStream{}, event: control.EventJSON{Event: "update", At: &at, JSON: &j}})
		m = next.(model)
	}
	if len(m.watch.history) != was || len(m.watch.held) != maxHistory {
		t.Errorf("%d moments are shown, %d held", len(m.watch.history), len(m.watch.held))
	}
	if text := strings.Join(m.still().body(), "\n"); !strings.Contains(ansi.Strip(text), "500 more since the pause: p shows them") {
		t.Errorf("they are not counted:\n%s", text)
	}
	if m = pressed(m, "p"); len(m.watch.history) != maxHistory || m.watch.held != nil {
		t.Errorf("%d moments after the pause", len(m.watch.history))
	}
}

// Keys that arrive together are all pressed, in a line as elsewhere.
func TestKeysThatArriveTogether(t *testing.T) {
	next, _ := sample().key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2jjjk")})
	if m := next.(model); m.view != viewTable || m.table.list.cursor != 2 {
		t.Errorf("view %v, row %d", m.view, m.table.list.cursor)
	}
	next, _ = sample().key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2/a b")})
	if m := next.(model); m.line.text != "a b" {
		t.Errorf("line %q", m.line.text)
	}
}

func TestPasteIsText(t *testing.T) {
	m := sample()
	paste := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true}
	if next, cmd := m.key(paste); cmd != nil || next.(model).view != m.view {
		t.Error("a paste is taken for a key")
	}
	m = pressed(m, "2", "/")
	paste.Runes = []rune("proto:tcp\ndport:443\x1b")
	next, _ := m.key(paste)
	if got := next.(model).line.text; got != "proto:tcp dport:443 " {
		t.Errorf("the line is %q", got)
	}
}

func TestMouse(t *testing.T) {
	press := func(m model, b tea.MouseButton, x, y int) model {
		next, _ := m.mouse(tea.MouseMsg{Button: b, Action: tea.MouseActionPress, X: x, Y: y})
		return next.(model)
	}
	left := tea.MouseButtonLeft
	m := sample()
	at := func(m model, text string) (x, y int) {
		t.Helper()
		for y, line := range strings.Split(ansi.Strip(m.View()), "\n") {
			if i := strings.Index(line, text); i >= 0 {
				return ansi.StringWidth(line[:i]), y
			}
		}
		t.Fatalf("no %q on the screen", text)
		return
	}
	for _, w := range []int{80, 40} {
		m.width = w
		for v := range views {
			x := strings.Index(strings.Split(ansi.Strip(m.View()), "\n")[1], string(rune('1'+v)))
			if got := press(m, left, x, 1); got.view != v {
				t.Errorf("at %d columns a click on %s shows %s", w, viewNames[v], viewNames[got.view])
			}
		}
	}
	m.width, m.view = 80, viewTable
	x, y := at(m, "10.1.3.3:1027")
	m = press(m, left, x, y)
	if r, _ := m.table.chosen(); r.flow.Orig != sampleFlow(3).Orig {
		t.Errorf("a click selects %v", r.flow.Orig)
	}
	if got := press(m, left, x, y); got.view != viewFlow {
		t.Error("a second click does not open the flow")
	}
	x, y = at(m, "DESTINATION")
	if got := press(m, left, x+2, y); got.table.order.by != "destination" {
		t.Errorf("a click on a column sorts by %q", got.table.order.by)
	}
	x, y = at(m, "kernel")
	if got := press(m, left, x, y); got.table.source != 2 {
		t.Errorf("a click on a table shows %s", got.table.from().name)
	}
	for range 3 {
		m = press(m, tea.MouseButtonWheelDown, 0, 10)
	}
	if m.table.list.top != 3*wheelRows || m.table.list.cursor < m.table.list.top {
		t.Errorf("three turns of the wheel: %+v", m.table.list)
	}
	for range 9 {
		m = press(m, tea.MouseButtonWheelUp, 0, 10)
	}
	if m.table.list.top != 0 {
		t.Errorf("back by the wheel: %+v", m.table.list)
	}
	m.view = viewTransitions
	if got := press(m, left, 5, bodyTop+2); got.transitions.list.cursor != 1 {
		t.Errorf("a click selects transition %d", got.transitions.list.cursor)
	}
}
