package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestRecentKeepsAndPassesOn(t *testing.T) {
	var out bytes.Buffer
	h := NewRecent(slog.NewTextHandler(&out, nil))
	log := slog.New(h)
	log.Debug("not enabled")
	log.Info("ready", "flows", 3)
	log.With("peer", "10.0.0.2").WithGroup("link").Warn("two words\nand a line", "device", "eth2")

	p := h.page(0)
	if len(p.Lines) != 2 || p.Last != 2 {
		t.Fatalf("kept %+v", p)
	}
	for i, want := range []struct{ level, text string }{
		{"INFO", `ready flows=3`},
		{"WARN", `"two words\nand a line" peer=10.0.0.2 link.device=eth2`},
	} {
		if l := p.Lines[i]; l.Level != want.level || l.Text != want.text || l.ID != uint64(i+1) || l.Time.IsZero() {
			t.Errorf("line %d: %+v, want %s %s", i, l, want.level, want.text)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines were passed on:\n%s", n, out.String())
	}
	if p := h.page(1); len(p.Lines) != 1 || p.Lines[0].ID != 2 {
		t.Errorf("after 1: %+v", p)
	}
	if p := h.page(7); len(p.Lines) != 0 || p.Last != 2 { // a reader of the daemon before this one
		t.Errorf("after 7: %+v", p)
	}
}

func TestRecentIsBounded(t *testing.T) {
	h := NewRecent(slog.DiscardHandler)
	if h.Enabled(t.Context(), slog.LevelError) {
		t.Error("enabled for what next is not")
	}
	h = NewRecent(slog.NewTextHandler(new(bytes.Buffer), nil))
	log := slog.New(h)
	for i := range recentLines + 10 {
		log.Info(strings.Repeat("ä", recentBytes), "n", i)
	}
	p := h.page(0)
	if len(p.Lines) != recentLines || p.Lines[0].ID != 11 || p.Last != recentLines+10 {
		t.Fatalf("%d lines from %d, last %d", len(p.Lines), p.Lines[0].ID, p.Last)
	}
	for i, l := range p.Lines {
		if l.ID != uint64(11+i) || len(l.Text) > recentBytes+3 {
			t.Fatalf("line %d: id %d, %d bytes", i, l.ID, len(l.Text))
		}
	}
}
