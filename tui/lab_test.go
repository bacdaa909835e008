package tui

import (
	"cmp"
	"context"
	"flag"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

var update = flag.Bool("update", false, "write the golden frames")

// The views by their places.
const (
	viewOverview = iota
	viewTable
	viewFlow
	viewExpect
	viewLinks
	viewTransitions
	viewLog
	views
)

func (m *model) view() int                 { return slices.Index(m.screens, m.shown) }
func (m *model) table() *table             { return m.screens[viewTable].(*table) }
func (m *model) expect() *expectations     { return m.screens[viewExpect].(*expectations) }
func (m *model) links() *links             { return m.screens[viewLinks].(*links) }
func (m *model) transitions() *transitions { return m.screens[viewTransitions].(*transitions) }
func (m *model) log() *logView             { return m.screens[viewLog].(*logView) }
func (m *model) bindings() []binding       { return slices.Concat(m.keys[m.shown], m.general) }
func (m *model) typing() (label, text string) {
	if m.prompt == nil {
		return "", ""
	}
	return m.prompt.label, m.prompt.Value()
}

func TestMain(m *testing.M) {
	time.Local = time.UTC
	flag.Parse()
	// The last tick of a monitor ends by itself within a beat.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/charmbracelet/bubbletea.Tick.func1"))
}

// noon is the time of all samples.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fakeDaemon answers through the real control server from memory.
type fakeDaemon struct {
	mu        sync.Mutex
	state     control.Snapshot
	flows     map[control.Table][]flow.Flow
	differ    []control.Difference
	asked     []control.FlowQuery // for flows
	actions   []control.Action
	events    chan control.Event
	watched   int // readers of events
	log       []control.LogLine
	expecting []flow.Expectation
	resend    []control.Resend
	refuse    error // of lists
	injecting bool  // disable-external-cache is on
}

func newFakeDaemon() *fakeDaemon {
	d := &fakeDaemon{state: sampleState(), flows: map[control.Table][]flow.Flow{}, events: make(chan control.Event)}
	for i := range 1000 {
		d.flows[control.TableInternal] = append(d.flows[control.TableInternal], sampleFlow(i))
	}
	return d
}

func sampleFlow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, SrcPort: uint16(1024 + i), DstPort: []uint16{443, 22, 80}[i%3],
			Src: flow.Addr{10, 1, byte(i % 7), byte(i)}, Dst: flow.Addr{203, 0, 113, byte(i % 5)},
		},
		Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasID,
		Status: flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed, Timeout: 431999,
		TCPState: flow.TCPEstablished, ID: uint32(1e9 + i),
	}
	f.Reply = f.Orig.Inverse()
	if i%2 == 0 {
		f.Reply.Dst = flow.Addr{192, 0, 2, 1}
	}
	return f
}

// sampleFlow6 has the longest addresses.
func sampleFlow6() flow.Flow {
	f := sampleFlow(0)
	f.Orig.Family = flow.IPv6
	f.Orig.Src = flow.AddrFrom(netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"))
	f.Orig.Dst = flow.AddrFrom(netip.MustParseAddr("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"))
	f.Orig.SrcPort, f.TCPState = 65535, 7
	f.Reply = f.Orig.Inverse()
	return f
}

func sampleState() control.Snapshot {
	t := sampleTransition()
	return control.Snapshot{
		Status: control.Status{
			Version: "1", Mode: "ftfw", Role: control.RoleMaster, RoleSince: noon.Add(-5*time.Hour - 12*time.Minute),
			SyncGroup: "syncgrp",
			Interface: "eth2", Transport: "UDP", Peer: "198.51.100.2", PeerHeard: noon.Add(-400 * time.Millisecond),
			Established: true, InStep: true, LastTransition: &t,
		},
		Statistics: control.Statistics{
			Internal: control.CacheStats{Active: 1000}, External: control.CacheStats{Active: 12},
			Links: []control.LinkStatistics{{
				Transport: "UDP", Device: "eth2", State: "RUNNING", Role: control.LinkActive, BytesSent: 5e6,
				BytesReceived: 1e6,
				PacketsSent:   4000, PacketsReceived: 900, Dropped: map[string]uint64{"wrong source": 3},
				SendBuffer:    control.Buffer{Asked: 1 << 20, Granted: 1 << 20},
				ReceiveBuffer: control.Buffer{Asked: 1 << 20, Granted: 212992},
			}},
			Tracking: control.Tracking{Lost: 2, Malformed: control.Malformed{BadPayload: 1}},
			Session: control.SessionStatistics{
				State: "established", Sequence: 4711, PeerSequence: 815,
				Sent:     map[string]uint64{"new": 1200, "ack": 30, "hello": 1},
				Received: map[string]uint64{"new": 12, "ack": 600}, Window: 4096, Unacknowledged: 3,
			},
			Times: control.Times{EventAcknowledged: control.Histogram{
				Count: 100, Sum: control.Duration(6240 * time.Millisecond),
				Buckets: []control.Bucket{
					{UpTo: control.Duration(50 * time.Millisecond), Count: 60},
					{UpTo: control.Duration(250 * time.Millisecond), Count: 100},
				},
			}},
			Kernel: control.KernelStatistics{Events: 5000, TableEntries: 1003, TableMax: 262144},
		},
	}
}

func sampleTransition() control.Transition {
	at := noon.Add(-5*time.Hour - 12*time.Minute)
	return control.Transition{
		ID: 7, Type: control.TypeGroup, Group: "syncgrp", State: control.StateMaster, Source: "notify pid=1234 uid=0",
		Sent: at, Received: at.Add(2 * time.Millisecond), Started: at.Add(2200 * time.Microsecond),
		Finished: at.Add(31 * time.Millisecond),
		Outcome:  control.OutcomeDone,
		Commit: &control.CommitResult{
			Total: 1010, Created: 990, Updated: 5, Replaced: 1, Expired: 10, Failed: 4,
			Duration: control.Duration(8600 * time.Microsecond),
			Errors:   map[string]uint64{"ENOMEM": 4}, Degraded: map[string]uint64{"helper ftp": 2},
			Named: []string{"tcp 10.0.0.1:1 > 10.0.0.2:2: ENOMEM"},
		},
	}
}

// serve returns a client of d.
func (d *fakeDaemon) serve(t testing.TB) *control.Client {
	t.Helper()
	return control.New(d.listen(t, filepath.Join(t.TempDir(), "s")))
}

func (d *fakeDaemon) listen(t testing.TB, socket string) string {
	t.Helper()
	ln, err := control.Listen(t.Context(), socket, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := control.NewServer(d.backend(), slog.New(slog.DiscardHandler)).Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return socket
}

func (d *fakeDaemon) backend() control.Backend {
	return control.Backend{
		Snapshot: func(context.Context) (control.Snapshot, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.state, nil
		},
		Transitions: func(context.Context) ([]control.Transition, error) {
			return []control.Transition{sampleTransition()}, nil
		},
		Notify: func(context.Context, control.Notification) (control.Transition, error) {
			return control.Transition{}, nil
		},
		Action: func(_ context.Context, a control.Action, progress func(int, int)) (control.Result, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.actions = append(d.actions, a)
			progress(1, 2)
			return control.Result{Summary: "12 flows committed"}, nil
		},
		Flows:        d.list,
		Expectations: d.expectations,
		Resend: func(context.Context) ([]control.Resend, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.resend, nil
		},
		Groups:      d.group,
		Differences: d.differences,
		Events:      d.watch,
		Log: func(after uint64) control.LogPage {
			d.mu.Lock()
			defer d.mu.Unlock()
			p := control.LogPage{Last: uint64(len(d.log))}
			if after < p.Last {
				p.Lines = d.log[after:]
			}
			return p
		},
	}
}

func (d *fakeDaemon) expectations(
	_ context.Context, q control.FlowQuery, fn func(*flow.Expectation, control.Meta) error,
) error {
	if err := d.without(q.Table); err != nil {
		return err
	}
	for i := range d.expecting {
		if err := fn(&d.expecting[i], control.Meta{Created: noon}); err != nil {
			return err
		}
	}
	return nil
}

// list answers as the daemon does. All orders are by source port.
func (d *fakeDaemon) list(_ context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
	d.mu.Lock()
	d.asked = append(d.asked, q)
	flows, err := slices.Clone(d.flows[q.Table]), cmp.Or(d.refuse, d.withoutLocked(q.Table))
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if q.Sort != "" {
		slices.SortFunc(flows, func(a, b flow.Flow) int { return cmp.Compare(a.Orig.SrcPort, b.Orig.SrcPort) })
		if q.Desc {
			slices.Reverse(flows)
		}
	}
	left := q.Limit
	for i := range flows {
		if q.Filter != nil && !q.Filter.Match(&flows[i], flow.Ages{}) || uint32(i+1) < q.From {
			continue
		}
		if q.Skip > 0 {
			q.Skip--
			continue
		}
		m := control.Meta{Created: noon.Add(-time.Minute), Updated: noon.Add(-time.Second), Place: uint32(i + 1)}
		if q.Table == control.TableKernel {
			m = control.Meta{}
		}
		if err := fn(&flows[i], m); err != nil {
			return err
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

// without refuses the external cache as a daemon with disable-external-cache does.
func (d *fakeDaemon) without(t control.Table) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.withoutLocked(t)
}

func (d *fakeDaemon) withoutLocked(t control.Table) error {
	if d.injecting && t == control.TableExternal {
		return &control.Error{
			Code:    control.CodeDisabled,
			Message: "there is no external cache with disable-external-cache", Hint: "see the kernel's table",
		}
	}
	return nil
}

func (d *fakeDaemon) group(_ context.Context, q control.FlowQuery) (control.Groups, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := control.Groups{By: q.Group}
	counts := map[string]uint64{}
	for _, f := range d.flows[q.Table] {
		if q.Filter == nil || q.Filter.Match(&f, flow.Ages{}) {
			counts[f.Orig.Dst.IP(f.Orig.Family).String()]++
			g.Flows++
		}
	}
	for key, n := range counts {
		g.Groups = append(g.Groups, control.Group{Key: key, Count: control.Count{Flows: n}})
	}
	slices.SortFunc(g.Groups, func(a, b control.Group) int {
		if q.Sort == "key" {
			return strings.Compare(a.Key, b.Key)
		}
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), strings.Compare(a.Key, b.Key))
	})
	return g, nil
}

func (d *fakeDaemon) differences(
	_ context.Context, q control.FlowQuery, fn func(*control.Difference, control.Meta) error,
) (control.DifferenceCounts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.withoutLocked(q.Table); err != nil {
		return control.DifferenceCounts{}, err
	}
	c := control.DifferenceCounts{Compared: 1003, Filtered: 2, Found: map[string]uint64{}}
	for i := range d.differ {
		c.Found[d.differ[i].What]++
		if err := fn(&d.differ[i], control.Meta{}); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (d *fakeDaemon) watch(ctx context.Context, q control.FlowQuery, fn func(*control.EventBatch) error) error {
	count := func(n int) { d.mu.Lock(); d.watched += n; d.mu.Unlock() }
	count(1)
	defer count(-1)
	if err := fn(&control.EventBatch{}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-d.events:
			if q.Filter.Match(&e.Flow, e.Ages) {
				if err := fn(&control.EventBatch{Events: []control.Event{e}}); err != nil {
					return err
				}
			}
		}
	}
}

// set changes what d answers.
func (d *fakeDaemon) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *fakeDaemon) count(f func() int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

// run is a monitor whose messages the test handles one at a time.
type run struct {
	t    testing.TB
	m    *model
	msgs chan tea.Msg
	quit bool
}

func start(t testing.TB, c *control.Client, opt Options) *run {
	t.Helper()
	r := begin(t, c, opt)
	r.until("has asked", func(m *model) bool { return m.state.known() })
	return r
}

// begin starts a monitor without waiting for its daemon.
func begin(t testing.TB, c *control.Client, opt Options) *run {
	r := &run{t: t, m: newModel(t.Context(), c, opt), msgs: make(chan tea.Msg, 64)}
	t.Cleanup(c.Close)
	r.do(r.m.Init())
	return r
}

// do runs a command as Bubble Tea does.
func (r *run) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, c := range msg {
				r.do(c)
			}
		default:
			select {
			case r.msgs <- msg:
			case <-r.m.ctx.Done():
			}
		}
	}()
}

func (r *run) take(msg tea.Msg) {
	if _, ok := msg.(tea.QuitMsg); ok {
		r.quit = true
		return
	}
	r.do(r.m.take(msg))
}

// until handles messages until cond holds.
func (r *run) until(what string, cond func(*model) bool) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for !cond(r.m) {
		select {
		case msg := <-r.msgs:
			r.take(msg)
		case <-deadline:
			r.t.Fatalf("not in time: %s\n%s", what, r.screen())
		}
	}
}

// shows waits until the screen contains a text.
func (r *run) shows(text string) {
	r.t.Helper()
	r.until("the screen shows "+text, func(*model) bool { return strings.Contains(r.screen(), text) })
}

func (r *run) screen() string { return ansi.Strip(r.m.View()) }

// press presses keys, by Bubble Tea's names.
func (r *run) press(names ...string) {
	for _, n := range names {
		r.take(keyNamed(n))
	}
}

// typeIn types a text letter by letter.
func (r *run) typeIn(text string) {
	for _, c := range text {
		r.take(keyNamed(string(c)))
	}
}

func keyNamed(name string) tea.KeyMsg {
	for typ, n := range map[tea.KeyType]string{
		tea.KeyEnter: "enter", tea.KeyEsc: "esc", tea.KeyTab: "tab", tea.KeyShiftTab: "shift+tab", tea.KeyUp: "up",
		tea.KeyDown: "down",
		tea.KeyLeft: "left", tea.KeyRight: "right", tea.KeyHome: "home", tea.KeyEnd: "end", tea.KeyPgUp: "pgup",
		tea.KeyPgDown:    "pgdown",
		tea.KeyBackspace: "backspace", tea.KeyCtrlC: "ctrl+c", tea.KeyCtrlU: "ctrl+u", tea.KeyCtrlD: "ctrl+d",
		tea.KeyCtrlW: "ctrl+w",
		tea.KeyCtrlK: "ctrl+k", tea.KeyDelete: "delete", tea.KeyF1: "f1",
	} {
		if n == name {
			return tea.KeyMsg{Type: typ}
		}
	}
	if name == " " {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}
