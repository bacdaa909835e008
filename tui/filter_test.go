package tui

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

func TestFilterNarrowsWhileTyping(t *testing.T) {
	d := newFakeDaemon()
	r := inTableOf(t, d)
	r.press("/")
	r.typeIn("dport:22")
	r.shows("of 333 that match")
	r.until("only what matches is listed", func(m *model) bool { return m.table().rows[0].flow.Orig.DstPort == 22 })
	r.press("ctrl+u")
	r.typeIn("proto:tcp dpot:44")
	r.shows(`v unknown key "dpot": did you mean dport?`)
	if at := strings.Index(r.screen(), "v unknown key"); at >= 0 {
		line := r.screen()[strings.LastIndexByte(r.screen()[:at], '\n')+1 : at]
		if len(line) != len("/proto:tcp ") {
			t.Errorf("the error points at column %d", len(line))
		}
	}
	if got := r.m.table().filterText; got != "proto:tcp dpot" { // the last one that parses
		t.Errorf("the filter in force is %q", got)
	}
	r.press("enter") // refused, the line stays
	if r.m.prompt == nil {
		t.Error("Enter takes a filter that makes no sense")
	}
	r.press("esc")
	if r.m.table().filter != nil || r.m.prompt != nil {
		t.Errorf("Esc leaves %q", r.m.table().filterText)
	}
	r.shows("of 1 000 flows")
	r.press("/")
	r.typeIn("dst:203.0.113.9")
	r.press("enter")
	r.shows("no flow matches the filter")
	r.press("esc")
	r.shows("of 1 000 flows")
}

// TestOldRowsAreNoAnswer: until the new answer comes, old rows are not counted and cannot be acted on.
func TestOldRowsAreNoAnswer(t *testing.T) {
	old := func() *model { return pressed(sample(), "2", "s") }
	m := old()
	m.look.colour = true
	if text := ansi.Strip(m.View()); strings.Contains(text, "1 of 1 000") || !strings.Contains(text, " reading") {
		t.Errorf("old rows are counted as the new order's:\n%s", text)
	}
	if view := m.View(); strings.Contains(view, m.look.in(good, "ESTABLISHED")) {
		t.Error("old rows look like new ones")
	}
	for _, k := range []string{"w", "enter", "c", "f", "o"} {
		got := pressed(old(), k)
		if !got.note.bad || got.prompt != nil || got.view() != viewTable || got.followed.following || got.table().kept {
			t.Errorf("%s acts on old rows", k)
		}
	}
	m.now = m.now.Add(beat)
	m.beat()
	m.take(answer[page]{of: &m.table().pace, serial: m.table().pace.serial, value: page{rows: m.table().rows}})
	if pressed(m, "w"); m.prompt == nil {
		t.Error("new rows are not written")
	}
	m = pressed(scene("groups"), "s")
	m.table().again()
	if text := ansi.Strip(m.View()); strings.Contains(text, "1 000 flows of internal") {
		t.Errorf("old groups are counted:\n%s", text)
	}
	m = scene("differences")
	m.table().again()
	if text := ansi.Strip(m.View()); strings.Contains(text, "only in the kernel: not") ||
		strings.Contains(text, "compared") {
		t.Errorf("old differences are counted:\n%s", text)
	}
}

// TestTypingIsPaced asks for a filter at most once in a beat, and for the last one.
func TestTypingIsPaced(t *testing.T) {
	m := pressed(sample(), "2", "/")
	m.table().pace = pacer{due: m.now.Add(time.Hour)} // a refresh is not due
	pressed(m, strings.Split("10.1.1.1", "")...)
	if n := m.table().pace.serial; n != 2 { // one question, cancelled once
		t.Errorf("%d questions and refusals of answers while 8 keys are pressed at once", n)
	}
	if m.table().filterText != "10.1.1.1" {
		t.Errorf("the filter is %q", m.table().filterText)
	}
	m.now = m.now.Add(beat)
	if m.beat(); !m.table().pace.busy {
		t.Error("the last filter is never asked for")
	}
	if m.table().counter.busy {
		t.Error("the matches are counted before it is known whether that is needed")
	}
}

// TestFilterOfTheKernel takes effect with Enter: each letter would cost a dump of the kernel's table.
func TestFilterOfTheKernel(t *testing.T) {
	typed := func() *model {
		m := scene("table")
		m.table().source = 2
		return pressed(m, "/", "1", "0")
	}
	m := typed()
	if m.table().filter != nil || m.table().pace.busy {
		t.Error("the kernel's table is read for a filter being typed")
	}
	if text := ansi.Strip(m.View()); !strings.Contains(text, "Enter reads the table") {
		t.Errorf("it is not said when the filter takes effect:\n%s", text)
	}
	if pressed(m, "esc"); m.table().filter != nil || m.table().stale {
		t.Error("Esc filters")
	}
	m = typed()
	if pressed(m, "enter"); m.table().filterText != "10" || !m.table().stale || m.prompt != nil {
		t.Errorf("Enter does not filter: %q", m.table().filterText)
	}
	if pressed(m, "/", "x", "enter"); m.table().filterText != "10x" {
		t.Errorf("the filter is %q", m.table().filterText)
	}
}

// TestMatchesNotCounted does not claim that the rows read so far are all.
func TestMatchesNotCounted(t *testing.T) {
	m := scene("sorted")
	m.table().matches = 0
	if text := ansi.Strip(m.View()); !strings.Contains(text, "5 of 1 000 or more that match") {
		t.Errorf("what is not counted is said to be:\n%s", text)
	}
}

func TestFilterCompletion(t *testing.T) {
	for _, r := range []struct{ keys, want string }{
		{"p r o t", "proto:|"}, {"d", "d|"}, {"d p", "dport:|"}, {"n a t : y e s space ! h e l", "nat:yes !helper:|"},
		{"", "|"},
		{"z z z", "zzz|"}, {"x left d p", "dport:|x"}, {"é left d p", "dport:|é"},
	} {
		m := pressed(scene("table"), "/")
		for _, k := range strings.Fields(r.keys) {
			pressed(m, strings.ReplaceAll(k, "space", " "))
		}
		pressed(m, "tab")
		if before := m.prompt.before(); before+"|"+strings.TrimPrefix(m.prompt.Value(), before) != r.want {
			t.Errorf("Tab after %s: %q with the cursor behind %q, want %q", r.keys, m.prompt.Value(), before, r.want)
		}
	}
	if got := keyAdvice("dport:4"); !strings.HasPrefix(got, "dport: ") {
		t.Errorf("advice for dport:4 is %q", got)
	}
}
