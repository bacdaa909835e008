package tui

import (
	"slices"
	"testing"

	"ctsync/daemon/control"
)

// TestKeptOrder keeps rows in place while their values change and others come and go.
func TestKeptOrder(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	r.press("j", "o")
	d.set(func() {
		d.flows[control.TableInternal] = slices.Delete(d.flows[control.TableInternal], 1, 2)
		d.flows[control.TableInternal][0].TCPState = 7
	})
	r.until("the end of a flow is seen", func(m *model) bool { return m.table().rows[1].gone })
	if r.m.table().rows[0].flow.TCPState != 7 {
		t.Error("values do not change any more")
	}
	if got := r.selected(); got.Orig != sampleFlow(1).Orig {
		t.Errorf("row 1 became %v", got.Orig)
	}
	r.shows("order kept")
	r.press("k")
	r.shows("† tcp    10.1.1.1:1025")
	r.press("o")
	r.until("rows move again", func(m *model) bool {
		return len(m.table().rows) > 1 && m.table().rows[1].flow.Orig == sampleFlow(2).Orig
	})
}

// TestKeptOrderFarDown asks for all rows that stay in place, also if the daemon continues from a mark before them.
func TestKeptOrderFarDown(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	for range 25 {
		r.press("pgdown")
		r.here()
	}
	r.press("o")
	q := r.m.table().request(r.m.table().height())
	if last := r.m.table().first + len(r.m.table().rows); q.first+q.query.Limit-q.leave < last {
		end := q.first + q.query.Limit - q.leave
		t.Errorf("of the kept rows %d to %d those up to %d are asked for", r.m.table().first, last, end)
	}
	n := r.m.table().pace.serial
	r.until("they are read again", func(m *model) bool { return m.table().pace.serial > n && !m.table().pace.busy })
	for i := range r.m.table().rows {
		if r.m.table().rows[i].gone {
			t.Fatalf("row %d counts as gone", i)
		}
	}
}

// TestKeptRowsStayVisible: no key leaves the rows that stay in place, and the visible ones are written.
func TestKeptRowsStayVisible(t *testing.T) {
	m := sample()
	m.shown, m.table().first, m.table().kept = m.screens[viewTable], 400, true
	m.table().sized()
	m.table().list = m.table().list.move(500, m.table().height())
	for _, k := range []string{"g", "G", "pgup", "pgup", "g", "pgup", "k"} {
		m = pressed(m, k)
		l := m.table().list
		if l.top < 400 || l.cursor < l.top || l.cursor >= l.top+m.table().height() {
			t.Errorf("after %s: %+v", k, l)
		}
		if n := len(m.table().visibleRows()); n != m.table().height() {
			t.Errorf("after %s %d rows are visible", k, n)
		}
	}
	m.height = 400 // higher than there are rows
	if m.settle(); m.table().list.top != 400 {
		t.Errorf("in a high terminal: %+v", m.table().list)
	}
}

// TestVisibleRows: of a window that has not come yet, the rows that are there are visible, not others.
func TestVisibleRows(t *testing.T) {
	m := sample()
	m.shown, m.table().first = m.screens[viewTable], 400
	m.table().sized()
	height := m.table().height()
	for _, r := range []struct{ top, want, first int }{
		{0, 0, 0}, {395, height - 5, 0}, {410, height, 10}, {690, 10, 290}, {800, 0, 0},
	} {
		m.table().list.top = r.top
		got := m.table().visibleRows()
		if len(got) != r.want || r.want > 0 && got[0].flow.Orig != m.table().rows[r.first].flow.Orig {
			t.Errorf("%d rows from %d", len(got), r.top)
		}
	}
}
