package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// TestIdle: a comparison or a bulk that only repeats a flow does not make it active, and its timeout runs on. What
// shows that packets passed, or that the flow changed, makes it active at that time.
func TestIdle(t *testing.T) {
	const has = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID | flow.HasMark
	type reading struct {
		at      int64 // seconds
		timeout uint32
		change  func(*flow.Flow)
	}
	changed := func(f *flow.Flow) { f.Mark = 9 }
	offloaded := func(f *flow.Flow) { f.Status |= flow.StatusOffload }
	silent := func(f *flow.Flow) { f.Has &^= flow.HasTimeout }
	changedSilent := func(f *flow.Flow) { silent(f); changed(f) }
	both := []string{"internal", "external"}
	for _, tc := range []struct {
		name  string
		where []string
		then  []reading // after 120 seconds were left at 1000
		idle  int64     // at the time of the last reading, and what is left then
		left  uint32
	}{
		{"nothing happened", both, []reading{{1060, 60, nil}}, 60, 60},
		{"nothing happened, twice", both, []reading{{1060, 60, nil}, {1110, 10, nil}}, 110, 10},
		{"seconds are rounded", both, []reading{{1050, 72, nil}, {1060, 58, nil}, {1070, 51, nil}}, 70, 50},
		{"packets passed 10 seconds ago", both, []reading{{1060, 110, nil}}, 10, 110},
		{"packets passed, then nothing", both, []reading{{1060, 110, nil}, {1100, 70, nil}}, 50, 70},
		{"packets pass", both, []reading{{1060, 119, nil}, {1120, 118, nil}, {1180, 117, nil}}, 3, 117},
		{"the timeout had passed", both, []reading{{1500, 100, nil}}, 20, 100},
		{"the timeout had passed, nothing happened", both, []reading{{1500, 0, nil}}, 500, 0},
		{"the first report came late", both, []reading{{1060, 55, nil}}, 60, 55},
		{"the first report came late, nothing since", both, []reading{{1060, 55, nil}, {1100, 15, nil}}, 100, 15},
		{"the first report came late, packets since", both, []reading{{1060, 55, nil}, {1100, 110, nil}}, 5, 110},
		{"a longer timer", both, []reading{{1060, 432000, nil}}, 0, 432000},
		{"a shorter timer", both, []reading{{1010, 30, nil}}, 0, 30},
		{"a longer timer, then nothing", both, []reading{{1060, 432000, nil}, {1160, 431900, nil}}, 100, 431900},
		{"changed", both, []reading{{1060, 60, changed}}, 0, 60},
		{"changed, then nothing", both, []reading{{1060, 60, changed}, {1080, 40, changed}}, 20, 40},
		{"no timeout", both, []reading{{1060, 0, silent}}, 60, 60},
		{"changed, no timeout", []string{"external"}, []reading{{1050, 0, changedSilent}}, 0, 70},
		{"offloaded: its packets do not set the timer", []string{"internal"}, []reading{{1060, 60, offloaded}}, 0, 60},
		{"conntrackd repeats what it said", []string{"external"}, []reading{{1060, 120, nil}}, 60, 60},
		{"set to the same again", []string{"internal"}, []reading{{1060, 120, nil}}, 0, 120},
	} {
		for _, where := range tc.where {
			n, x := NewInternal(0), NewExternal(0)
			f := uniform(tuple(1), has, 1)
			f.Timeout, f.Status = 120, flow.StatusAssured
			must(t, n.New(&f, 1000*second))
			must(t, x.New(&f, 1000*second))
			for _, r := range tc.then {
				g := f
				g.Timeout = r.timeout
				if r.change != nil {
					r.change(&g)
				}
				n.BeginReconcile()
				_, err := n.Reconcile(&g, r.at*second)
				must(t, err)
				must(t, x.Update(&g, r.at*second))
			}
			var e Entry
			if where == "internal" {
				n.Load(1, &e)
			} else {
				x.Load(1, &e)
			}
			last := tc.then[len(tc.then)-1].at
			want := flow.Ages{Age: time.Duration(last-1000) * time.Second, Idle: time.Duration(tc.idle) * time.Second}
			for range 2 { // the second time changes nothing
				if got := e.At(last * second); got != want || e.Flow.Timeout != tc.left {
					t.Errorf("%s, %s: %+v with %d s left, want %+v with %d",
						tc.name, where, got, e.Flow.Timeout, want, tc.left)
				}
			}
			if e.At((last+7)*second).Idle != want.Idle+7*time.Second || e.Flow.Timeout != max(tc.left, 7)-7 {
				t.Errorf("%s, %s: %d s left 7 seconds later", tc.name, where, e.Flow.Timeout)
			}
		}
	}
}

// TestIdleOfEvents: an event makes a flow active, and its timeout starts then, even if the event carries none.
func TestIdleOfEvents(t *testing.T) {
	n := NewInternal(0)
	f := uniform(tuple(1), flow.HasTimeout|flow.HasID|flow.HasMark, 1)
	f.Timeout = 120
	must(t, n.New(&f, 0))
	must(t, n.Update(&f, 50*second))
	var e Entry
	n.Load(1, &e)
	want := flow.Ages{Age: 60 * time.Second, Idle: 10 * time.Second}
	if d := cmp.Diff(want, e.At(60*second)); d != "" || e.Flow.Timeout != 110 {
		t.Errorf("%s, %d s left", d, e.Flow.Timeout)
	}
	f.Has &^= flow.HasTimeout
	must(t, n.Update(&f, 70*second))
	n.Load(1, &e)
	want.Age = 80 * time.Second
	if d := cmp.Diff(want, e.At(80*second)); d != "" || e.Flow.Timeout != 90 {
		t.Errorf("%s, %d s left", d, e.Flow.Timeout)
	}
	f = uniform(tuple(2), flow.HasID, 1)
	must(t, n.New(&f, 0))
	must(t, n.Update(&f, second))
	if n.Load(2, &e); e.At(2*second).Idle != time.Second || e.Flow.Timeout != 0 {
		t.Errorf("%d s left of no timeout", e.Flow.Timeout)
	}
}

// TestTimeoutOrder: an entry that was turned to a later moment has its place among those that were not.
func TestTimeoutOrder(t *testing.T) {
	n := NewInternal(0)
	for i, timeout := range []uint32{30, 10, 20} {
		f := uniform(tuple(i+1), flow.HasTimeout|flow.HasID, 1)
		f.Timeout = timeout
		must(t, n.New(&f, 0))
	}
	p := NewPager(ByTimeout, false, 0, 10, false)
	n.Scan(0, 10, func(e *Entry) bool {
		if e.Ref == 1 {
			e.At(25 * second)
		}
		p.Add(e)
		return true
	})
	if d := cmp.Diff([]Ref{2, 3, 1}, p.Refs()); d != "" {
		t.Error(d)
	}
}

// TestIdleOfExpectations is TestIdle for expectations, whose timer nothing sets again.
func TestIdleOfExpectations(t *testing.T) {
	n, x := newInternalExpect(10), NewExternalExpect(10)
	e := exp(1, 1)
	must(t, n.New(e, 1000*second))
	must(t, x.New(e, 1000*second))
	again := *e
	again.Timeout = 240
	n.BeginReconcile()
	_, err := n.Reconcile(&again, 1060*second)
	must(t, err)
	n.EndReconcile(true)
	must(t, x.Update(&again, 1060*second))
	want := flow.Ages{Age: 70 * time.Second, Idle: 70 * time.Second}
	for name, load := range map[string]func(Ref, *ExpectEntry) bool{"internal": n.Load, "external": x.Load} {
		var got ExpectEntry
		if load(n.ref(0), &got); got.At(1070*second) != want || got.Expectation.Timeout != 230 {
			t.Errorf("%s: %+v with %d s left", name, got.At(1070*second), got.Expectation.Timeout)
		}
	}
}
