package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// transitions lists what keepalived notified, the newest on top, and shows what came of the selected one.
type transitions struct {
	bare
	reading
	list list
	all  []control.Transition // newest first
}

func (t *transitions) name() string { return "Transitions" }

func (t *transitions) keys() []binding {
	return []binding{t.copyKey("copy it to the clipboard", t.selected), t.writeKey(t.visible)}
}

func (t *transitions) beat() tea.Cmd {
	if !t.pace.ready(t.now) {
		return nil
	}
	return ask(t.ctx, &t.pace, t.now, stateTimeout, t.client.Transitions)
}

func (t *transitions) take(msg tea.Msg) (tea.Cmd, bool) {
	a, mine := msg.(answer[[]control.Transition])
	if mine && fresh(&t.reading, a, stateEvery) {
		t.replace(a.value)
	}
	return nil, mine
}

// replace puts transitions, oldest first, in place of the old ones. What was selected stays selected; who looks at the
// newest goes on looking at the newest.
func (t *transitions) replace(oldestFirst []control.Transition) {
	var was uint64
	if t.list.cursor > 0 && t.list.cursor < len(t.all) {
		was = t.all[t.list.cursor].ID
	}
	t.all = slices.Clone(oldestFirst)
	slices.Reverse(t.all)
	if n := slices.IndexFunc(t.all, func(one control.Transition) bool { return was != 0 && one.ID == was }); n >= 0 {
		t.list.top, t.list.cursor = max(t.list.top+n-t.list.cursor, 0), n
	}
	t.list.total = len(t.all)
	t.settle()
}

func (t *transitions) settle() tea.Cmd     { return t.move(0) }
func (t *transitions) page() int           { return t.height() }
func (t *transitions) wheel(n int) tea.Cmd { return t.move(n) }

func (t *transitions) move(n int) tea.Cmd {
	t.list = t.list.move(n, t.height())
	return nil
}

// click selects a transition.
func (t *transitions) click(_, line int) tea.Cmd {
	at := line - len(t.failure(t.err)) - 1
	if n := t.list.top + at; at >= 0 && at < t.height() && n < t.list.total {
		t.list.cursor = n
	}
	return nil
}

// height is how many transitions are listed: a third of the body, the rest is for the selected one.
func (t *transitions) height() int {
	return max(min(t.bodyHeight()/3, max(t.list.total, 1)), 1)
}

func (t *transitions) body() []string {
	if lines := t.unanswered(&t.reading); lines != nil {
		return lines
	}
	lines := t.failure(t.err)
	if len(t.all) == 0 {
		return append(append(lines, ""), t.paragraph("No transition",
			"keepalived has said nothing yet: its notify scripts call ctsync notify, see keepalived.conf.example", plain)...)
	}
	g := t.grid()
	lines = append(lines, g.head(t.look))
	for n, to := t.list.visible(t.height()); n < to; n++ {
		// A card would take the place of what the view is for: the first line of one does.
		row := g.row(t.look, t.transitionCells(&t.all[n]), t.look.mark(n == t.list.cursor), n == t.list.cursor)
		lines = append(lines, row[0])
	}
	lines = append(lines, "")
	if t.list.cursor < len(t.all) {
		lines = append(lines, t.roomFor(t.transitionDetail(&t.all[t.list.cursor]), t.bodyHeight()-len(lines))...)
	}
	return lines
}

// roomFor returns as many lines as there is room for; the last one then says how many are missing, and where they are.
func (m *monitor) roomFor(lines []string, room int) []string {
	if len(lines) <= max(room, 1) {
		return lines
	}
	shown := max(room-1, 0)
	more := m.look.in(accent, m.look.sign(signDown)+" "+itoa(len(lines)-shown)+" lines more: ctsync show transitions")
	return append(lines[:shown:shown], " "+more)
}

func (t *transitions) grid() grid {
	return fitGrid([]column{
		{name: "TIME", least: 19, most: 19, line: 0},
		{name: "STATE", least: 6, most: 12, line: 0},
		{name: "OUTCOME", least: 10, most: 24, rank: 1, line: 0},
		{name: "FLOWS", least: 9, most: 9, right: true, rank: 2},
		{name: "FAILED", least: 6, most: 6, right: true, rank: 3},
		{name: "TOOK", least: 8, most: 8, right: true, rank: 4},
	}, t.width)
}

func (m *monitor) transitionCells(t *control.Transition) []cell {
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

// selected is the selected transition in one line.
func (t *transitions) selected() string {
	if t.list.cursor >= len(t.all) {
		return ""
	}
	return printable(t.transitionLine(&t.all[t.list.cursor]))
}

// visible are the rows for a file.
func (t *transitions) visible() export {
	file := export{name: "transitions", head: []string{"received", "type", "group", "state", "outcome", "flows", "failed", "took"}}
	for i, to := t.list.visible(t.height()); i < to; i++ {
		one := &t.all[i]
		flows, failed, took := "", "", ""
		if has, lacks, ok := brought(one); ok {
			flows, failed = fmt.Sprint(has), fmt.Sprint(lacks)
		}
		if !one.Finished.IsZero() && !one.Started.IsZero() {
			took = fmt.Sprint(one.Finished.Sub(one.Started).Seconds())
		}
		file.add(one, one.Received.Format(time.RFC3339Nano), one.Type, printable(one.Group), printable(string(one.State)), printable(one.Outcome), flows, failed, took)
	}
	return file
}

// transitionDetail tells of one transition: when, what, and what became of every flow.
func (m *monitor) transitionDetail(t *control.Transition) []string {
	l := m.look
	lines := []string{" " + l.in(title, string(t.State)) + "  " + strings.ToLower(t.Type) + " " + printable(t.Group)}
	lines = append(lines, m.paragraph("Outcome", printable(t.Outcome), outcomePaint(t))...)
	lines = append(lines, m.paragraph("When", m.transitionTimes(t), plain)...)
	lines = append(lines, m.paragraph("Told by", printable(t.Source), faint)...)
	if c := t.Commit; c != nil {
		lines = append(lines, m.commitLines(c)...)
	}
	if i := t.Inject; i != nil {
		lines = append(lines, m.injectLines(i)...)
	}
	return lines
}

// transitionTimes tells the delays between what happened.
func (m *monitor) transitionTimes(t *control.Transition) string {
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

func (m *monitor) commitLines(c *control.CommitResult) []string {
	u := m.units
	lines := m.paragraph("Committed", fmt.Sprintf("%s of %s flows in %s: %s created, %s updated, %s in place of another",
		u.count(c.Created+c.Updated+c.Replaced), u.count(c.Total), took(time.Duration(c.Duration)),
		u.count(c.Created), u.count(c.Updated), u.count(c.Replaced)), plain)
	if c.Expired+c.Filtered > 0 {
		lines = append(lines, m.paragraph("Left out", fmt.Sprintf("%s expired, %s not replicated by configuration", u.count(c.Expired), u.count(c.Filtered)), plain)...)
	}
	if c.NoRoom > 0 {
		lines = append(lines, m.paragraph("Waiting", "! "+u.count(c.NoRoom)+
			": the kernel's table is full, raise nf_conntrack_max", bad)...)
	}
	if c.Failed > 0 {
		lines = append(lines, m.paragraph("Failed", "! "+u.count(c.Failed)+": "+m.named(c.Errors), bad)...)
	} else {
		lines = append(lines, m.field("Failed", m.look.in(good, "none"))...)
	}
	if len(c.Degraded) > 0 {
		lines = append(lines, m.paragraph("Without", "! "+m.named(c.Degraded), warn)...)
	}
	if x := c.Expect; x != nil {
		lines = append(lines, m.paragraph("Expectations", fmt.Sprintf("%s of %s committed, %s expired, %s failed",
			u.count(x.Created+x.Updated+x.Replaced), u.count(x.Total), u.count(x.Expired), u.count(x.Failed)), plain)...)
		for _, n := range x.Named {
			lines = append(lines, m.paragraph("", printable(n), faint)...)
		}
	}
	for _, n := range c.Named {
		lines = append(lines, m.paragraph("", printable(n), faint)...)
	}
	return lines
}

// injectLines tell of a takeover without a commit: the peer's flows were in the kernel before it.
func (m *monitor) injectLines(i *control.InjectResult) []string {
	u := m.units
	lines := m.paragraph("In the kernel", fmt.Sprintf("%s flows of the peer: no commit; its table read in %s",
		u.count(i.Present), took(time.Duration(i.DumpDuration))), plain)
	if i.Late > 0 {
		lines = append(lines, m.paragraph("Late", fmt.Sprintf("%s of them, on their way when it began: waited %s",
			u.count(i.Late), took(time.Duration(i.Waited))), plain)...)
	}
	if i.Failed > 0 {
		return append(lines, m.paragraph("Failed", "! "+u.count(i.Failed)+", refused by the kernel", bad)...)
	}
	return append(lines, m.field("Failed", m.look.in(good, "none"))...)
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

// outcomePaint is the paint of what came of a transition.
func outcomePaint(t *control.Transition) paint {
	_, lacks, _ := brought(t)
	switch {
	case strings.HasPrefix(t.Outcome, control.OutcomeFailed):
		return bad
	case lacks > 0:
		return warn
	case t.Outcome == control.OutcomeDone:
		return good
	}
	return plain
}
