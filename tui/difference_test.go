package tui

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

func TestDifferences(t *testing.T) {
	d := newFakeDaemon()
	a, b := sampleFlow(1), sampleFlow(1)
	a.Mark, a.Has = 7, a.Has|flow.HasMark
	d.differ = []control.Difference{
		{What: control.KernelOnly, Kernel: &a},
		{What: control.Differs, Attributes: flow.HasMark, Kernel: &a, Cache: &b},
	}
	r := inTableOf(t, d)
	r.press("T", "T")
	r.shows("1 only in the kernel: not replicated, lost if this router fails; 1 differ")
	r.shows("1 003 flows compared")
	r.shows("mark 7→0")
	if r.m.table().list.total != 2 {
		t.Errorf("%d rows", r.m.table().list.total)
	}
	d.set(func() { d.differ = nil })
	r.press("r")
	r.shows("the kernel and the internal cache have the same flows")
	r.press("t")
	r.shows("a commit would change nothing")
}

// TestNoDifferenceSeen claims no more than was compared.
func TestNoDifferenceSeen(t *testing.T) {
	for _, r := range []struct {
		source    int
		filter    string
		unsettled uint64
		want      string
		in        paint
	}{
		{3, "", 0, "the kernel and the internal cache have the same flows", good},
		{4, "", 0, "a commit would change nothing", good},
		{3, "src:10.0.0.1", 0, "no difference among the flows that match", plain},
		{4, "src:10.0.0.1", 0, "no difference among the flows that match", plain},
		{3, "", 7, "! no difference found, but 7 flows changed too fast to compare", warn},
		{4, "src:10.0.0.1", 7, "! no difference found, but 7 flows changed too fast to compare", warn},
	} {
		m := scene("differences")
		m.look.colour = true
		m.table().source, m.table().rows, m.table().list = r.source, nil, list{}
		m.table().counts = &control.DifferenceCounts{Compared: 1003, Unsettled: r.unsettled}
		if m.table().filterText = r.filter; r.filter != "" {
			m.table().filter, _ = expr.Parse(r.filter)
		}
		if got, want := m.table().differenceSummary(), m.look.in(r.in, r.want); got != want {
			t.Errorf("%s, filter %q, %d unsettled: %q, want %q", m.table().from().name, r.filter, r.unsettled,
				got, want)
		}
		if text := ansi.Strip(m.View()); r.filter != "" && strings.Contains(text, "no flow matches") {
			t.Errorf("it is not known whether no flow matches:\n%s", text)
		}
	}
}

// TestDifferenceWithoutExternalCache says why there is none, and is not asked for at every beat.
func TestDifferenceWithoutExternalCache(t *testing.T) {
	d := newFakeDaemon()
	d.injecting = true
	r := inTableOf(t, d)
	r.press("t")
	r.shows("there is no external cache with disable-external-cache")
	m := r.m
	m.look.colour = true
	if strings.Contains(m.View(), m.look.in(bad, "there is no external cache")) {
		t.Error("what is configured looks like a fault")
	}
	if m.now = m.now.Add(2 * beat); m.table().pace.ready(m.now) {
		t.Error("it is asked for at every beat")
	}
	r.press("T", "T")
	r.shows("there is no external cache with disable-external-cache")
}

// A helper's name from the peer cannot control the terminal.
func TestHelperInDifference(t *testing.T) {
	evil := sampleFlow(1)
	evil.Has |= flow.HasHelper
	copy(evil.Helper[:], "\x1b]0;owned\x07")
	kernel := sampleFlow(1)
	got := look{}.attributeChange(&row{flow: evil, kernel: &kernel, attributes: []string{"helper"}})
	if !strings.Contains(got, "?]0;owned?") || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}
