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

// pressed returns m after some keys.
func pressed(m *model, names ...string) *model {
	for _, n := range names {
		m.key(keyNamed(n))
	}
	return m
}

// TestHelpShowsWhatWorks: help lists the keys that work, and no others.
func TestHelpShowsWhatWorks(t *testing.T) {
	for v := range views {
		m := sample()
		m.shown = m.screens[v]
		text := ansi.Strip(strings.Join(m.helpLines(), "\n"))
		for _, b := range m.bindings() {
			h := b.Help()
			if h.Desc == "" {
				continue
			}
			listed := strings.Contains(text, h.Key+" ") && strings.Contains(text, h.Desc)
			if listed != b.when() {
				t.Errorf("%s: help lists %q %q: %v, it works: %v", m.shown.name(), h.Key, h.Desc, listed, b.when())
			}
		}
	}
}

// TestHelpHidesWhatDoesNothing: no row, nothing to open, follow, copy, write or keep; no order, nothing to reverse.
func TestHelpHidesWhatDoesNothing(t *testing.T) {
	works := func(m *model) (keys string) {
		for _, b := range m.bindings() {
			if name := b.Help().Key; b.when() && strings.Contains(" Enter f c w o S ", " "+name+" ") {
				keys += name
			}
		}
		return keys
	}
	kernel := sample()
	kernel.shown, kernel.table().source = kernel.screens[viewTable], 2
	sortedRows := sample()
	sortedRows.shown, sortedRows.table().order = sortedRows.screens[viewTable], order{by: "source"}
	noGroups := sample()
	noGroups.shown, noGroups.table().group, noGroups.table().rows = noGroups.screens[viewTable], "source", nil
	noGroups.settle()
	noExpectations := sample()
	noExpectations.shown = noExpectations.screens[viewExpect]
	for _, r := range []struct {
		name, want string
		m          *model
	}{
		{"empty table", "", scene("empty")}, {"no groups", "S", noGroups}, {"no expectations", "", noExpectations},
		{"table", "Enterofcw", scene("table")}, {"sorted", "EnterSofcw", sortedRows}, {"kernel", "Enterfcw", kernel},
		{"groups", "EnterSw", scene("groups")}, {"log", "cw", scene("log")}, {"flow", "fc", scene("flow")},
		{"overview", "", sample()},
	} {
		if got := works(r.m); got != r.want {
			t.Errorf("%s: %s work, want %s", r.name, got, r.want)
		}
	}
}

// TestBindings: a key does one thing at a time, and its binding is complete.
func TestBindings(t *testing.T) {
	for name, build := range scenes() {
		m := build()
		seen := map[string]string{}
		for _, b := range m.bindings() {
			if b.do == nil || b.when == nil || (b.Help().Key == "") != (b.Help().Desc == "") {
				t.Errorf("%s: binding %v is incomplete", name, b.Keys())
			}
			if !b.when() {
				continue
			}
			for _, k := range b.Keys() {
				if was, twice := seen[k]; twice {
					t.Errorf("%s: %s does %q and %q", name, k, was, b.Help().Desc)
				}
				seen[k] = b.Help().Desc
			}
		}
	}
}

// TestEveryKeyEverywhere presses every bound key in every scene: nothing panics and every frame fits.
func TestEveryKeyEverywhere(t *testing.T) {
	for name, build := range scenes() {
		for _, b := range build().bindings() {
			for _, k := range b.Keys() {
				m := pressed(build(), k)
				check(t, name+" after "+k, m)
				m.take(tea.WindowSizeMsg{Width: 30, Height: 7})
				check(t, name+" after "+k, m)
			}
		}
	}
}

func TestViewKeys(t *testing.T) {
	for _, r := range []struct {
		keys string
		want int
	}{
		{"tab", viewTable}, {"shift+tab", viewLog}, {"5", viewLinks}, {"7 tab", viewOverview}, {"6 1", viewOverview},
		{"? 2", viewTable},
	} {
		if got := pressed(sample(), strings.Fields(r.keys)...); got.view() != r.want || got.helping {
			t.Errorf("%s shows %s", r.keys, got.shown.name())
		}
	}
	if got := pressed(sample(), "?", "j", "q"); got.helping || got.view() != viewOverview {
		t.Error("q does not close help")
	}
	if got := pressed(sample(), "p"); !got.paused || pressed(got, "p").paused {
		t.Error("p does not pause and go on")
	}
	if got := pressed(sample(), "u", "u", "u"); got.units != sample().units {
		t.Error("u does not come round")
	}
	for _, k := range []string{"q", "ctrl+c"} {
		if cmd := sample().key(keyNamed(k)); cmd == nil {
			t.Errorf("%s does not quit", k)
		}
	}
	if got := pressed(sample(), ":"); got.prompt != nil {
		t.Error("there is a command line without --write")
	}
}

// TestPausedAsksNothing however much time passes.
func TestPausedAsksNothing(t *testing.T) {
	m := pressed(sample(), "2", "p")
	m.state.pace.serial, m.table().pace = 1, pacer{}
	m.now = m.now.Add(beat * 100)
	if m.beat(); m.state.pace.busy || m.table().pace.busy || m.followed.pace.busy {
		t.Error("the daemon is asked while paused")
	}
	m.paused = false
	if m.beat(); !m.state.pace.busy || !m.table().pace.busy {
		t.Error("the daemon is not asked")
	}
}

// TestPausedTime: ages stand still, on the screen and in a file.
func TestPausedTime(t *testing.T) {
	for v := range views {
		m := sampleExpecting(sample())
		m.shown, m.width = m.screens[v], 130
		pressed(m, "p")
		was := m.body()
		m.now = m.now.Add(time.Hour)
		if d := cmp.Diff(was, m.body()); d != "" {
			t.Errorf("%s moves while paused:\n%s", m.shown.name(), d)
		}
	}
	m := pressed(sample(), "2", "p")
	var was, is strings.Builder
	e := m.table().visible()
	_ = e.writeCSV(&was)
	m.now = m.now.Add(time.Hour)
	e = m.table().visible()
	if _ = e.writeCSV(&is); was.String() != is.String() {
		t.Error("ages are written that are not on the screen")
	}
}

// TestPausedViews: only a view that was never read is asked for, also after an operation.
func TestPausedViews(t *testing.T) {
	paused := func() *model { return pressed(sampleExpecting(sample()), "p") }
	for v := range views {
		m := paused()
		m.log().read = time.Time{}
		m.to(m.screens[v])
		m.takeAction(actionMsg{ended: true})
		asked := slices.ContainsFunc(m.screens, func(s screen) bool {
			return slices.ContainsFunc(s.paces(), func(p *pacer) bool { return p.busy })
		})
		if asked != (v == viewLog) {
			t.Errorf("%s: the daemon is asked: %v", m.shown.name(), asked)
		}
	}
	unseen := pressed(sample(), "3")
	unseen.followed.read = time.Time{}
	pressed(unseen, "p")
	if unseen.beat(); !unseen.followed.pace.busy {
		t.Error("a flow that was never looked at is not looked at")
	}
	m := pressed(paused(), "2", "s") // what the user asks for
	m.now = m.now.Add(beat)
	if m.beat(); !m.table().pace.busy {
		t.Error("the new order is not asked for")
	}
}

// TestPausedInFlight cancels open questions: their answers would still move something.
func TestPausedInFlight(t *testing.T) {
	m := pressed(sample(), "2")
	if !m.table().pace.busy {
		t.Fatal("the table is not asked for")
	}
	if pressed(m, "p"); m.table().pace.busy {
		t.Error("the answer would be shown")
	}
}

// TestPausedEvents are counted, and shown afterwards.
func TestPausedEvents(t *testing.T) {
	m := scene("flow")
	pressed(m, "p")
	was := len(m.followed.history)
	f, at := sampleFlow(0), noon
	j := f.JSON()
	for range 2 * maxHistory {
		m.take(watchMsg{
			serial: m.followed.serial, stream: &eventStream{},
			event: control.EventJSON{Event: "update", At: &at, JSON: &j},
		})
	}
	if len(m.followed.history) != was || len(m.followed.held) != maxHistory {
		t.Errorf("%d moments are shown, %d held", len(m.followed.history), len(m.followed.held))
	}
	text := ansi.Strip(strings.Join(m.body(), "\n"))
	if !strings.Contains(text, "500 more since the pause: p shows them") {
		t.Errorf("they are not counted:\n%s", text)
	}
	if pressed(m, "p"); len(m.followed.history) != maxHistory || m.followed.held != nil {
		t.Errorf("%d moments after the pause", len(m.followed.history))
	}
}

// TestKeysThatArriveTogether handles each of them, also in a prompt.
func TestKeysThatArriveTogether(t *testing.T) {
	m := sample()
	m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2jjjk")})
	if m.view() != viewTable || m.table().list.cursor != 2 {
		t.Errorf("%s, row %d", m.shown.name(), m.table().list.cursor)
	}
	m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2/a b")})
	if _, text := m.typing(); text != "a b" {
		t.Errorf("line %q", text)
	}
}

func TestPasteIsText(t *testing.T) {
	m := sample()
	paste := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true}
	if cmd := m.key(paste); cmd != nil || m.view() != viewOverview {
		t.Error("a paste is taken for a key")
	}
	pressed(m, "2", "/")
	paste.Runes = []rune("proto:tcp\ndport:443\x1b")
	m.key(paste)
	if _, text := m.typing(); text != "proto:tcp dport:443" {
		t.Errorf("the line is %q", text)
	}
}

// clicked returns m after a mouse button at a place.
func clicked(m *model, b tea.MouseButton, x, y int) *model {
	m.mouse(tea.MouseMsg{Button: b, Action: tea.MouseActionPress, X: x, Y: y})
	return m
}

// clickedOn returns m after a click on a text, right columns after its start.
func clickedOn(t *testing.T, m *model, text string, right int) *model {
	t.Helper()
	for y, line := range strings.Split(ansi.Strip(m.View()), "\n") {
		if i := strings.Index(line, text); i >= 0 {
			return clicked(m, tea.MouseButtonLeft, ansi.StringWidth(line[:i])+right, y)
		}
	}
	t.Fatalf("no %q on the screen", text)
	return nil
}

func TestMouse(t *testing.T) {
	for _, w := range []int{80, 40} {
		for v := range views {
			m := sample()
			m.width = w
			x := strings.Index(strings.Split(ansi.Strip(m.View()), "\n")[1], string(rune('1'+v)))
			if clicked(m, tea.MouseButtonLeft, x, 1); m.view() != v {
				t.Errorf("at %d columns a click on %s shows %s", w, m.screens[v].name(), m.shown.name())
			}
		}
	}
	m := clickedOn(t, scene("table"), "10.1.3.3:1027", 0)
	if r, _ := m.table().chosen(); r.flow.Orig != sampleFlow(3).Orig {
		t.Errorf("a click selects %v", r.flow.Orig)
	}
	if clickedOn(t, m, "10.1.3.3:1027", 0); m.view() != viewFlow {
		t.Error("a second click does not open the flow")
	}
	if got := clickedOn(t, scene("table"), "DESTINATION", 2).table().order.by; got != "destination" {
		t.Errorf("a click on a column sorts by %q", got)
	}
	if got := clickedOn(t, scene("table"), "kernel", 0).table().source; got != 2 {
		t.Errorf("a click on a table shows %s", sources[got].name)
	}
	if got := clickedOn(t, scene("expectations-on"), "external", 2).expect().list.cursor; got != 0 {
		t.Errorf("a click on the counts selects row %d", got)
	}
	if got := clickedOn(t, scene("expectations-on"), "external ftp", 2).expect().list.cursor; got != 1 {
		t.Errorf("a click selects row %d", got)
	}
	if got := clicked(scene("transitions"), tea.MouseButtonLeft, 5, bodyTop+2).transitions().list.cursor; got != 1 {
		t.Errorf("a click selects transition %d", got)
	}
	if clicked(pressed(sample(), "?"), tea.MouseButtonLeft, 5, 5).helping {
		t.Error("a click does not close help")
	}
}

func TestWheel(t *testing.T) {
	m := scene("table")
	for range 3 {
		clicked(m, tea.MouseButtonWheelDown, 0, 10)
	}
	if l := m.table().list; l.top != 3*wheelRows || l.cursor < l.top {
		t.Errorf("three turns of the wheel: %+v", l)
	}
	for range 9 {
		clicked(m, tea.MouseButtonWheelUp, 0, 10)
	}
	if m.table().list.top != 0 {
		t.Errorf("back by the wheel: %+v", m.table().list)
	}
	pressed(m, "?")
	if clicked(m, tea.MouseButtonWheelDown, 0, 10); m.help.top != wheelRows || m.table().list.top != 0 {
		t.Errorf("the wheel over help: %d, the table below it at %d", m.help.top, m.table().list.top)
	}
}
