package tui

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

func TestNumbers(t *testing.T) {
	for _, r := range []struct{ got, want string }{
		{unitBytes.count(0), "0"}, {unitBytes.count(9999), "9 999"}, {unitBytes.count(10000), "10.0k"},
		{unitBytes.count(999950), "1.00M"},
		{unitExact.count(1234567), "1 234 567"}, {unitBytes.count(math.MaxUint64), "18446744T"},
		{unitBytes.size(999), "999 B"}, {unitBytes.size(1500), "1.50 kB"}, {unitBits.size(1500), "12.0 kbit"},
		{unitExact.size(1500), "1 500 B"},
		{unitBytes.bandwidth(0.4), "0 B/s"}, {unitBytes.perSecond(12.4), "12/s"},
		{unitBytes.perSecond(123456), "123k/s"},
		{span(-time.Second), "0s"}, {span(59900 * time.Millisecond), "59s"}, {span(time.Hour - time.Second), "59m59s"},
		{span(25 * time.Hour), "1d01h"},
		{took(310 * time.Microsecond), "0.31ms"}, {took(28800 * time.Microsecond), "28.8ms"},
		{took(1234 * time.Millisecond), "1.23s"},
	} {
		if r.got != r.want {
			t.Errorf("%q, want %q", r.got, r.want)
		}
	}
}

func TestGraph(t *testing.T) {
	var s series
	for _, v := range []float64{0, 1, 50, 100} {
		s = s.add(v)
	}
	for _, r := range []struct {
		l     look
		width int
		least float64
		want  string
	}{
		{look{}, 6, 0, "  ▁▂▅█"}, {look{}, 2, 0, "▅█"}, {look{}, 4, 1000, "▁▂▂▂"}, {look{ascii: true}, 4, 0, "_.=#"},
		{look{}, 0, 0, ""},
	} {
		if got := r.l.graph(s, r.width, r.least); got != r.want {
			t.Errorf("%q, want %q", got, r.want)
		}
	}
	for i := range 2 * graphLength {
		s = s.add(float64(i))
	}
	if len(s) != graphLength || s.last() != 2*graphLength-1 {
		t.Errorf("%d values, the last is %v", len(s), s.last())
	}
}

func TestRestartIsNoRate(t *testing.T) {
	s := state{Snapshot: sampleState()}
	before := s.Statistics
	before.Kernel.Events, before.Session.Sent = 1e9, map[string]uint64{"new": 1e9}
	s.count(&before, time.Second)
	if s.rates.events.last() != 0 || s.rates.sent.last() != 0 {
		t.Errorf("counters that restarted make rates of %v and %v", s.rates.events, s.rates.sent)
	}
}

func TestFitEndpoint(t *testing.T) {
	l := look{}
	for _, r := range []struct {
		text  string
		width int
		want  string
	}{
		{"10.0.0.1:443", 12, "10.0.0.1:443"},
		{"[2001:db8:1111:2222:3333:4444:5555:6666]:443", 21, "[2001:db8:…:6666]:443"},
		{"[2001:db8:1111:2222:3333:4444:5555:6666]:65535", 10, "[200…65535"},
		{"255.255.255.255:65535", 7, "255.25…"},
	} {
		got := fitEndpoint(l, r.text, r.width)
		if ansi.StringWidth(got) > r.width ||
			r.width > 8 && !strings.HasSuffix(got, r.text[strings.LastIndex(r.text, ":")+1:]) {
			t.Errorf("%s in %d: %q", r.text, r.width, got)
		}
		if r.width >= 12 && got != r.want {
			t.Errorf("%s in %d: %q, want %q", r.text, r.width, got, r.want)
		}
	}
	for w := range 60 {
		const text = "tcp 10.0.1.2:* → 10.0.2.2:50185"
		if got := fitEndpoint(l, text, w); ansi.StringWidth(got) > w || !utf8.ValidString(got) ||
			w >= 31 && got != text {
			t.Errorf("%d columns: %q", w, got)
		}
		if got := fitEndpoint(l, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", w); ansi.StringWidth(got) > w {
			t.Errorf("%d columns: %q", w, got)
		}
	}
}

func TestList(t *testing.T) {
	l := list{total: 100}
	for _, r := range []struct{ move, top, cursor int }{
		{3, 0, 3}, {10, 4, 13}, {1000, 90, 99}, {-5, 90, 94}, {-5, 89, 89}, {-1000, 0, 0},
	} {
		if l = l.move(r.move, 10); l.top != r.top || l.cursor != r.cursor {
			t.Errorf("move %d: %+v, want %+v", r.move, l, r)
		}
	}
	if l = l.scrolled(5, 10); l.top != 5 || l.cursor != 5 {
		t.Errorf("scrolled: %+v", l)
	}
	l.total = 0
	if l = l.settled(10); l.top != 0 || l.cursor != 0 {
		t.Errorf("an empty list: %+v", l)
	}
}

func TestLookOf(t *testing.T) {
	for _, r := range []struct {
		env  map[string]string
		opt  Options
		want look
	}{
		{map[string]string{"LANG": "C.UTF-8", "TERM": "xterm"}, Options{}, look{colour: true}},
		{map[string]string{"LANG": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "1"}, Options{}, look{}},
		{map[string]string{"LANG": "de_DE.utf8", "TERM": "xterm"}, Options{NoColor: true}, look{}},
		{
			map[string]string{"LANG": "C.UTF-8", "LC_ALL": "C", "TERM": "linux"},
			Options{}, look{colour: true, ascii: true},
		},
		{map[string]string{"TERM": "vt220"}, Options{}, look{ascii: true}},
		{map[string]string{"LANG": "C.UTF-8"}, Options{}, look{}},
		{map[string]string{"LANG": "C.UTF-8", "TERM": "unknown"}, Options{}, look{}},
	} {
		if got := lookOf(r.opt, func(k string) string { return r.env[k] }); got != r.want {
			t.Errorf("%v %+v: %+v, want %+v", r.env, r.opt, got, r.want)
		}
	}
}
