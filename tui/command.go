package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// operation is an operation of the daemon with what it does, which is said before it is confirmed.
type operation struct {
	control.Action
	does string
}

// operations are what may be given after ":", by their words.
var operations = []operation{
	{control.Action{Verb: control.Commit}, "puts the external cache into the kernel"},
	{control.Action{Verb: control.Flush}, "empties both caches; the external one stays empty until request"},
	{control.Action{Verb: control.Flush, Cache: control.CacheInternal}, "empties the internal cache, which is then read from the kernel again"},
	{control.Action{Verb: control.Flush, Cache: control.CacheExternal}, "empties the external cache, which stays empty until request"},
	{control.Action{Verb: control.Resync}, "compares the internal cache with the kernel"},
	{control.Action{Verb: control.Bulk}, "sends the internal cache to the peer"},
	{control.Action{Verb: control.Request}, "asks the peer for its table"},
	{control.Action{Verb: control.Purge}, "shortens the kernel's timers of flows that the other router serves"},
	{control.Action{Verb: control.Reset, Cache: control.CacheInternal}, "empties the internal cache, reads it from the kernel and sends it to the peer"},
	{control.Action{Verb: control.Reset, Cache: control.CacheExternal}, "empties the external cache and asks the peer for it"},
	{control.Action{Verb: control.Restart}, "begins the daemon anew, by the program that is on disk, unless that refuses the configuration"},
}

func (o *operation) words() string {
	if o.Cache == "" {
		return string(o.Verb)
	}
	return string(o.Verb) + " " + o.Cache
}

// commandWords lists what may be typed.
func commandWords() string {
	var words []string
	for i := range operations {
		if v := string(operations[i].Verb); !slices.Contains(words, v) {
			words = append(words, v)
		}
	}
	return strings.Join(words, " ") + "; flush and reset take internal or external"
}

// action is an operation that waits to be confirmed, or runs.
type action struct {
	operation
	asked       string // what must be typed, "" = nothing waits
	running     bool
	done, total int
	updates     <-chan actionMsg
}

// effect says what would be done.
func (a *action) effect() string { return a.asked + " " + a.does }

// actionMsg is progress of an operation or its end.
type actionMsg struct {
	progress    bool
	done, total int
	result      control.Result
	err         error
}

func (m model) startCommand() (model, tea.Cmd) {
	if m.action.running {
		return m.complain("an operation is running"), nil
	}
	m.line = line{kind: lineCommand}
	return m, nil
}

// command takes the words after ":" and asks for confirmation.
func (m model) command(words []string) (model, tea.Cmd) {
	text := strings.Join(words, " ")
	if text == "" {
		m.line = line{}
		return m, nil
	}
	for i := range operations {
		if operations[i].words() == text {
			m.action = action{operation: operations[i], asked: text}
			m.line = line{kind: lineConfirm}
			return m, nil
		}
	}
	m.line.err = fmt.Errorf("unknown command %q: want one of %s", text, commandWords())
	return m, nil
}

// confirmed runs the operation if its words were typed again.
func (m model) confirmed(text string) (model, tea.Cmd) {
	m.line = line{}
	if text != m.action.asked {
		m.action.asked = ""
		return m.complain("not confirmed: nothing was done"), nil
	}
	m.action.asked, m.action.running = "", true
	client, a := m.client, m.action.Action
	updates := make(chan actionMsg, 1)
	m.action.updates = updates
	run := func() tea.Msg {
		result, err := client.Action(context.Background(), a, func(done, total int) {
			select {
			case updates <- actionMsg{progress: true, done: done, total: total}:
			default: // the last one has not been shown yet
			}
		})
		close(updates)
		return actionMsg{result: result, err: err}
	}
	return m, tea.Batch(run, m.action.next())
}

// next waits for progress.
func (a *action) next() tea.Cmd {
	updates := a.updates
	return func() tea.Msg {
		msg, ok := <-updates
		if !ok {
			return nil
		}
		return msg
	}
}

func (m model) takeAction(msg actionMsg) (tea.Model, tea.Cmd) {
	if msg.progress {
		m.action.done, m.action.total = msg.done, msg.total
		return m, m.action.next()
	}
	words := m.action.words()
	m.action = action{}
	if msg.err != nil {
		return m.complain(words + ": " + msg.err.Error()), nil
	}
	m = m.say(words + ": " + msg.result.Summary)
	return m.viewBeat()
}

// actionFoot shows how far the running operation is.
func (m model) actionFoot() string {
	a := &m.action
	text := a.words() + " is running"
	if a.total > 0 {
		text += fmt.Sprintf(", %s of %s", m.units.count(uint64(a.done)), m.units.count(uint64(a.total)))
	}
	return " " + m.look.in(warn, text)
}
