package tui

import (
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

// action is an operation that runs.
type action struct {
	operation
	running     bool
	done, total int
	news        chan actionMsg
}

// actionMsg is progress of an operation, or what came of it at its end.
type actionMsg struct {
	ended       bool
	done, total int
	result      control.Result
	err         error
}

func (m *model) startCommand() tea.Cmd {
	if m.action.running {
		m.complain("an operation is running")
		return nil
	}
	advice := func() string { return m.look.in(faint, commandWords()) }
	return m.openPrompt(":", "", prompt{advice: advice, enter: m.command})
}

// command takes the words after ":" and asks for confirmation.
func (m *model) command(text string) tea.Cmd {
	text = strings.Join(strings.Fields(text), " ")
	m.prompt.Err = nil
	if text == "" {
		m.prompt = nil
		return nil
	}
	for i := range operations {
		if operations[i].words() == text {
			return m.confirm(operations[i])
		}
	}
	m.prompt.Err = fmt.Errorf("unknown command %q: want one of %s", text, commandWords())
	return nil
}

// confirmLabel stands where the words of an operation are to be typed a second time.
const confirmLabel = "type it to confirm: "

// confirm says what an operation does, and runs it when its words are typed again.
func (m *model) confirm(o operation) tea.Cmd {
	return m.openPrompt(confirmLabel, "", prompt{
		advice: func() string { return m.look.in(warn, "! "+o.words()+" "+o.does) },
		enter: func(text string) tea.Cmd {
			m.prompt = nil
			if text != o.words() {
				m.complain("not confirmed: nothing was done")
				return nil
			}
			return m.run(o)
		},
	})
}

// run runs an operation.
func (m *model) run(o operation) tea.Cmd {
	news := make(chan actionMsg, 1)
	m.action = action{operation: o, running: true, news: news}
	ctx, client := m.ctx, m.client
	return tea.Batch(m.nextNews(), func() tea.Msg {
		result, err := client.Action(ctx, o.Action, func(done, total int) {
			select {
			case news <- actionMsg{done: done, total: total}:
			default: // the last one has not been shown yet
			}
		})
		select {
		case news <- actionMsg{ended: true, result: result, err: err}:
		case <-ctx.Done():
		}
		return nil
	})
}

// nextNews waits for what the running operation says next.
func (m *model) nextNews() tea.Cmd {
	ctx, news := m.ctx, m.action.news
	return func() tea.Msg {
		select {
		case msg := <-news:
			return msg
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *model) takeAction(msg actionMsg) tea.Cmd {
	if !msg.ended {
		m.action.done, m.action.total = msg.done, msg.total
		return m.nextNews()
	}
	words := m.action.words()
	m.action = action{}
	if msg.err != nil {
		m.complain(words + ": " + msg.err.Error())
		return nil
	}
	m.say(words + ": " + msg.result.Summary)
	return m.refresh(m.shown)
}

// actionLine shows how far the running operation is.
func (m *model) actionLine() string {
	a := &m.action
	text := a.words() + " is running"
	if a.total > 0 {
		text += fmt.Sprintf(", %s of %s", m.units.count(uint64(a.done)), m.units.count(uint64(a.total)))
	}
	return " " + m.look.in(warn, text)
}
