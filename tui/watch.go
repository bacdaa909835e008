package tui

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// watch is the flow that is looked at: what each table has of it, and what happened to it since the view opened. What
// happened comes from the daemon's stream of events; the tables are looked at beside it, because a commit raises no event.
type watch struct {
	on        bool
	following bool // also while another view is shown
	orig      flow.Tuple
	since     time.Time
	top       int // first visible line

	pace    pacer
	err     error
	seen    [3]*row   // as lookedAt; nil = not there
	kernel  time.Time // when the kernel was last asked, which costs it a walk
	read    time.Time
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

// openFlow watches the selected flow and shows it.
func (m model) openFlow() (model, tea.Cmd) {
	r, ok := m.table.chosen()
	if !ok {
		return m, nil
	}
	m, open := m.startWatch(&r)
	m.view = viewFlow
	return m, open
}

// startWatch begins to watch a flow, unless it is the one that is watched.
func (m model) startWatch(r *row) (model, tea.Cmd) {
	if m.watch.on && m.watch.orig == r.flow.Orig {
		return m, nil
	}
	end := m.watch.end()
	m.watch = watch{on: true, orig: r.flow.Orig, since: m.now, serial: m.watch.serial + 1}
	m, cmd := m.watchBeat()
	return m, tea.Batch(end, cmd)
}

// followFlow begins or ends to follow a flow wherever the user goes.
func (m model) followFlow() (model, tea.Cmd) {
	if m.view == viewFlow {
		m.watch.following = !m.watch.following
		return m, nil
	}
	r, ok := m.table.chosen()
	if !ok {
		return m, nil
	}
	if m.watch.following && m.watch.orig == r.flow.Orig {
		end := m.watch.end()
		m.watch = watch{serial: m.watch.serial}
		return m, end
	}
	m, cmd := m.startWatch(&r)
	m.watch.following = true
	return m, cmd
}

// watchBeat looks at the flow when it is due, and opens the stream of events where none is open.
func (m model) watchBeat() (model, tea.Cmd) {
	w := &m.watch
	if m.view != viewFlow && m.view != viewTable && !w.following {
		end := w.end() // nobody looks any more
		m.watch = watch{serial: w.serial}
		return m, end
	}
	var cmds []tea.Cmd
	if w.pace.ready(m.now) {
		client, orig, before := m.client, w.orig, w.seen[0]
		kernel := m.now.Sub(w.kernel) >= kernelEvery
		if kernel {
			w.kernel = m.now
		}
		cmds = append(cmds, ask(&w.pace, m.now, listTimeout, func(ctx context.Context) (sighting, error) {
			return sight(ctx, client, orig, kernel, before)
		}))
	}
	if !w.opened && !m.now.Before(w.reopen) {
		w.opened = true
		cmds = append(cmds, openEvents(m.client, w.orig, w.serial))
	}
	return m, tea.Batch(cmds...)
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
func (m model) takeSighting(a answer[sighting]) model {
	w := &m.watch
	if !take(&w.pace, a, watchEvery) {
		return m
	}
	if w.err = a.err; a.err != nil {
		w.kernel = time.Time{} // not known what it has: the next look begins there
		return m
	}
	moments := len(w.history)
	for i, t := range lookedAt {
		w.changed(t, a.asked, a.value.seen[i])
	}
	if len(w.history) > moments {
		w.kernel = time.Time{} // what moves in the caches may have moved in the kernel
	}
	w.seen, w.read = a.value.seen, a.at
	return m
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

// noted appends moments to a copy of a list, of which the newest are kept: a model that was shown keeps what it showed.
func noted(list []moment, more ...moment) []moment {
	list = slices.Concat(list, more)
	return list[max(len(list)-maxHistory, 0):]
}

// resumed shows what happened during a pause. The look at the kernel before it may have been given up.
func (w watch) resumed() watch {
	w.kernel = time.Time{}
	w.history, w.held = noted(w.history, w.held...), nil
	return w
}

// role notes that the router became something else.
func (w watch) role(at time.Time, r control.Role) watch {
	if w.on {
		w.add(moment{at: at, what: "is " + string(r)})
	}
	return w
}

func stateWord(f *flow.Flow) string { return stateCell(f).text }

// words say in short where the flow is.
func (w *watch) words() string {
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

// end gives up all that is under way for the watch.
func (w *watch) end() tea.Cmd {
	w.pace.drop()
	return w.endEvents()
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

func openEvents(c *control.Client, orig flow.Tuple, serial int) tea.Cmd {
	return func() tea.Msg {
		filter, err := expr.Parse(tupleFilter(&orig))
		if err != nil {
			return watchMsg{serial: serial, err: err}
		}
		ctx, cancel := context.WithCancel(context.Background())
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

// takeWatched notes an event and waits for the next one.
func (m model) takeWatched(msg watchMsg) (tea.Model, tea.Cmd) {
	w := &m.watch
	if msg.serial != w.serial || !w.on {
		if s := msg.stream; s != nil {
			return m, func() tea.Msg { s.cancel(); return nil }
		}
		return m, nil
	}
	if msg.err != nil {
		w.broken, w.opened, w.reopen = msg.err, false, m.now.Add(reopenEvery)
		return m, w.endEvents()
	}
	w.events, w.broken = msg.stream, nil
	if happened := w.moments(&msg.event, m.now); m.paused {
		w.held = noted(w.held, happened...)
	} else {
		w.history = noted(w.history, happened...)
	}
	return m, msg.stream.next(w.serial)
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
