package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// transitions is the view of keepalived's notifications, the newest on top, with what came of the selected one.
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

func (t *transitions) take(msg tea.Msg) tea.Cmd {
	if a := msg.(answer[[]control.Transition]); fresh(&t.reading, a, stateEvery) {
		t.replace(a.value)
	}
	return nil
}

// replace shows other transitions. The selected one stays selected, but the newest if the newest was selected.
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

// height is the number of listed transitions: a third of the body. The rest is for the selected one.
func (t *transitions) height() int {
	return max(min(t.bodyHeight()/3, max(t.list.total, 1)), 1)
}

func (t *transitions) body() []string {
	if lines := t.unanswered(&t.reading); lines != nil {
		return lines
	}
	lines := t.failure(t.err)
	if len(t.all) == 0 {
		const text = "no notification from keepalived yet: its notify scripts must call ctsync notify, " +
			"see keepalived.conf.example"
		return append(append(lines, ""), t.paragraph("No transition", text, plain)...)
	}
	g := t.grid()
	lines = append(lines, g.head(t.look))
	for n, to := t.list.visible(t.height()); n < to; n++ {
		// Of a card the first line is enough: the details are below.
		row := g.row(t.look, t.transitionCells(&t.all[n]), t.look.mark(n == t.list.cursor), n == t.list.cursor)
		lines = append(lines, row[0])
	}
	lines = append(lines, "")
	if t.list.cursor < len(t.all) {
		lines = append(lines, t.roomFor(t.transitionDetail(&t.all[t.list.cursor]), t.bodyHeight()-len(lines))...)
	}
	return lines
}

// roomFor returns the lines that fit. If some do not, the last one says how many, and where to see them.
func (m *monitor) roomFor(lines []string, room int) []string {
	if len(lines) <= max(room, 1) {
		return lines
	}
	shown := max(room-1, 0)
	more := m.look.in(accent, m.look.sign(signDown)+" "+itoa(len(lines)-shown)+" more lines: ctsync show transitions")
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
		{t.Received.Local().Format(time.DateTime), plain}, {string(t.State), title},
		{outcome, outcomePaint(t)}, {flows, plain}, {failed, in}, {duration, plain},
	}
}

// selected describes the selected transition in one line.
func (t *transitions) selected() string {
	if t.list.cursor >= len(t.all) {
		return ""
	}
	return t.transitionLine(&t.all[t.list.cursor])
}

// visible returns the visible rows for a file.
func (t *transitions) visible() export {
	file := export{name: "transitions", head: []string{
		"received", "type", "group", "state", "outcome", "flows", "failed", "took",
	}}
	for i, to := t.list.visible(t.height()); i < to; i++ {
		one := &t.all[i]
		flows, failed, took := "", "", ""
		if has, lacks, ok := brought(one); ok {
			flows, failed = fmt.Sprint(has), fmt.Sprint(lacks)
		}
		if !one.Finished.IsZero() && !one.Started.IsZero() {
			took = fmt.Sprint(one.Finished.Sub(one.Started).Seconds())
		}
		file.add(one, one.Received.Format(time.RFC3339Nano), one.Type, one.Group,
			string(one.State), one.Outcome, flows, failed, took)
	}
	return file
}

// transitionDetail draws what is known about a transition.
func (m *monitor) transitionDetail(t *control.Transition) []string {
	l := m.look
	lines := []string{" " + l.in(title, string(t.State)) + "  " + strings.ToLower(t.Type) + " " + t.Group}
	lines = append(lines, m.paragraph("Outcome", t.Outcome, outcomePaint(t))...)
	lines = append(lines, m.paragraph("When", m.transitionTimes(t), plain)...)
	lines = append(lines, m.paragraph("Source", t.Source, faint)...)
	for _, w := range t.Warnings {
		lines = append(lines, m.paragraph("Warning", "! "+w, warn)...)
	}
	if c := t.Commit; c != nil {
		lines = append(lines, m.commitLines(c)...)
	}
	if i := t.Inject; i != nil {
		lines = append(lines, m.injectLines(i)...)
	}
	return lines
}

// transitionTimes says how long each step took.
func (m *monitor) transitionTimes(t *control.Transition) string {
	text := "sent " + t.Sent.Local().Format("15:04:05.000")
	if d := t.Received.Sub(t.Sent); d >= 0 && d < time.Hour {
		text += ", received " + took(d) + " later"
	} else {
		text += ", received " + t.Received.Local().Format(time.DateTime)
	}
	if !t.Started.IsZero() {
		text += ", started " + took(max(t.Started.Sub(t.Received), 0)) + " later"
	}
	if !t.Finished.IsZero() {
		text += ", took " + took(t.Finished.Sub(t.Started))
	}
	return text
}

func (m *monitor) commitLines(c *control.CommitResult) []string {
	u := m.units
	text := fmt.Sprintf("%s of %s flows in %s: %s created, %s updated, %s in place of another",
		u.count(c.Created+c.Updated+c.Replaced), u.count(c.Total), took(time.Duration(c.Duration)),
		u.count(c.Created), u.count(c.Updated), u.count(c.Replaced))
	lines := m.paragraph("Committed", text, plain)
	if c.Expired+c.Filtered > 0 {
		text = fmt.Sprintf("%s expired, %s not replicated by configuration", u.count(c.Expired), u.count(c.Filtered))
		lines = append(lines, m.paragraph("Left out", text, plain)...)
	}
	for _, to := range slices.Sorted(maps.Keys(c.ForeignNAT)) {
		text = fmt.Sprintf("! %s flows are translated to %s", u.count(c.ForeignNAT[to]), to)
		if c.LeftOut > 0 {
			text += ": left out"
		}
		lines = append(lines, m.paragraph("Foreign", text, warn)...)
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
		text = fmt.Sprintf("%s of %s committed, %s expired, %s failed",
			u.count(x.Created+x.Updated+x.Replaced), u.count(x.Total), u.count(x.Expired), u.count(x.Failed))
		lines = append(lines, m.paragraph("Expectations", text, plain)...)
		for _, n := range x.Named {
			lines = append(lines, m.paragraph("", n, faint)...)
		}
	}
	for _, n := range c.Named {
		lines = append(lines, m.paragraph("", n, faint)...)
	}
	return lines
}

// injectLines draws the result of a takeover with disable-external-cache: the peer's flows were in the kernel before
// it.
func (m *monitor) injectLines(i *control.InjectResult) []string {
	u := m.units
	text := fmt.Sprintf("%s of the peer's flows, no commit needed; table read in %s",
		u.count(i.Present), took(time.Duration(i.DumpDuration)))
	lines := m.paragraph("In the kernel", text, plain)
	if i.Late > 0 {
		text = fmt.Sprintf("%s of them, not yet there when it started: waited %s",
			u.count(i.Late), took(time.Duration(i.Waited)))
		lines = append(lines, m.paragraph("Late", text, plain)...)
	}
	if i.Failed > 0 {
		return append(lines, m.paragraph("Failed", "! "+u.count(i.Failed)+", refused by the kernel", bad)...)
	}
	return append(lines, m.field("Failed", m.look.in(good, "none"))...)
}

// brought returns how many of the peer's flows the kernel has after a takeover, and how many it lacks. ok is false if
// the transition was no takeover.
func brought(t *control.Transition) (has, lacks uint64, ok bool) {
	switch c, i := t.Commit, t.Inject; {
	case c != nil:
		return c.Created + c.Updated + c.Replaced, c.Failed, true
	case i != nil:
		return i.Present, i.Failed, true
	}
	return 0, 0, false
}

// outcomePaint is the paint of a transition's outcome.
func outcomePaint(t *control.Transition) paint {
	_, lacks, _ := brought(t)
	switch {
	case strings.HasPrefix(t.Outcome, control.OutcomeFailed):
		return bad
	case lacks > 0, strings.HasPrefix(t.Outcome, control.OutcomeIncomplete):
		return warn
	case t.Outcome == control.OutcomeDone:
		return good
	}
	return plain
}
