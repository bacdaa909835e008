package tui

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// watch is the flow that is looked at: what each table has of it, and what happened to it since then. What happened comes
// from the daemon's stream of events; the tables are looked at beside it, because a commit raises no event.
type watch struct {
	on        bool
	following bool // also while another view is shown
	orig      flow.Tuple
	since     time.Time

	reading
	seen    [3]*row   // as lookedAt; nil = not there
	kernel  time.Time // when the kernel was last asked, which costs it a walk
	history []moment
	held    []moment // what happened during a pause

	serial int // of this watch: events of another one are dropped
	events *eventStream
	opened bool      // events is open or being opened
	broken error     // why there are no events
	reopen time.Time // when they are asked for again
}

// lookedAt are the tables in which a flow is looked for, in the order in which they are shown.
var lookedAt = [3]control.Table{control.TableKernel, control.TableInternal, control.TableExternal}

const (
	watchEvery  = time.Second
	kernelEvery = 5 * time.Second
	reopenEvery = 5 * time.Second // for a stream of events that broke
	maxHistory  = 500
	sameTuple   = 256 // flows that a filter cannot tell apart: ICMP ids, zones of one direction
)

// moment is something that happened: to the flow in a table, or to the router.
type moment struct {
	at    time.Time
	table control.Table // "" = the router
	what  string
	state string
}

// Words for what was seen without an event.
const (
	momentFound = "found"
	momentGone  = "gone"
)

// openSelected shows the flow that is selected in the table, or that there is none.
func (f *flowView) openSelected() tea.Cmd {
	var end tea.Cmd
	if r, ok := f.table.chosen(); ok {
		end = f.start(&r)
	}
	return tea.Batch(end, f.show(f))
}

// start begins to look at a flow, unless it is the one that is looked at, and gives up the old one.
func (f *flowView) start(r *row) tea.Cmd {
	if f.on && f.orig == r.flow.Orig {
		return nil
	}
	end := f.end()
	f.watch = watch{on: true, orig: r.flow.Orig, since: f.now, serial: f.serial + 1}
	f.top = 0
	return end
}

// end gives up all that is under way for the flow.
func (f *flowView) end() tea.Cmd {
	f.pace.drop()
	end := f.endEvents()
	f.watch = watch{serial: f.serial}
	return end
}

// follow begins or ends to follow the selected flow of the table wherever the user goes.
func (f *flowView) followSelected() tea.Cmd {
	r, ok := f.table.chosen()
	if !ok {
		return nil
	}
	if f.following && f.orig == r.flow.Orig {
		return f.end()
	}
	end := f.start(&r)
	f.following = true
	return tea.Batch(end, f.refresh(f))
}

// beat looks at the flow when it is due, and opens the stream of events where none is open. It gives up a flow at which
// nobody looks any more.
func (f *flowView) beat() tea.Cmd {
	if !f.on {
		return nil
	}
	if f.shown != screen(f) && f.shown != screen(f.table) && !f.following {
		return f.end()
	}
	var cmds []tea.Cmd
	if f.pace.ready(f.now) {
		client, orig, before := f.client, f.orig, f.seen[0]
		kernel := f.now.Sub(f.kernel) >= kernelEvery
		if kernel {
			f.kernel = f.now
		}
		cmds = append(cmds, ask(f.ctx, &f.pace, f.now, listTimeout, func(ctx context.Context) (sighting, error) {
			return sight(ctx, client, orig, kernel, before)
		}))
	}
	if !f.opened && !f.now.Before(f.reopen) {
		f.opened = true
		cmds = append(cmds, openEvents(f.ctx, f.client, f.orig, f.serial))
	}
	return tea.Batch(cmds...)
}

// unread reports whether there is a flow at which nobody has looked yet.
func (f *flowView) unread() bool { return f.on && f.read.IsZero() }

func (f *flowView) take(msg tea.Msg) (tea.Cmd, bool) {
	switch msg := msg.(type) {
	case answer[sighting]:
		f.takeSighting(msg)
		return nil, true
	case watchMsg:
		return f.takeEvent(msg), true
	}
	return nil, false
}

// sighting is what the tables have of a flow.
type sighting struct{ seen [3]*row }

// sight looks a flow up in the tables; in the kernel's only when kernel is set, before stands for it otherwise.
func sight(ctx context.Context, c *control.Client, orig flow.Tuple, kernel bool, before *row) (s sighting, err error) {
	filter, err := expr.Parse(tupleFilter(&orig))
	if err != nil {
		return s, err
	}
	s.seen[0] = before
	for i, t := range lookedAt {
		if t == control.TableKernel && !kernel {
			continue
		}
		p, err := c.Page(ctx, control.FlowQuery{Table: t, Filter: filter, Limit: sameTuple, Family: orig.Family})
		if err != nil && !disabled(err) {
			return s, err
		}
		s.seen[i] = nil
		for k := range p.Entries {
			e := &p.Entries[k]
			if f, err := e.JSON.Flow(); err == nil && f.Orig == orig {
				s.seen[i] = &row{flow: f, created: e.Created, updated: e.Updated}
				break
			}
		}
	}
	return s, nil
}

// tupleFilter is the filter that lets a tuple pass, and as little else as can be said.
func tupleFilter(t *flow.Tuple) string {
	text := fmt.Sprintf("proto:%d src:%v dst:%v", t.Proto, t.Src.IP(t.Family), t.Dst.IP(t.Family))
	if t.Proto.HasPorts() {
		text += fmt.Sprintf(" sport:%d dport:%d", t.SrcPort, t.DstPort)
	}
	return text + " zone:" + strconv.Itoa(int(t.Zone))
}

// takeSighting notes where the flow is now. What changed without an event, as by a commit, is noted as seen.
func (w *watch) takeSighting(a answer[sighting]) {
	if !fresh(&w.reading, a, watchEvery) {
		if w.err != nil {
			w.kernel = time.Time{} // not known what it has: the next look begins there
		}
		return
	}
	moments := len(w.history)
	for i, t := range lookedAt {
		w.changed(t, a.asked, a.value.seen[i])
	}
	if len(w.history) > moments {
		w.kernel = time.Time{} // what moves in the caches may have moved in the kernel
	}
	w.seen = a.value.seen
}

// changed adds a moment when a table has the flow in another state than the last moment says. One that was asked for
// before that is older than it.
func (w *watch) changed(t control.Table, asked time.Time, r *row) {
	was := moment{what: momentGone}
	for i := len(w.history) - 1; i >= 0; i-- {
		if w.history[i].table == t {
			was = w.history[i]
			break
		}
	}
	gone := was.what == momentGone || was.what == control.EventDestroy.String()
	switch {
	case was.at.After(asked):
	case r == nil && !gone:
		w.add(moment{at: asked, table: t, what: momentGone})
	case r != nil && (gone || was.state != stateWord(&r.flow)):
		w.add(moment{at: asked, table: t, what: momentFound, state: stateWord(&r.flow)})
	}
}

// add notes a moment.
func (w *watch) add(h moment) { w.history = noted(w.history, h) }

// noted appends moments to a list, of which the newest are kept.
func noted(list []moment, more ...moment) []moment {
	list = append(list, more...)
	return list[max(len(list)-maxHistory, 0):]
}

// resume shows what happened during a pause. The look at the kernel before it may have been given up.
func (w *watch) resume() {
	w.kernel = time.Time{}
	w.history, w.held = noted(w.history, w.held...), nil
}

// became notes that the router has another role.
func (w *watch) became(at time.Time, r control.Role) {
	if w.on {
		w.add(moment{at: at, what: "is " + string(r)})
	}
}

func stateWord(f *flow.Flow) string { return stateCell(f).text }

// where says in short which table has the flow.
func (w *watch) where() string {
	for i, name := range lookedAt {
		if r := w.seen[i]; r != nil {
			return string(name) + " " + stateWord(&r.flow)
		}
	}
	if w.read.IsZero() {
		return "…"
	}
	return "gone"
}

// endEvents closes the stream. It is a command because closing talks to the daemon.
func (w *watch) endEvents() tea.Cmd {
	if w.events == nil {
		return nil
	}
	s := w.events
	w.events = nil
	return func() tea.Msg { s.cancel(); return nil }
}

// eventStream is a stream of events being read.
type eventStream struct {
	cancel context.CancelFunc
	dec    *json.Decoder
}

// watchMsg is an event of a watched flow, or the end of the stream.
type watchMsg struct {
	serial int
	stream *eventStream
	event  control.EventJSON
	err    error
}

func openEvents(ctx context.Context, c *control.Client, orig flow.Tuple, serial int) tea.Cmd {
	return func() tea.Msg {
		filter, err := expr.Parse(tupleFilter(&orig))
		if err != nil {
			return watchMsg{serial: serial, err: err}
		}
		ctx, cancel := context.WithCancel(ctx)
		r, err := c.EventText(ctx, control.FlowQuery{Filter: filter, Family: orig.Family}, control.FormatNDJSON)
		if err != nil {
			cancel()
			return watchMsg{serial: serial, err: err}
		}
		s := &eventStream{dec: json.NewDecoder(r)}
		s.cancel = func() { cancel(); r.Close() }
		return watchMsg{serial: serial, stream: s}
	}
}

// next waits for an event.
func (s *eventStream) next(serial int) tea.Cmd {
	return func() tea.Msg {
		msg := watchMsg{serial: serial, stream: s}
		msg.err = s.dec.Decode(&msg.event)
		return msg
	}
}

// takeEvent notes an event and waits for the next one.
func (f *flowView) takeEvent(msg watchMsg) tea.Cmd {
	if msg.serial != f.serial || !f.on {
		if s := msg.stream; s != nil {
			return func() tea.Msg { s.cancel(); return nil }
		}
		return nil
	}
	if msg.err != nil {
		f.broken, f.opened, f.reopen = msg.err, false, f.now.Add(reopenEvery)
		return f.endEvents()
	}
	f.events, f.broken = msg.stream, nil
	if happened := f.moments(&msg.event, f.now); f.paused {
		f.held = noted(f.held, happened...)
	} else {
		f.history = noted(f.history, happened...)
	}
	return msg.stream.next(f.serial)
}

// moments are what an event tells of the flow.
func (w *watch) moments(e *control.EventJSON, now time.Time) (list []moment) {
	if e.Event != "" && e.JSON != nil && e.At != nil {
		if f, err := e.JSON.Flow(); err == nil && f.Orig == w.orig {
			list = append(list, moment{at: *e.At, table: e.Table, what: e.Event, state: stateWord(&f)})
		}
	}
	if e.Lost > 0 || e.Overruns > 0 {
		list = append(list, moment{at: now, what: "events were lost: not all that happened is here"})
	}
	return list
}
