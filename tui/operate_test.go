package tui

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// TestOperationsAreConfirmed: no operation runs until its words are typed again.
func TestOperationsAreConfirmed(t *testing.T) {
	d := newFakeDaemon()
	r := start(t, d.serve(t), Options{Write: true})
	give := func(command, confirmation string) {
		r.press(":")
		r.typeIn(command)
		r.press("enter")
		if label, _ := r.m.typing(); label == confirmLabel {
			r.typeIn(confirmation)
			r.press("enter")
		}
	}
	give("commit", "comit")
	r.shows("! not confirmed: nothing was done")
	give("nonsense", "")
	r.shows(`unknown command "nonsense"`)
	r.press("esc")
	give("flush both", "")
	r.shows(`unknown command "flush both"`)
	r.press("esc")
	r.press(":")
	r.typeIn("purge")
	r.press("enter")
	r.shows("purge shortens the kernel's timeouts")
	r.press("esc")
	if n := d.count(func() int { return len(d.actions) }); n != 0 {
		t.Fatalf("done without confirmation: %v", d.actions)
	}
	give("commit", "commit")
	r.shows("commit: 12 flows committed")
	give("reset external", "reset external")
	r.shows("reset external: 12 flows committed")
	want := []control.Action{{Verb: control.Commit}, {Verb: control.Reset, Cache: control.CacheExternal}}
	if diff := cmp.Diff(want, d.actions); diff != "" {
		t.Error(diff)
	}
	for _, v := range []control.Verb{
		control.Commit, control.Flush, control.Resync, control.Bulk, control.Request, control.Purge, control.Reset,
		control.Restart,
	} {
		if !slices.ContainsFunc(operations, func(o operation) bool { return o.Verb == v }) {
			t.Errorf("%s cannot be given", v)
		}
	}
	for i := range operations {
		o := operations[i]
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", o.words(), err)
		}
		m := sample()
		m.confirm(o)
		if text := m.promptAdvice(); width(text) > m.width {
			t.Errorf("%q is cut in a terminal of %d columns", text, m.width)
		}
	}
}

func TestSave(t *testing.T) {
	d := newFakeDaemon()
	d.flows[control.TableInternal][1] = sampleFlow6()
	r := inTableOf(t, d)
	dir := t.TempDir()
	save := func(name string) string {
		path := filepath.Join(dir, name)
		r.press("w", "ctrl+u")
		r.typeIn(path)
		r.press("enter")
		return path
	}
	path := save("rows.json")
	r.shows("18 rows written to")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []flow.Flow
	for dec := json.NewDecoder(strings.NewReader(string(b))); dec.More(); {
		var e control.Entry
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		f, err := e.JSON.Flow()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	if diff := cmp.Diff(d.flows[control.TableInternal][:18], got); diff != "" {
		t.Error(diff)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}

	save("rows.json")
	r.shows("file exists")
	save("rows.txt")
	r.shows("! the name must end in .json or .csv")
	r.press("esc")

	path = save("rows.csv")
	r.until("the second file is there", func(*model) bool {
		b, err = os.ReadFile(path)
		return err == nil && len(b) > 0
	})
	records, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
	if err != nil || len(records) != 19 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	column := func(name string) int { return slices.Index(records[0], name) }
	r2 := records[2]
	if r2[column("source")] != "[2001:db8:1111:2222:3333:4444:5555:6666]:65535" ||
		r2[column("timeout")] != "431999" || r2[column("state")] != "TIME_WAIT" {
		t.Errorf("record %v of %v", r2, records[0])
	}
}

// TestCSVSaysWhatIsKnown: the age comes from the kernel's timestamp, and what a flow does not have stays empty.
func TestCSVSaysWhatIsKnown(t *testing.T) {
	m := sample()
	m.table().source = 2
	counted, bare := sampleFlow(0), sampleFlow(1)
	counted.Has |= flow.HasTimestamp | flow.HasCounters
	counted.Start = uint64(noon.Add(-90 * time.Second).UnixNano())
	counted.Bytes, counted.Packets = [2]uint64{1000, 1}, [2]uint64{2, 3}
	bare.Has &^= flow.HasTimeout
	m.table().rows, m.table().filled = []row{{flow: counted}, {flow: bare}}, nil
	m.table().fill()
	columns := m.table().flowColumns()
	for i, want := range []map[string]string{
		{"TIMEOUT": "431999", "AGE": "90", "BYTES": "1001", "PACKETS": "5"},
		{"TIMEOUT": "", "AGE": "", "BYTES": "", "PACKETS": ""},
	} {
		record := m.table().csvRow(&m.table().rows[i], columns)
		for name, value := range want {
			at := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
			if at < 0 || record[at] != value {
				t.Errorf("row %d, %s: %q of %v, want %q", i, name, record, columns, value)
			}
		}
	}
}

// TestWriteAndCopyOtherViews: the rows of every view can be written and copied, not only flows.
func TestWriteAndCopyOtherViews(t *testing.T) {
	for _, r := range []struct {
		v                int
		name, csv, json  string
		rows             int
		copied, fileName string
	}{
		{viewExpect, "expectations",
			"internal,ftp,tcp,10.0.1.2:*,10.0.2.2:50185,10.0.1.2:42021,10.0.2.2:21,290", `"table":"external"`, 2,
			"internal  ftp  tcp 10.0.1.2:* → 10.0.2.2:50185", "ctsync-expectations-"},
		{viewTransitions, "transitions",
			"2026-11-23T06:48:00.002Z,GROUP,syncgrp,MASTER,done,996,4,0.0288", `"created":990`, 2,
			"2026-11-23 06:48:00 MASTER done: 996 committed", "ctsync-transitions-"},
		{viewLog, "log", "2026-11-23T12:00:00Z,ERROR,external cache committed", `"level":"DEBUG"`, 4,
			"2026-11-23 12:00:00 DEBUG external cache committed", "ctsync-log-"},
	} {
		m := sampleExpecting(sample())
		m.shown = m.screens[r.v]
		s := m.shown.(interface {
			visible() export
			selected() string
		})
		e := s.visible()
		var asCSV, asJSON strings.Builder
		if err := errors.Join(e.writeCSV(&asCSV), e.writeJSON(&asJSON)); err != nil {
			t.Error(err)
		}
		records, err := csv.NewReader(strings.NewReader(asCSV.String())).ReadAll()
		if err != nil || len(records) != r.rows+1 || strings.Count(asJSON.String(), "\n") != r.rows {
			t.Errorf("%s: %d records, %v, %s", r.name, len(records), err, asJSON.String())
		}
		if !strings.Contains(asCSV.String(), r.csv) || !strings.Contains(asJSON.String(), r.json) {
			t.Errorf("%s:\n%s\n%s", r.name, asCSV.String(), asJSON.String())
		}
		if got := s.selected(); !strings.HasPrefix(got, r.copied) {
			t.Errorf("%s: %q is copied", r.name, got)
		}
		pressed(m, "w")
		if _, name := m.typing(); !strings.HasPrefix(name, r.fileName) {
			t.Errorf("%s: the file is %q", r.name, name)
		}
	}
	m := sample() // of a long log only the visible lines
	for range 8 {
		m.log().kept = append(m.log().kept, m.log().kept...)
	}
	m.shown = m.screens[viewLog]
	if n := len(m.log().visibleLines()); n != (m.bodyHeight()+1)/2 {
		t.Errorf("%d lines of the log are visible", n)
	}
}

func TestCopyWritesOneSequence(t *testing.T) {
	got := clipboardSequence("tcp 1")
	if got != "\x1b]52;c;dGNwIDE=\a" {
		t.Errorf("%q", got)
	}
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := needTerminal(w); err == nil || !strings.Contains(err.Error(), "needs a terminal") {
		t.Errorf("a pipe is taken for a terminal: %v", err)
	}
	r := inTableOf(t, newFakeDaemon())
	r.m.out = &terminal{File: w}
	r.press("c")
	r.shows("sent to the terminal's clipboard: tcp      6 431999 ESTABLISHED src=10.1.0.0")
	w.Close()
	b := make([]byte, 1024)
	n, _ := pipe.Read(b)
	want := clipboardSequence(string(flow.AppendConntrack(nil, &r.m.table().rows[0].flow)))
	if string(b[:n]) != want {
		t.Errorf("written %q, want %q", b[:n], want)
	}
}

// TestLostDaemon shows the age of the data, and new data when the daemon is back.
func TestLostDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	r := begin(t, control.New(socket), Options{})
	t.Run("first run", func(t *testing.T) {
		newFakeDaemon().listen(t, socket)
		r.shows("1 000 flows")
		r.press("2")
		r.shows("of 1 000 flows")
	}) // the daemon ends with it
	r.shows("! no answer, data is")
	r.shows("in step unknown")
	r.press("1")
	r.shows("1 000 flows")
	d := newFakeDaemon()
	d.state.Statistics.Internal.Active = 77
	d.listen(t, socket)
	r.until("the new daemon is shown", func(m *model) bool {
		return m.state.err == nil && m.state.Statistics.Internal.Active == 77
	})
	r.press("2")
	r.shows("▸ tcp")
}

func TestNoDaemon(t *testing.T) {
	r := begin(t, control.New("/nonexistent/s"), Options{})
	r.shows("ctsyncd is not reachable at /nonexistent/s")
	r.shows("the monitor keeps trying")
}

func TestLog(t *testing.T) {
	d := newFakeDaemon()
	say := func(n int) {
		d.set(func() {
			for range n {
				id := len(d.log) + 1
				line := control.LogLine{ID: uint64(id), Time: noon, Level: "INFO", Text: "line " + itoa(id)}
				d.log = append(d.log, line)
			}
		})
	}
	say(50)
	r := start(t, d.serve(t), Options{})
	r.press("7")
	r.shows("line 50")
	r.press("g")
	r.shows("line 1")
	say(3)
	r.until("the lines are read", func(m *model) bool { return m.log().last == 53 })
	if !strings.Contains(r.screen(), "line 1\n") && !strings.Contains(r.screen(), "line 1 ") {
		t.Errorf("what is being read moves:\n%s", r.screen())
	}
	r.press("G")
	r.shows("line 53")
	d.set(func() { d.log = nil })
	say(1) // the daemon has restarted
	r.until("it is read from the start", func(m *model) bool { return m.log().last == 1 && len(m.log().kept) == 54 })
}

func TestExpectations(t *testing.T) {
	d := newFakeDaemon()
	d.state.Status.ExpectationSync = []string{"ftp"}
	m := sampleExpecting(sample())
	d.expecting = []flow.Expectation{m.expect().rows[0].entry}
	r := start(t, d.serve(t), Options{})
	r.press("4")
	r.shows("1 internal, 1 external")
	r.shows("ftp    tcp 10.0.1.2:* → 10.0.2.2:50185")
	r.press("j")
	if r.m.expect().list.cursor != 1 {
		t.Error("j does not go down")
	}
}

// TestExpectationsWithoutExternalCache lists those of the internal cache.
func TestExpectationsWithoutExternalCache(t *testing.T) {
	d := newFakeDaemon()
	d.injecting, d.state.Status.Injecting = true, true
	d.state.Status.ExpectationSync = []string{"ftp"}
	d.expecting = []flow.Expectation{sampleExpecting(sample()).expect().rows[0].entry}
	r := start(t, d.serve(t), Options{})
	r.press("4")
	r.shows("1 internal, the peer's go into the kernel at once")
	r.shows("ftp    tcp 10.0.1.2:* → 10.0.2.2:50185")
}

// TestResend lists the messages that the peer has not acknowledged, up to a limit.
func TestResend(t *testing.T) {
	d := newFakeDaemon()
	d.resend = []control.Resend{
		{Kind: control.ResendControl, Seq: 8}, {Kind: control.ResendObject, Seq: 9},
		{Kind: control.ResendObject, Seq: 10}, {Kind: control.ResendObject, Seq: 12},
	}
	r := start(t, d.serve(t), Options{})
	r.press("5")
	r.shows("control 8, 9-10, 12")
	r.shows("62.4ms after the event on average, 99% within 250ms")
	d.set(func() {
		d.resend = nil
		for i := range 2 * maxResend {
			d.resend = append(d.resend, control.Resend{Kind: control.ResendObject, Seq: uint32(1<<32 - 5 + i)})
		}
	})
	r.shows("the first 1 000: 4294967291-994") // sequence numbers wrap around
}

func TestTransitions(t *testing.T) {
	r := start(t, newFakeDaemon().serve(t), Options{})
	r.press("6")
	r.shows("996 of 1 010 flows in 8.6ms")
	r.shows("! 4: 4 ENOMEM")
}

// TestInjectedTakeover shows a takeover without a commit.
func TestInjectedTakeover(t *testing.T) {
	m := scene("transitions-injecting")
	text := ansi.Strip(m.View())
	for _, want := range []string{
		"1 197     !3", "1 197 of the peer's flows", "9 of them, not yet there when it started: waited 12ms",
		"Failed          ! 3",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen lacks %q:\n%s", want, text)
		}
	}
	if outcomePaint(&m.transitions().all[0]) != warn {
		t.Error("refused flows look like a success")
	}
}

// TestLongTransition says how many lines have no room.
func TestLongTransition(t *testing.T) {
	m := scene("transitions-long")
	for m.height = 8; m.height < 40; m.height++ {
		text := ansi.Strip(m.View())
		whole := strings.Contains(text, "10.0.0.9:1")
		more := strings.Contains(text, "more lines: ctsync show transitions")
		if whole == more {
			t.Errorf("at %d lines all is shown: %v\n%s", m.height, whole, text)
		}
	}
}

func TestServices(t *testing.T) {
	names, err := readServices(strings.NewReader("# comment\nhttps 443/tcp # web\nwww\t80/tcp http\nhttp-alt 80/tcp\n" +
		"odd 99999/tcp\nbad\nx 1/nothing\ndomain 53/udp\n"))
	want := services{{flow.TCP, 443}: "https", {flow.TCP, 80}: "www", {flow.UDP, 53}: "domain"}
	if diff := cmp.Diff(want, names, cmp.AllowUnexported(service{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	m := sample()
	m.takeServices(servicesMsg{names: names})
	m.shown = m.screens[viewTable]
	if !strings.Contains(m.View(), "203.0.113.0:https") {
		t.Error("ports have no names")
	}
	m = sample()
	if m.takeServices(servicesMsg{err: os.ErrNotExist}); m.names != nil || !m.note.bad {
		t.Error("a missing file is not said")
	}
}

func TestPace(t *testing.T) {
	var p pacer
	if !p.ready(noon) {
		t.Error("not ready at first")
	}
	p = pacer{serial: 4, busy: true, cancel: func() {}}
	if p.ready(noon) {
		t.Error("ready while a question is under way")
	}
	if taken(&p, answer[int]{serial: 3}, beat) {
		t.Error("the answer to an older question counts")
	}
	if !taken(&p, answer[int]{serial: 4, asked: noon, at: noon.Add(300 * time.Millisecond)}, beat) {
		t.Error("the answer does not count")
	}
	if p.ready(noon.Add(2 * time.Second)) {
		t.Error("a question that took 0.3 s is asked again after 2 s")
	}
	if !p.ready(noon.Add(3 * time.Second)) {
		t.Error("never asked again")
	}
	p = pacer{serial: 4, busy: true}
	taken(&p, answer[int]{serial: 4, asked: noon, at: noon.Add(stateTimeout), err: os.ErrDeadlineExceeded}, beat)
	if !p.ready(noon.Add(stateTimeout + beat)) {
		t.Error("a daemon that did not answer is left alone for long")
	}
	cancelled := false
	p = pacer{serial: 4, busy: true, cancel: func() { cancelled = true }}
	p.drop()
	if !cancelled || taken(&p, answer[int]{serial: 4}, beat) {
		t.Error("a question that was given up goes on")
	}
}
