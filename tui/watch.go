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

// watch is one flow that is watched: what each table has of it, and its history since then. The history comes from the
// daemon's stream of events. The tables are read as well, because a commit causes no event.
type watch struct {
	on        bool
	following bool // in every view
	orig      flow.Tuple
	since     time.Time

	reading
	seen    [3]*row   // in the order of lookedAt; nil = the table does not have it
	kernel  time.Time // when the kernel's table was last dumped for it
	history []moment
	held    []moment // of a pause

	serial int // number of this watch: events of another one are dropped
	events *eventStream
	opened bool      // events is open, or being opened
	broken error     // why there are no events
	reopen time.Time // when to open events again
}

// lookedAt are the tables in which a flow is looked up, in the order in which they are shown.
var lookedAt = [3]control.Table{control.TableKernel, control.TableInternal, control.TableExternal}

const (
	watchEvery  = time.Second
	kernelEvery = 5 * time.Second
	reopenEvery = 5 * time.Second // after the stream of events broke
	maxHistory  = 500
	sameTuple   = 256 // the most flows that one filter matches: they differ in ICMP id, or in the zone of one direction
)

// moment is an entry of the history: something happened to the flow in a table, or to the router.
type moment struct {
	at    time.Time
	table control.Table // "" = the router
	what  string
	state string
}

// What was seen in a table without an event.
const (
	momentFound = "found"
	momentGone  = "gone"
)

// openSelected shows the flow that is selected in the table, or the one that is watched if none is.
func (f *flowView) openSelected() tea.Cmd {
	var end tea.Cmd
	if r, ok := f.table.chosen(); ok {
		end = f.start(&r)
	}
	return tea.Batch(end, f.show(f))
}

// start watches another flow, unless that is the one that is watched.
func (f *flowView) start(r *row) tea.Cmd {
	if f.on && f.orig == r.flow.Orig {
		return nil
	}
	end := f.end()
	f.on, f.orig, f.since, f.top = true, r.flow.Orig, f.now, 0
	return end
}

// end stops watching. Numbers go on, so that late answers and events are not taken for those of the next flow.
func (f *flowView) end() tea.Cmd {
	f.pace.drop()
	end := f.endEvents()
	f.watch = watch{reading: reading{pace: pacer{serial: f.pace.serial}}, serial: f.serial + 1}
	return end
}

// followSelected follows the flow that is selected in the table into every view, or stops that.
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

// beat looks the flow up in the tables if that is due, and opens the stream of events if none is open. If nobody looks
// at the flow any more, it stops watching.
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

// unread reports whether the flow has not been looked up yet.
func (f *flowView) unread() bool { return f.on && f.read.IsZero() }

func (f *flowView) take(msg tea.Msg) tea.Cmd {
	f.takeSighting(msg.(answer[sighting]))
	return nil
}

// sighting is what the tables have of a flow.
type sighting struct{ seen [3]*row }

// sight looks a flow up in the tables. Without kernel it does not ask for the kernel's table, and before is what that
// has.
func sight(
	ctx context.Context, c *control.Client, orig flow.Tuple, kernel bool, before *row,
) (s sighting, err error) {
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

// tupleFilter is the filter for a tuple. It may match other flows as well: see sameTuple.
func tupleFilter(t *flow.Tuple) string {
	text := fmt.Sprintf("proto:%d src:%v dst:%v", t.Proto, t.Src.IP(t.Family), t.Dst.IP(t.Family))
	if t.Proto.HasPorts() {
		text += fmt.Sprintf(" sport:%d dport:%d", t.SrcPort, t.DstPort)
	}
	return text + " zone:" + strconv.Itoa(int(t.Zone))
}

// takeSighting notes which tables have the flow now. A change without an event, such as a commit, goes into the
// history.
func (w *watch) takeSighting(a answer[sighting]) {
	if !fresh(&w.reading, a, watchEvery) {
		if w.err != nil {
			w.kernel = time.Time{} // it may have changed: the next look dumps it again
		}
		return
	}
	moments := len(w.history)
	for i, t := range lookedAt {
		w.changed(t, a.asked, a.value.seen[i])
	}
	if len(w.history) > moments {
		w.kernel = time.Time{} // what changed in a cache may have changed there too
	}
	w.seen = a.value.seen
}

// changed adds a moment if a table has the flow in another state than its last moment says. A look that was asked for
// before that moment says nothing new.
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

// add adds a moment to the history.
func (w *watch) add(h moment) { w.history = noted(w.history, h) }

// noted appends moments to a list, of which it keeps the newest.
func noted(list []moment, more ...moment) []moment {
	list = append(list, more...)
	return list[max(len(list)-maxHistory, 0):]
}

// resume adds what happened during the pause to the history. The pause may have cancelled a look at the kernel: it is
// due.
func (w *watch) resume() {
	w.kernel = time.Time{}
	w.history, w.held = noted(w.history, w.held...), nil
}

// became adds the router's new role to the history.
func (w *watch) became(at time.Time, r control.Role) {
	if w.on {
		w.add(moment{at: at, what: "is " + string(r)})
	}
}

func stateWord(f *flow.Flow) string { return stateCell(f).text }

// where says in short which table has the flow, and in which state.
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

// endEvents closes the stream of events, in a command because that may block.
func (w *watch) endEvents() tea.Cmd {
	if w.events == nil {
		return nil
	}
	s := w.events
	w.events = nil
	return func() tea.Msg { s.cancel(); return nil }
}

// eventStream is an open stream of events.
type eventStream struct {
	cancel context.CancelFunc
	dec    *json.Decoder
}

// watchMsg is an event of the watched flow, or the end of the stream.
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

// takeEvent adds an event to the history, and waits for the next one.
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

// moments returns what an event says about the flow.
func (w *watch) moments(e *control.EventJSON, now time.Time) (list []moment) {
	if e.Event != "" && e.JSON != nil && e.At != nil {
		if f, err := e.JSON.Flow(); err == nil && f.Orig == w.orig {
			list = append(list, moment{at: *e.At, table: e.Table, what: e.Event, state: stateWord(&f)})
		}
	}
	if e.Lost > 0 || e.Overruns > 0 {
		list = append(list, moment{at: now, what: "events were lost: this history has a gap"})
	}
	return list
}
