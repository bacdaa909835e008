package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// transitionView lists what keepalived said, the newest on top, and shows what came of the selected one.
type transitionView struct {
	pace pacer
	list list
	all  []control.Transition // newest first
	read time.Time
	err  error
}

func (m model) transitionBeat() (model, tea.Cmd) {
	if !m.transitions.pace.ready(m.now) {
		return m, nil
	}
	client := m.client
	cmd := ask(&m.transitions.pace, m.now, stateTimeout, func(ctx context.Context) ([]control.Transition, error) {
		return client.Transitions(ctx)
	})
	return m, cmd
}

func (m model) takeTransitions(a answer[[]control.Transition]) model {
	v := &m.transitions
	if !take(&v.pace, a, stateEvery) {
		return m
	}
	if v.err = a.err; a.err != nil {
		return m
	}
	var was uint64
	if v.list.cursor > 0 && v.list.cursor < len(v.all) {
		was = v.all[v.list.cursor].ID
	}
	v.all, v.read = make([]control.Transition, len(a.value)), a.at
	for i := range a.value {
		n := len(a.value) - 1 - i
		if v.all[n] = a.value[i]; was != 0 && a.value[i].ID == was {
			v.list.top, v.list.cursor = max(v.list.top+n-v.list.cursor, 0), n
		}
	}
	v.list.total = len(v.all)
	v.list = v.list.settled(m.transitionHeight())
	return m
}

// transitionHeight is how many transitions are listed: a third of the body, the rest tells of one.
func (m model) transitionHeight() int {
	return max(min(m.bodyHeight()/3, max(m.transitions.list.total, 1)), 1)
}

func (m model) transitionBody() []string {
	v := &m.transitions
	switch {
	case v.read.IsZero() && v.err != nil:
		return m.problem(v.err)
	case v.read.IsZero():
		return []string{"", m.waiting(v.pace)}
	case len(v.all) == 0:
		return append(append(m.failure(v.err), ""), m.rows("No transition", "keepalived has said nothing yet: its notify scripts call ctsync notify, see keepalived.conf.example", plain)...)
	}
	g := m.transitionGrid()
	lines := append(m.failure(v.err), g.head(m.look))
	for i := range m.transitionHeight() {
		n := v.list.top + i
		if n >= len(v.all) {
			break
		}
		mark := ""
		if n == v.list.cursor {
			mark = m.look.sign(signCursor)
		}
		// A card would take the place of what the view is for: the first lines of one do.
		lines = append(lines, g.row(m.look, m.transitionCells(&v.all[n]), mark, n == v.list.cursor)[0])
	}
	lines = append(lines, "")
	if v.list.cursor < len(v.all) {
		lines = append(lines, m.roomFor(m.transitionDetail(&v.all[v.list.cursor]), m.bodyHeight()-len(lines))...)
	}
	return lines
}

// roomFor returns as many lines as there is room for; the last one then says how many are missing, and where they are.
func (m model) roomFor(lines []string, room int) []string {
	if len(lines) <= max(room, 1) {
		return lines
	}
	shown := max(room-1, 0)
	more := m.look.in(accent, m.look.sign(signDown)+" "+itoa(len(lines)-shown)+" lines more: ctsync show transitions")
	return append(lines[:shown:shown], " "+more)
}

func (m model) transitionGrid() grid {
	return fitGrid([]column{
		{name: "TIME", least: 19, most: 19, line: 0},
		{name: "STATE", least: 6, most: 12, line: 0},
		{name: "OUTCOME", least: 10, most: 24, rank: 1, line: 0},
		{name: "FLOWS", least: 9, most: 9, right: true, rank: 2},
		{name: "FAILED", least: 6, most: 6, right: true, rank: 3},
		{name: "TOOK", least: 8, most: 8, right: true, rank: 4},
	}, m.width)
}

func (m *model) transitionCells(t *control.Transition) []cell {
	flows, failed, duration, in := "", "", "", plain
	has, lacks, ok := brought(t)
	if ok {
		flows, failed = m.units.count(has), m.units.count(lacks)
	}
	if lacks > 0 {
		failed, in = "!"+failed, warn
	}
	if !t.Finished.IsZero() && !t.Started.IsZero() {
		duration = took(t.Finished.Sub(t.Started))
	}
	outcome, _, _ := strings.Cut(t.Outcome, ":")
	return []cell{
		{t.Received.Local().Format(time.DateTime), plain}, {printable(string(t.State)), title}, {printable(outcome), outcomePaint(t)},
		{flows, plain}, {failed, in}, {duration, plain},
	}
}

// transitionDetail tells of one transition: when, what, and what became of every flow.
func (m model) transitionDetail(t *control.Transition) []string {
	l := m.look
	lines := []string{" " + l.in(title, string(t.State)) + "  " + strings.ToLower(t.Type) + " " + printable(t.Group)}
	lines = append(lines, m.rows("Outcome", printable(t.Outcome), outcomePaint(t))...)
	lines = append(lines, m.rows("When", m.transitionTimes(t), plain)...)
	lines = append(lines, m.rows("Told by", printable(t.Source), faint)...)
	if c := t.Commit; c != nil {
		lines = append(lines, m.commitLines(c)...)
	}
	if i := t.Inject; i != nil {
		lines = append(lines, m.injectLines(i)...)
	}
	return lines
}

// transitionTimes tells the delays between what happened.
func (m model) transitionTimes(t *control.Transition) string {
	text := "said " + t.Sent.Local().Format("15:04:05.000")
	if d := t.Received.Sub(t.Sent); d >= 0 && d < time.Hour {
		text += ", received " + took(d) + " later"
	} else {
		text += ", received " + t.Received.Local().Format(time.DateTime)
	}
	if !t.Started.IsZero() {
		text += ", begun " + took(max(t.Started.Sub(t.Received), 0)) + " after that"
	}
	if !t.Finished.IsZero() {
		text += ", done within " + took(t.Finished.Sub(t.Started))
	}
	return text
}

func (m model) commitLines(c *control.CommitResult) []string {
	u := m.units
	lines := m.rows("Committed", fmt.Sprintf("%s of %s flows in %s: %s created, %s updated, %s in place of another",
		u.count(c.Created+c.Updated+c.Replaced), u.count(c.Total), took(time.Duration(c.Duration)),
		u.count(c.Created), u.count(c.Updated), u.count(c.Replaced)), plain)
	if c.Expired+c.Filtered > 0 {
		lines = append(lines, m.rows("Left out", fmt.Sprintf("%s expired, %s not replicated by configuration", u.count(c.Expired), u.count(c.Filtered)), plain)...)
	}
	if c.NoRoom > 0 {
		lines = append(lines, m.rows("Waiting", "! "+u.count(c.NoRoom)+": the kernel's table is full, raise nf_conntrack_max", bad)...)
	}
	if c.Failed > 0 {
		lines = append(lines, m.rows("Failed", "! "+u.count(c.Failed)+": "+m.named(c.Errors), bad)...)
	} else {
		lines = append(lines, m.row("Failed", m.look.in(good, "none"))...)
	}
	if len(c.Degraded) > 0 {
		lines = append(lines, m.rows("Without", "! "+m.named(c.Degraded), warn)...)
	}
	if x := c.Expect; x != nil {
		lines = append(lines, m.rows("Expectations", fmt.Sprintf("%s of %s committed, %s expired, %s failed",
			u.count(x.Created+x.Updated+x.Replaced), u.count(x.Total), u.count(x.Expired), u.count(x.Failed)), plain)...)
		for _, n := range x.Named {
			lines = append(lines, m.rows("", printable(n), faint)...)
		}
	}
	for _, n := range c.Named {
		lines = append(lines, m.rows("", printable(n), faint)...)
	}
	return lines
}

// injectLines tell of a takeover without a commit: the peer's flows were in the kernel before it.
func (m model) injectLines(i *control.InjectResult) []string {
	u := m.units
	lines := m.rows("In the kernel", fmt.Sprintf("%s flows of the peer: no commit; its table read in %s",
		u.count(i.Present), took(time.Duration(i.DumpDuration))), plain)
	if i.Late > 0 {
		lines = append(lines, m.rows("Late", fmt.Sprintf("%s of them, on their way when it began: waited %s",
			u.count(i.Late), took(time.Duration(i.Waited))), plain)...)
	}
	if i.Failed > 0 {
		return append(lines, m.rows("Failed", "! "+u.count(i.Failed)+", refused by the kernel", bad)...)
	}
	return append(lines, m.row("Failed", m.look.in(good, "none"))...)
}

// brought is how many flows of the peer the kernel has after a takeover, and how many not; ok is false of what was none.
func brought(t *control.Transition) (has, lacks uint64, ok bool) {
	switch c, i := t.Commit, t.Inject; {
	case c != nil:
		return c.Created + c.Updated + c.Replaced, c.Failed, true
	case i != nil:
		return i.Present, i.Failed, true
	}
	return 0, 0, false
}
