package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// TestFollowThroughFailover follows a flow of the peer through the commit that makes it ours. Tables, events and the
// change of role are in its history, whatever view is shown.
func TestFollowThroughFailover(t *testing.T) {
	d := newFakeDaemon()
	f := sampleFlow(5)
	d.flows = map[control.Table][]flow.Flow{control.TableExternal: {f}}
	d.state.Status.Role = control.RoleBackup
	r := inTableOf(t, d)
	r.press("t")
	r.until("the external cache is read", func(m *model) bool { return len(m.table().rows) == 1 })
	r.press("f", "1")
	r.shows("following external ESTABLISHED")
	r.until("events are watched", func(m *model) bool { return m.followed.events != nil })
	r.until("the role before is known", func(m *model) bool { return m.state.Status.Role == control.RoleBackup })

	d.set(func() {
		d.state.Status.Role = control.RoleMaster
		d.flows = map[control.Table][]flow.Flow{control.TableInternal: {f}, control.TableKernel: {f}}
	})
	r.shows("following kernel ESTABLISHED")
	closing := f
	closing.TCPState = 5
	other := sampleFlow(6)
	d.events <- control.Event{Kind: control.EventUpdate, Flow: other, At: time.Now()}
	d.events <- control.Event{Kind: control.EventUpdate, Flow: closing, At: time.Now()}
	r.until("the event is noted", func(m *model) bool {
		for _, h := range m.followed.history {
			if h.what == "update" && h.state == "CLOSE_WAIT" {
				return true
			}
		}
		return false
	})
	r.until("the change of role is known", func(m *model) bool { return m.state.Status.Role == control.RoleMaster })
	r.press("3")
	r.shows("[followed]")
	r.shows("kernel yes · internal yes · external no")
	screen := r.screen()
	for _, want := range []string{
		"external  found", "external  gone", "internal  found", "router    is master", "update     CLOSE_WAIT",
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("the history lacks %q:\n%s", want, screen)
		}
	}
	if strings.Count(screen, "update") != 1 {
		t.Errorf("an event of another flow is shown:\n%s", screen)
	}
	r.press("f", "1") // not followed any more: leaving the table ends the watch
	r.until("the daemon is left alone", func(m *model) bool {
		return !m.followed.on && d.count(func() int { return d.watched }) == 0
	})
}

func TestOpenFlow(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	r.press("j", "enter")
	r.shows("In              kernel no · internal yes · external no")
	r.shows("Status          seen_reply assured confirmed")
	r.shows("internal  found")
	r.press("esc")
	if r.m.view() != viewTable || r.selected().Orig != sampleFlow(1).Orig {
		t.Error("Esc does not go back to the row")
	}
	r.press("j", "3") // the flow that was open stays open
	if r.m.followed.orig != sampleFlow(1).Orig {
		t.Error("3 shows another flow")
	}
	d.set(func() { d.flows[control.TableInternal] = d.flows[control.TableInternal][2:] })
	r.shows("internal  gone")
}

// TestOpenFlowWithoutExternalCache shows what the other tables have.
func TestOpenFlowWithoutExternalCache(t *testing.T) {
	d := newFakeDaemon()
	d.injecting = true
	r := inTableOf(t, d)
	r.press("enter")
	r.shows("In              kernel no · internal yes · external no")
	r.shows("internal  found")
}

// TestRefusedEvents: without a stream of events the tables are still read, and the stream is not opened at every beat.
func TestRefusedEvents(t *testing.T) {
	m := sample()
	m.shown, m.followed.opened = m.screens[viewFlow], true
	m.followed.beat()
	if !m.followed.pace.busy {
		t.Fatal("the tables are not looked at")
	}
	m.take(watchMsg{serial: m.followed.serial, err: errors.New("refused")})
	if !m.followed.pace.busy {
		t.Error("the look at the tables is given up with the stream")
	}
	m.now = m.now.Add(beat)
	if m.followed.beat(); m.followed.opened {
		t.Error("the stream is asked for again at the next beat")
	}
	m.now = m.now.Add(reopenEvery)
	if m.followed.beat(); !m.followed.opened {
		t.Error("the stream is never asked for again")
	}
}

// TestFailedSighting dumps the kernel's table again soon.
func TestFailedSighting(t *testing.T) {
	m := sample()
	m.shown, m.followed.opened = m.screens[viewFlow], true
	m.followed.beat()
	m.take(answer[sighting]{of: &m.followed.pace, serial: m.followed.pace.serial, asked: m.now, at: m.now,
		err: errors.New("busy")})
	if !m.followed.kernel.IsZero() {
		t.Error("the kernel counts as read")
	}
}

func TestZoneWords(t *testing.T) {
	for _, r := range []struct {
		orig, reply uint16
		want        string
	}{
		{0, 0, ""}, {7, 7, "7"}, {7, 0, "7, original direction only"}, {0, 7, "7, reply direction only"},
		{1, 2, "original 1, reply 2"},
	} {
		f := sampleFlow(0)
		if f.Orig.Zone, f.Reply.Zone = r.orig, r.reply; zoneWords(&f) != r.want {
			t.Errorf("zones %d and %d: %q, want %q", r.orig, r.reply, zoneWords(&f), r.want)
		}
	}
}

func TestTupleFilter(t *testing.T) {
	icmp := sampleFlow(0)
	icmp.Orig.Proto, icmp.Orig.DstPort = flow.ICMP, 8<<8
	gre := sampleFlow6()
	gre.Orig.Proto, gre.Orig.Zone = flow.GRE, 7
	for _, f := range []flow.Flow{sampleFlow(0), sampleFlow6(), icmp, gre} {
		x, err := expr.Parse(tupleFilter(&f.Orig))
		if err != nil || !x.Match(&f, flow.Ages{}) {
			t.Errorf("%s: %v", tupleFilter(&f.Orig), err)
		}
	}
}

// TestFlowInAnotherZone: the same addresses in another zone, stored before it, do not hide a flow in the default zone.
func TestFlowInAnotherZone(t *testing.T) {
	d := newFakeDaemon()
	f := sampleFlow(5)
	other := f
	other.Orig.Zone, other.Reply.Zone = 7, 7
	half := f
	half.Orig.Zone = 8
	d.flows[control.TableInternal] = []flow.Flow{other, half, f}
	s, err := sight(t.Context(), d.serve(t), f.Orig, true, nil)
	if err != nil || s.seen[1] == nil || s.seen[1].flow.Orig != f.Orig {
		t.Errorf("seen %+v, %v", s.seen[1], err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.asked[0]; q.Filter.Match(&other, flow.Ages{}) {
		t.Errorf("%v lets another zone pass", q.Filter)
	}
}

// TestOldSightings: a look at the tables that is older than an event adds nothing.
func TestOldSightings(t *testing.T) {
	w := watch{on: true}
	f := sampleFlow(0)
	w.add(moment{at: noon, table: control.TableInternal, what: "destroy"})
	w.changed(control.TableInternal, noon.Add(-time.Millisecond), &row{flow: f})
	if len(w.history) != 1 {
		t.Errorf("history: %+v", w.history)
	}
	w.changed(control.TableInternal, noon.Add(time.Millisecond), &row{flow: f})
	if len(w.history) != 2 || w.history[1].what != momentFound {
		t.Errorf("history: %+v", w.history)
	}
	for range 2 * maxHistory {
		w.add(moment{})
	}
	if len(w.history) != maxHistory {
		t.Errorf("%d moments are held", len(w.history))
	}
}

// TestEventsOfAnotherWatch are dropped, and their stream is closed.
func TestEventsOfAnotherWatch(t *testing.T) {
	m := sample()
	m.followed.serial = 3
	was := len(m.followed.history)
	closed := false
	s := &eventStream{cancel: func() { closed = true }}
	cmd := m.take(watchMsg{serial: 2, stream: s})
	if cmd == nil {
		t.Fatal("the stream stays open")
	}
	cmd()
	if got := &m.followed.watch; !closed || len(got.history) != was || got.events != nil {
		t.Error("the event of an older watch counts")
	}
}

// TestAnswerForTheFlowBefore is ignored, whether it came in time or was cancelled.
func TestAnswerForTheFlowBefore(t *testing.T) {
	m := pressed(scene("table"), "j", "f")
	old := m.followed.pace.serial
	pressed(m, "j", "f")
	m.take(answer[sighting]{of: &m.followed.pace, serial: old, asked: m.now, at: m.now, err: context.Canceled})
	if m.followed.err != nil || !m.followed.pace.busy {
		t.Errorf("the flow that is followed has the answer of another: %v", m.followed.err)
	}
}
