package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// inTableOf starts a monitor that shows the internal cache of d.
func inTableOf(t testing.TB, d *fakeDaemon) *run {
	t.Helper()
	r := start(t, d.serve(t), Options{})
	r.press("2")
	r.until("the table is read", func(m *model) bool { return !m.table().read.IsZero() })
	return r
}

func (r *run) selected() flow.Flow {
	r.t.Helper()
	x, ok := r.m.table().chosen()
	if !ok {
		r.t.Fatalf("nothing is selected\n%s", r.screen())
	}
	return x.flow
}

// here waits until the selected row has been read.
func (r *run) here() {
	r.t.Helper()
	r.until("the selected row is read", func(m *model) bool {
		_, ok := m.table().chosen()
		return ok && !m.table().pace.busy
	})
}

func TestScrolling(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	if got := len(r.m.table().rows); got != windowRows {
		t.Errorf("a window has %d rows, want %d", got, windowRows)
	}
	r.press("j", "j", "down", "k")
	if got := r.selected(); got.Orig != sampleFlow(2).Orig {
		t.Errorf("j j down k selects %v", got.Orig)
	}
	for i := 3; i < 1000; i++ { // through all windows, without waiting: no row is skipped
		r.press("j")
		if i%97 == 0 {
			r.here()
			if got := r.selected(); got.Orig != sampleFlow(i).Orig {
				t.Fatalf("row %d is %v", i, got.Orig)
			}
		}
	}
	r.press("j", "j")
	r.here()
	if got := r.selected(); got.Orig != sampleFlow(999).Orig {
		t.Errorf("the last row is %v", got.Orig)
	}
	r.press("g")
	r.here()
	if got := r.selected(); got.Orig != sampleFlow(0).Orig {
		t.Errorf("g selects %v", got.Orig)
	}
	r.press("G")
	r.here()
	if got := r.selected(); got.Orig != sampleFlow(999).Orig {
		t.Errorf("G selects %v", got.Orig)
	}
	r.press("pgup", "pgup")
	r.here()
	if got, want := r.selected(), sampleFlow(999-2*r.m.table().height()); got.Orig != want.Orig {
		t.Errorf("two pages up is %v, want %v", got.Orig, want.Orig)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.ContainsFunc(d.asked, func(q control.FlowQuery) bool { return q.From > 0 }) {
		t.Error("no list was continued from where it ended: to skip means to walk")
	}
	for _, q := range d.asked {
		if q.Limit == 0 || q.Limit > 5*windowRows {
			t.Errorf("asked for %d rows", q.Limit)
		}
	}
}

// TestSelectionFollowsItsFlow keeps a flow selected when others above it end, and when the terminal changes.
func TestSelectionFollowsItsFlow(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	for range 30 {
		r.press("j")
	}
	r.here()
	line := r.m.table().list.cursor - r.m.table().list.top
	d.set(func() {
		d.flows[control.TableInternal] = d.flows[control.TableInternal][10:]
		d.state.Statistics.Internal.Active = 990
	})
	r.until("the shorter list is read", func(m *model) bool { return m.table().list.cursor == 20 })
	if got := r.selected(); got.Orig != sampleFlow(30).Orig {
		t.Errorf("selected is %v", got.Orig)
	}
	if got := r.m.table().list.cursor - r.m.table().list.top; got != line {
		t.Errorf("it moved from line %d to %d", line, got)
	}
	for _, size := range [][2]int{{40, 10}, {200, 60}, {1, 1}, {80, 24}} {
		r.take(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		l := r.m.table().list
		height := r.m.table().height()
		if got := r.selected(); got.Orig != sampleFlow(30).Orig || l.cursor < l.top || l.cursor >= l.top+height {
			t.Errorf("at %v: %v, line %d of %d", size, got.Orig, l.cursor-l.top, height)
		}
	}
}

func TestSorting(t *testing.T) {
	d := newFakeDaemon()
	slices.Reverse(d.flows[control.TableInternal])
	r := inTableOf(t, d)
	r.press("s") // by protocol
	r.press("s") // by source
	r.until("sorted", func(m *model) bool {
		_, ok := m.table().chosen()
		return ok && m.table().order.by == "source" && !m.table().stale
	})
	if got := r.selected(); got.Orig != sampleFlow(0).Orig {
		t.Errorf("the first by source is %v", got.Orig)
	}
	r.shows("SOURCE▲")
	r.press("S")
	r.shows("SOURCE▼")
	r.until("sorted in reverse", func(m *model) bool {
		x, ok := m.table().chosen()
		return ok && x.flow.Orig == sampleFlow(999).Orig
	})
	seen := map[string]bool{}
	for range 12 {
		r.press("s")
		seen[r.m.table().order.by] = true
	}
	for _, want := range []string{"", "protocol", "source", "destination", "state", "timeout"} {
		if !seen[want] {
			t.Errorf("s does not come by %q: %v", want, seen)
		}
	}
	if seen["idle"] || seen["age"] {
		t.Error("s sorts by a column that is not visible at 80 columns")
	}
}

// TestOrderStaysWithTheTable keeps an order for the tables that can have it, and drops it at one that cannot.
func TestOrderStaysWithTheTable(t *testing.T) {
	m := sample()
	m.shown, m.table().order = m.screens[viewTable], order{by: "idle", desc: true}
	for _, want := range []string{"idle", ""} { // external, kernel
		if m = pressed(m, "t"); m.table().order.by != want {
			t.Errorf("%s is sorted by %q, want %q", m.table().from().name, m.table().order.by, want)
		}
	}
	m.table().order = order{by: "bytes"}
	if m = pressed(m, "t", "t", "t"); m.table().order.by != "" {
		t.Errorf("%s is sorted by %q", m.table().from().name, m.table().order.by)
	}
}

// TestGroups lists the top talkers, and then the flows of one.
func TestGroups(t *testing.T) {
	d := newFakeDaemon()
	d.flows[control.TableInternal] = d.flows[control.TableInternal][:7]
	r := inTableOf(t, d)
	r.press("b", "b")
	r.shows("7 flows of internal by destination")
	r.shows("203.0.113.0                  2  28.6%")
	r.press("enter")
	r.shows("filter dst:203.0.113.0")
	r.shows("1 of 2 that match")
	r.press("b", "b")
	r.shows("2 flows of internal by destination")
	r.press("esc")
	r.shows("1 of 2 that match")
	r.press("esc")
	r.shows("of 7 flows")
}

// TestSortedGroups sorts groups by their columns.
func TestSortedGroups(t *testing.T) {
	d := newFakeDaemon()
	d.flows[control.TableInternal] = d.flows[control.TableInternal][1:7]
	r := inTableOf(t, d)
	r.press("b", "b")
	r.shows("FLOWS▼")
	r.shows("▸ 203.0.113.1")
	r.press("s")
	r.shows("DESTINATION▲")
	r.shows("▸ 203.0.113.0")
	r.press("S")
	r.shows("DESTINATION▼")
	r.press("s")
	r.shows("FLOWS▼")
	m := scene("groups")
	m.table().source, m.table().groups.Bytes = 2, 1
	m.width = 120
	for _, want := range []string{"packets", "bytes", "key", "flows"} {
		if m = pressed(m, "s"); m.table().sorting().by != want {
			t.Errorf("s sorts by %s, want %s", m.table().sorting().by, want)
		}
		if !slices.Contains(control.GroupOrders, want) {
			t.Errorf("the daemon does not sort groups by %s", want)
		}
	}
	m.table().groupOrder = order{by: "bytes"}
	if m = pressed(m, "T"); m.table().sorting().by != "flows" {
		t.Errorf("the groups of a cache are sorted by %s", m.table().sorting().by)
	}
}

func TestGroupTerms(t *testing.T) {
	for _, r := range []struct{ by, key string }{
		{"source", "10.0.0.1"}, {"source", "2001:db8::1"}, {"destination", "10.0.0.1"},
		{"source-network", "10.0.0.0/24"},
		{"source-network", "2001:db8::/64"}, {"port", "tcp/443"}, {"port", "icmp"}, {"port", "99"}, {"protocol", "udp"},
		{"state", "tcp ESTABLISHED"},
		{"state", "tcp SYN_SENT2"}, {"state", "udp"}, {"zone", "7"},
	} {
		if _, err := expr.Parse(groupTerm(r.by, r.key)); err != nil {
			t.Errorf("%s %s: %q: %v", r.by, r.key, groupTerm(r.by, r.key), err)
		}
	}
	for _, k := range groupKeys {
		if k != "" && !slices.Contains(control.GroupKeys, k) {
			t.Errorf("the daemon does not group by %s", k)
		}
	}
}

func TestColumnsCanBeSorted(t *testing.T) {
	for i := range sources {
		tab := table{question: question{source: i}, window: window{filled: optional}}
		for _, c := range tab.flowColumns() {
			if c.sort != "" && !slices.Contains(control.Orders, c.sort) {
				t.Errorf("%s: the daemon does not sort by %s", sources[i].name, c.sort)
			}
		}
	}
}

// TestWhatIsNotLiveIsReadOnce spares the kernel's table.
func TestWhatIsNotLiveIsReadOnce(t *testing.T) {
	d := newFakeDaemon()
	d.flows[control.TableKernel] = d.flows[control.TableInternal][:5]
	r := inTableOf(t, d)
	r.press("t", "t")
	r.shows("of 5 flows")
	asked := func() int {
		return d.count(func() (n int) {
			for _, q := range d.asked {
				if q.Table == control.TableKernel {
					n++
				}
			}
			return n
		})
	}
	r.shows("read 2s ago")
	if n := asked(); n != 1 {
		t.Errorf("the kernel's table was read %d times", n)
	}
	r.press("r")
	r.until("it is read again", func(*model) bool { return asked() == 2 })
}

// TestFailedReadIsTriedAgain also if the table is read once, but not at every beat: each try may cost a dump.
func TestFailedReadIsTriedAgain(t *testing.T) {
	m := pressed(sample(), "2")
	m.table().source = 2
	m.table().pace = pacer{serial: 1, busy: true}
	m.take(answer[page]{of: &m.table().pace, serial: 1, asked: m.now, at: m.now, err: errors.New("gone")})
	asks := func() bool { m.beat(); return m.table().pace.busy }
	if m.now = m.now.Add(beat); asks() {
		t.Error("it is tried again at the next beat")
	}
	if m.now = m.now.Add(retryEvery); !asks() {
		t.Error("it is never tried again")
	}
}

// TestRefusalIsShown in the daemon's words, until it answers again.
func TestRefusalIsShown(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	d.set(func() {
		d.refuse = &control.Error{Code: control.CodeBusy, Message: "16 lists are being read already", Hint: "try again"}
	})
	r.shows("16 lists are being read already: try again")
	d.set(func() { d.refuse = nil })
	r.shows(fmt.Sprintf("▸ tcp    %s", "10.1.0.0:1024"))
}

func TestRefusalByTheKernelsTable(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	r.press("t", "t", "/")
	r.typeIn("idle>1m")
	r.press("enter")
	r.shows("the kernel's table does not tell how long a flow is idle")
}

// TestKeysDoNotWaitForTheDaemon: if it does not answer at all, every key still changes the screen.
func TestKeysDoNotWaitForTheDaemon(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	d.mu.Lock() // no answer comes from here on
	defer d.mu.Unlock()
	last := r.screen()
	for _, k := range strings.Fields("j G g pgdown k s b B t 5 1 ? esc 2 / 5 enter") {
		r.press(k)
		if got := r.screen(); got == last {
			t.Errorf("%s changes nothing:\n%s", k, got)
		} else {
			last = got
		}
	}
}

// TestEndOfASortedList goes as far as the daemon can skip, and says that there is more.
func TestEndOfASortedList(t *testing.T) {
	d := newFakeDaemon()
	d.state.Statistics.Internal.Active = 1_000_000 // more than the fake has: the test looks at the questions only
	r := inTableOf(t, d)
	r.until("the size is known", func(m *model) bool { return m.state.known() })
	r.m.table().order = order{by: "source"}
	r.m.table().ended = false
	r.m.table().sized()
	r.m.table().list = r.m.table().list.move(1<<30, r.m.table().height())
	if q := r.m.table().request(r.m.table().height()).query; q.Skip >= 100_000 || q.Limit > control.MaxSorted {
		t.Errorf("asks for %d rows from %d", q.Limit, q.Skip)
	}
	if want := "100k of 100k, the first of 1.00M flows"; !strings.Contains(r.screen(), want) {
		t.Errorf("the screen lacks %q:\n%s", want, r.screen())
	}
	r.m.table().source = 2 // the kernel's table
	r.m.state.Statistics.Kernel.TableEntries = 1_000_000
	r.m.table().sized()
	if q := r.m.table().request(r.m.table().height()).query; q.Skip > control.MaxSorted {
		t.Errorf("asks the kernel's table from %d", q.Skip)
	}
}
