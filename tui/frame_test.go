package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// sample is a monitor with something in every view, without a daemon.
func sample() *model {
	m := newModel(context.Background(), control.New("/nonexistent"), Options{})
	m.host, m.now = "router1", noon
	s := sampleState()
	m.state.Snapshot, m.state.read = s, noon
	before := s.Statistics
	before.Kernel.Events -= 123
	for range 3 {
		m.state.count(&before, time.Second)
	}
	for i := range 300 {
		f := sampleFlow(i)
		r := row{flow: f, created: noon.Add(-time.Minute), updated: noon.Add(-3 * time.Second)}
		m.table().rows = append(m.table().rows, r)
	}
	m.table().rows[2].flow = sampleFlow6()
	m.table().read = noon
	m.table().fill()
	m.table().sized()
	m.followed.watch = sampleWatch()
	m.transitions().all, m.transitions().read = []control.Transition{sampleTransition(), {
		ID: 6, Type: control.TypeGroup, Group: "syncgrp", State: control.StateBackup, Sent: noon.Add(-time.Hour * 30),
		Received: noon.Add(-time.Hour * 30), Outcome: "failed: the peer does not answer",
	}}, noon
	m.transitions().list.total = 2
	m.links().resend, m.links().read = []control.Resend{
		{Kind: control.ResendObject, Seq: 4709}, {Kind: control.ResendObject, Seq: 4710},
		{Kind: control.ResendControl, Seq: 4711, Flags: 4},
	}, noon
	m.log().read = noon
	for i, level := range []string{"INFO", "WARN", "ERROR", "DEBUG"} {
		m.log().kept = append(m.log().kept, control.LogLine{
			ID: uint64(i + 1), Time: noon, Level: level,
			Text: "external cache committed flows=1010 created=990 updated=5 replaced=1 expired=10",
		})
	}
	return m
}

func sampleWatch() watch {
	f := sampleFlow(0)
	kernel := row{flow: f}
	kernel.flow.Has |= flow.HasCounters | flow.HasUse | flow.HasTimestamp
	kernel.flow.Start = uint64(noon.Add(-time.Hour).UnixNano())
	kernel.flow.Stop = uint64(noon.Add(-time.Second).UnixNano())
	kernel.flow.Packets, kernel.flow.Bytes, kernel.flow.Use = [2]uint64{12, 10}, [2]uint64{4000, 123456}, 1
	return watch{
		on: true, orig: f.Orig, since: noon.Add(-time.Minute), reading: reading{read: noon},
		seen: [3]*row{&kernel, {flow: f, created: noon.Add(-time.Hour), updated: noon.Add(-time.Minute)}, nil},
		history: []moment{
			{at: noon.Add(-40 * time.Second), table: control.TableExternal, what: momentFound, state: "ESTABLISHED"},
			{at: noon.Add(-20 * time.Second), what: "is master"},
			{at: noon.Add(-19 * time.Second), table: control.TableInternal, what: "update", state: "ESTABLISHED"},
		},
	}
}

// sampleExpecting has expectations of either cache.
func sampleExpecting(m *model) *model {
	m.state.Status.ExpectationSync = []string{"ftp"}
	x := flow.Expectation{
		Has: flow.HasMaster | flow.HasMask | flow.HasHelper | flow.HasTimeout,
		Expect: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2},
			DstPort: 50185,
		},
		Mask: flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, DstPort: 65535},
		Master: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2},
			SrcPort: 42021, DstPort: 21,
		},
		Helper: [16]byte{'f', 't', 'p'}, Timeout: 290,
	}
	m.expect().rows = []expectRow{{control.TableInternal, x, noon}, {control.TableExternal, x, noon}}
	m.expect().read = noon
	m.expect().list.total = 2
	return m
}

// scene returns a new monitor in the state of a name.
func scene(name string) *model { return scenes()[name]() }

// scenes return new monitors, one for every state that looks different.
func scenes() map[string]func() *model {
	all := map[string]func() *model{}
	with := func(name string, v int, change func(*model)) {
		all[name] = func() *model {
			m := sample()
			m.shown = m.screens[v]
			change(m)
			return m
		}
	}
	names := viewNames()
	for v, name := range names {
		with(name, v, func(*model) {})
	}
	with("help", viewTable, func(m *model) { m.helping = true })
	with("help-write", viewOverview, func(m *model) { m.helping, m.write = true, true })
	with("not-in-step", viewOverview, func(m *model) {
		m.state.Status.InStep = false
		m.state.Status.Why = []string{"the peer has been silent for 9s", "12 messages are not acknowledged"}
		m.state.Status.Warnings = []string{"net.netfilter.nf_conntrack_events is 0"}
		m.state.Status.Jobs = []control.Job{{Name: "commit", Done: 12, Total: 1200}}
	})
	with("lost", viewOverview, func(m *model) {
		m.state.err = errors.New("ctsyncd is not reachable at /s: nobody serves the socket")
		m.now = noon.Add(75 * time.Second)
	})
	with("injecting", viewOverview, func(m *model) {
		m.state.Statistics.External = control.CacheStats{}
		m.state.Status.External, m.state.Status.Injecting, m.state.Status.Injected = 0, true, 1200
		m.state.Statistics.Inject = &control.InjectStatistics{Flows: 1200, Waiting: 17, Missing: 3, Lost: 2}
		t := *m.state.Status.LastTransition
		t.Commit, t.Inject = nil, &control.InjectResult{Present: 1197, Failed: 3}
		m.state.Status.LastTransition = &t
	})
	with("two-links", viewOverview, func(m *model) {
		second := control.LinkStatistics{Device: "eth3", State: "RUNNING", Role: control.LinkActive}
		m.state.Statistics.Links = append(m.state.Statistics.Links, second)
		m.state.Statistics.Links[0].State, m.state.Statistics.Links[0].Role = "NO-CARRIER", control.LinkBackup
		m.state.Status.ActiveLink = &control.ActiveLink{
			Device: "eth3", Since: noon.Add(-90 * time.Second), Reason: "eth2 has no carrier", Changes: 3,
		}
	})
	with("expectations-on", viewExpect, func(m *model) { sampleExpecting(m) })
	with("filter-wrong", viewTable, func(m *model) {
		pressed(m, "/")
		m.prompt.SetValue("proto:tcp dpot:443")
	})
	with("sorted", viewTable, func(m *model) {
		m.table().order = order{by: "source", desc: true}
		m.table().filter, _ = expr.Parse("proto:tcp")
		m.table().filterText, m.table().matches = "proto:tcp", 1000
		m.table().list.cursor = 4
		m.table().rows[5].gone, m.table().kept = true, true
	})
	with("stale", viewTable, func(m *model) {
		m.table().source = 2
		pressed(m, "s")
		m.table().pace.began, m.now = noon, noon.Add(3*time.Second)
	})
	with("filter-kernel", viewTable, func(m *model) {
		m.table().source = 2
		pressed(m, "/")
		m.prompt.SetValue("dport:4")
	})
	with("paused", viewFlow, func(m *model) {
		m.pause()
		m.followed.held = []moment{{at: noon, table: control.TableInternal, what: "destroy"}}
		m.now = noon.Add(time.Minute)
	})
	with("groups", viewTable, func(m *model) {
		m.table().group = "source"
		g := control.Groups{
			By: "source", Count: control.Count{Flows: 1000}, OtherCount: 3, Other: control.Count{Flows: 9},
		}
		for i := range 20 {
			count := control.Count{Flows: uint64(200 / (i + 1))}
			g.Groups = append(g.Groups, control.Group{Key: fmt.Sprintf("10.1.0.%d", i), Count: count})
		}
		m.table().groups = g
		m.table().sized()
	})
	with("differences", viewTable, func(m *model) {
		m.table().source = 3
		a, b := sampleFlow(1), sampleFlow(1)
		a.TCPState, a.Mark = 5, 7
		m.table().rows = []row{
			{difference: true, what: control.KernelOnly, flow: sampleFlow(0), kernel: &a},
			{
				difference: true, what: control.Differs, flow: b, kernel: &a,
				attributes: []string{"mark", "tcp-state", "labels"},
			},
		}
		m.table().counts = &control.DifferenceCounts{
			Compared: 1003, Filtered: 2, Found: map[string]uint64{control.KernelOnly: 1, control.Differs: 1},
		}
		m.table().ended, m.table().wide, m.table().filled = true, 0, nil
		m.table().fill()
		m.table().sized()
	})
	with("differences-disabled", viewTable, func(m *model) {
		t := emptied(m)
		t.source, t.stale, t.err = 4, true, &control.Error{
			Code: control.CodeDisabled, Message: "there is no external cache with disable-external-cache",
			Hint: "the peer's flows are in the kernel, see ctsync show table",
		}
	})
	with("confirm", viewOverview, func(m *model) {
		m.write = true
		m.confirm(operations[0])
		m.prompt.SetValue("com")
	})
	all["asking"] = func() *model {
		m := newModel(context.Background(), control.New("/nonexistent"), Options{})
		m.now, m.shown = noon, m.screens[viewTable]
		return m
	}
	with("following", viewOverview, func(m *model) { m.followed.following = true })
	for v, name := range names {
		if v == viewOverview {
			continue // "lost" is it
		}
		with("lost-"+name, v, func(m *model) {
			sampleExpecting(m)
			lost := errors.New("ctsyncd is not reachable at /s: nobody serves the socket")
			m.state.err, m.now = lost, noon.Add(75*time.Second)
			m.table().err, m.followed.err, m.expect().err = lost, lost, lost
			m.transitions().err, m.log().err = lost, lost
			m.settle()
		})
	}
	with("transitions-injecting", viewTransitions, func(m *model) {
		t := &m.transitions().all[0]
		t.Commit, t.Inject = nil, &control.InjectResult{
			Present: 1197, Late: 9, Failed: 3, Waited: control.Duration(12 * time.Millisecond),
			DumpDuration: control.Duration(4100 * time.Microsecond),
		}
	})
	with("transitions-long", viewTransitions, func(m *model) {
		c := *m.transitions().all[0].Commit
		for i := range 10 {
			c.Named = append(c.Named, fmt.Sprintf("tcp 10.0.0.%d:1 > 10.0.0.2:2: ENOMEM", i))
		}
		m.transitions().all[0].Commit = &c
	})
	with("empty", viewTable, func(m *model) {
		t := emptied(m)
		t.source, t.read, t.ended = 1, noon, true
	})
	return all
}

// viewNames returns the names of the views in lower case.
func viewNames() (names []string) {
	for _, s := range sample().screens {
		names = append(names, strings.ToLower(s.name()))
	}
	return names
}

// emptied returns the table of m after forgetting all that was read or asked.
func emptied(m *model) *table {
	t := m.table()
	t.reading, t.question, t.window = reading{}, question{}, window{}
	return t
}

// TestGolden compares every scene at 80×24 with a frame that a person has approved.
func TestGolden(t *testing.T) {
	for name, build := range scenes() {
		m := build()
		golden(t, name, strings.Join(trimmed(ansi.Strip(m.View())), "\n")+"\n")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func trimmed(text string) []string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// TestGeometry draws every scene at many sizes: the frame is as high as the terminal and never wider, and nothing
// panics.
func TestGeometry(t *testing.T) {
	widths := []int{0, 1, 2, 3, 4, 5, 7, 10, 16, 20, 25, 30, 39, 40, 49, 50, 59, 60, 79, 80, 81, 100, 132, 250}
	heights := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 23, 24, 25, 50, 90}
	for name, build := range scenes() {
		m := build()
		for _, ascii := range []bool{false, true} {
			m.look.ascii = ascii
			for _, w := range widths {
				for _, h := range heights {
					m.take(tea.WindowSizeMsg{Width: w, Height: h})
					check(t, name, m)
				}
			}
		}
	}
}

func check(t *testing.T, name string, m *model) {
	t.Helper()
	w, h := m.width, m.height
	lines := strings.Split(m.View(), "\n")
	if w > 0 && h > 0 && len(lines) != h {
		t.Fatalf("%s at %dx%d has %d lines", name, w, h, len(lines))
	}
	for _, l := range lines {
		if ansi.StringWidth(l) > w {
			t.Fatalf("%s at %dx%d has a line of %d columns: %q", name, w, h, ansi.StringWidth(l), l)
		}
		if m.look.ascii && strings.ContainsFunc(ansi.Strip(l), func(r rune) bool { return r > '~' }) {
			t.Fatalf("%s is not ASCII: %q", name, l)
		}
	}
}

// TestColoursHaveASecondCue compares frames with and without colours: the text is the same.
func TestColoursHaveASecondCue(t *testing.T) {
	for name, build := range scenes() {
		m := build()
		m.look.colour = true
		with := m.View()
		m.look.colour = false
		without := m.View()
		if ansi.Strip(with) != ansi.Strip(without) {
			t.Errorf("%s: the text depends on colours", name)
		}
		for part := range strings.SplitSeq(without, "\x1b[") {
			if code, _, ok := strings.Cut(part, "m"); ok && strings.ContainsAny(code, "3456789") &&
				code != "7" && strings.HasPrefix(code, "3") {
				t.Errorf("%s has a colour: %q", name, code)
			}
		}
	}
	for _, want := range []struct {
		change func(*model)
		cue    string
	}{
		{func(m *model) { m.state.Status.InStep = false }, "! not in step"},
		{func(m *model) { m.state.err = errors.New("gone") }, "! no answer"},
		{func(m *model) { m.state.Statistics.Links[0].State = "DOWN" }, "DOWN"},
		{func(m *model) { m.note = note{text: "refused", bad: true, until: m.now.Add(time.Second)} }, "! refused"},
		{func(m *model) { m.shown = m.screens[viewTable] }, "▸ tcp"},
		{func(m *model) { m.shown = m.screens[viewTable] }, "[2 Table]"},
	} {
		m := sample()
		want.change(m)
		if !strings.Contains(ansi.Strip(m.View()), want.cue) {
			t.Errorf("no %q on the screen:\n%s", want.cue, ansi.Strip(m.View()))
		}
	}
}

// TestLostDaemonLeavesTheData: every view keeps its data, with the reason above it.
func TestLostDaemonLeavesTheData(t *testing.T) {
	names := viewNames()
	for v, data := range map[int]string{
		viewTable: "10.1.0.0:1024", viewFlow: "Packets", viewExpect: "10.0.2.2:50185",
		viewTransitions: "MASTER       done", viewLog: "external cache committed",
	} {
		text := ansi.Strip(scene("lost-" + names[v]).View())
		if !strings.Contains(text, data) || !strings.Contains(text, "! ctsyncd is not reachable") {
			t.Errorf("%s lacks the reason or %q:\n%s", names[v], data, text)
		}
	}
}

// TestNarrowing drops columns by their importance, and ends with cards.
func TestNarrowing(t *testing.T) {
	m := sample()
	m.shown = m.screens[viewTable]
	m.table().rows[2] = m.table().rows[3]
	m.table().wide, m.table().filled = 0, nil
	m.table().fill()
	for _, r := range []struct {
		width int
		names string
	}{
		{130, "PROTO SOURCE DESTINATION STATE TIMEOUT NAT AGE IDLE ID"},
		{100, "PROTO SOURCE DESTINATION STATE TIMEOUT NAT AGE IDLE"},
		{80, "PROTO SOURCE DESTINATION STATE TIMEOUT NAT"},
		{66, "PROTO SOURCE DESTINATION STATE TIMEOUT"},
		{60, "PROTO SOURCE DESTINATION STATE"},
		{52, "PROTO SOURCE DESTINATION"},
		{50, ""},
	} {
		m.width = r.width
		g := m.table().grid()
		if got := strings.Join(strings.Fields(ansi.Strip(g.head(m.look))), " "); got != r.names ||
			g.card != (r.names == "") {
			t.Errorf("%d columns show %q, card %v", r.width, got, g.card)
		}
	}
}
