package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// operation is an operation of the daemon. does is shown before the user confirms.
type operation struct {
	control.Action
	does string
}

// operations are what may follow ":".
var operations = []operation{
	operates(control.Commit, "", "puts the external cache into the kernel"),
	operates(control.Flush, "", "empties both caches; the external one stays empty until request"),
	operates(control.Flush, control.CacheInternal, "empties the internal cache and reads it from the kernel again"),
	operates(control.Flush, control.CacheExternal, "empties the external cache, which stays empty until request"),
	operates(control.Resync, "", "compares the internal cache with the kernel"),
	operates(control.Bulk, "", "sends the internal cache to the peer"),
	operates(control.Request, "", "asks the peer for its table"),
	operates(control.Purge, "", "shortens the kernel's timeouts of flows that the peer serves now"),
	operates(control.Reset, control.CacheInternal, "reads the cache from the kernel again and sends it to the peer"),
	operates(control.Reset, control.CacheExternal, "empties the external cache and asks the peer for it"),
	operates(control.Restart, "", "runs the program now on disk, unless that rejects the configuration"),
}

func operates(v control.Verb, cache, does string) operation {
	return operation{Action: control.Action{Verb: v, Cache: cache}, does: does}
}

func (o *operation) words() string {
	if o.Cache == "" {
		return string(o.Verb)
	}
	return string(o.Verb) + " " + o.Cache
}

// commandWords lists the operations for the user.
func commandWords() string {
	var words []string
	for i := range operations {
		if v := string(operations[i].Verb); !slices.Contains(words, v) {
			words = append(words, v)
		}
	}
	return strings.Join(words, " ") + "; flush and reset take internal or external"
}

// action is the running operation.
type action struct {
	operation
	running     bool
	done, total int
	news        chan actionMsg
}

// actionMsg is the progress of an operation, or its result when it has ended.
type actionMsg struct {
	done, total int
	ended       bool
	result      control.Result
	err         error
}

func (m *model) startCommand() tea.Cmd {
	if m.action.running {
		m.complain("an operation is running already")
		return nil
	}
	advice := func() string { return m.look.in(faint, commandWords()) }
	return m.openPrompt(":", "", prompt{advice: advice, enter: m.command})
}

// command takes the words after ":", and asks the user to confirm.
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

// confirmLabel asks to type the words of an operation a second time.
const confirmLabel = "type it to confirm: "

// confirm shows what an operation does, and runs it if the user types its words again.
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

// run starts an operation. Its progress and its result come as messages, in this order.
func (m *model) run(o operation) tea.Cmd {
	news := make(chan actionMsg, 1)
	m.action = action{operation: o, running: true, news: news}
	ctx, client := m.ctx, m.client
	return tea.Batch(m.nextNews(), func() tea.Msg {
		result, err := client.Action(ctx, o.Action, func(done, total int) {
			select {
			case news <- actionMsg{done: done, total: total}:
			default: // the one before is not shown yet
			}
		})
		select {
		case news <- actionMsg{ended: true, result: result, err: err}:
		case <-ctx.Done():
		}
		return nil
	})
}

// nextNews waits for the next message of the running operation.
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

// actionLine draws the progress of the running operation.
func (m *model) actionLine() string {
	a := &m.action
	text := a.words() + " is running"
	if a.total > 0 {
		text += fmt.Sprintf(", %s of %s", m.units.count(uint64(a.done)), m.units.count(uint64(a.total)))
	}
	return " " + m.look.in(warn, text)
}
