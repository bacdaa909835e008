package query

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/tui"
)

// BenchmarkMonitor presses keys in a monitor of a daemon whose external cache holds a million flows, over the control
// socket. frame-ns is the time from the key to the frame that answers it; data-ns is the time until what the key asks
// for has come from the daemon, of which changes are asked at most twice a second: those of keys in quick succession
// come with the last one's. loop-ns is the longest visit to the core loop meanwhile.
func BenchmarkMonitor(b *testing.B) {
	const n = 1_000_000
	var longest time.Duration
	d := looped(b, func(t time.Duration) { longest = max(longest, t) })
	fill(b, d, n)
	client := control.New(serveCore(b, d))
	for _, r := range []struct {
		name, before, keys string
		want               [2]string // what only the daemon can bring on the screen, in turn
	}{
		{"down", "", "j", [2]string{"▸ ", "▸ "}},
		{"end", "", "g G", [2]string{"▸ icmp", "▸ icmp"}},
		{"sort", "s", "S", [2]string{"▸ udp", "▸ icmp"}},
		{"filter", "", "esc / s p o r t : 5 3 enter", [2]string{"of 16 that match", "of 16 that match"}},
		{"group", "", "esc b", [2]string{"by source", "by source"}},
		{"view", "", "1 2", [2]string{"▸ ", "▸ "}},
	} {
		b.Run(r.name, func(b *testing.B) {
			m := newBenchMonitor(b, client)
			m.press("2", "t")
			m.until("of 1.00M flows", "▸ ")
			m.press(strings.Fields(r.before)...)
			longest = 0
			var frame, data time.Duration
			turn := 0
			for b.Loop() {
				b.StopTimer()
				m.rest()
				b.StartTimer()
				began := time.Now()
				for _, k := range strings.Fields(r.keys) {
					at := time.Now()
					m.press(k)
					m.m.View()
					frame = max(frame, time.Since(at))
				}
				m.until(r.want[turn%2])
				data += time.Since(began)
				turn++
			}
			b.ReportMetric(float64(frame.Nanoseconds()), "frame-ns")
			b.ReportMetric(float64(data.Nanoseconds())/float64(b.N), "data-ns")
			b.ReportMetric(float64(longest.Nanoseconds()), "loop-ns")
		})
	}
}

// serveCore answers on a control socket from a core.
func serveCore(b *testing.B, d *looper) (socket string) {
	b.Helper()
	socket = filepath.Join(b.TempDir(), "s")
	ln, err := control.Listen(b.Context(), socket, "", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	backend := control.Backend{
		Snapshot: func(ctx context.Context) (s control.Snapshot, err error) {
			return s, d.Loop.Do(ctx, func(c *core.Core) {
				c.Status(&s.Status)
				s.Statistics.Internal.Active = uint64(c.Own.Internal.Len())
				s.Statistics.External.Active = uint64(c.Peer.External.Len())
			})
		},
		Flows: d.Flows, Groups: d.Groups,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = control.NewServer(backend, slog.New(slog.DiscardHandler)).Serve(ctx, ln)
	}()
	b.Cleanup(func() { cancel(); <-done })
	return socket
}

// benchMonitor runs a monitor's commands as Bubble Tea does.
type benchMonitor struct {
	b    *testing.B
	m    tea.Model
	msgs chan tea.Msg
}

func newBenchMonitor(b *testing.B, c *control.Client) *benchMonitor {
	m := &benchMonitor{b: b, m: tui.New(b.Context(), c, tui.Options{}), msgs: make(chan tea.Msg, 64)}
	m.do(m.m.Init())
	return m
}

func (m *benchMonitor) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, c := range msg {
				m.do(c)
			}
		default:
			m.msgs <- msg
		}
	}()
}

func (m *benchMonitor) take(msg tea.Msg) {
	next, cmd := m.m.Update(msg)
	m.m = next
	m.do(cmd)
}

func (m *benchMonitor) press(keys ...string) {
	for _, k := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		switch k {
		case "enter":
			msg = tea.KeyMsg{Type: tea.KeyEnter}
		case "esc":
			msg = tea.KeyMsg{Type: tea.KeyEsc}
		}
		m.take(msg)
	}
}

// rest takes messages for as long as a user who looks at what a key brought.
func (m *benchMonitor) rest() {
	for end := time.After(time.Second); ; {
		select {
		case msg := <-m.msgs:
			m.take(msg)
		case <-end:
			return
		}
	}
}

// until takes messages until the screen holds all texts.
func (m *benchMonitor) until(texts ...string) {
	m.b.Helper()
	deadline := time.After(time.Minute)
	for {
		screen, all := ansi.Strip(m.m.View()), true
		for _, t := range texts {
			all = all && strings.Contains(screen, t)
		}
		if all {
			return
		}
		select {
		case msg := <-m.msgs:
			m.take(msg)
		case <-deadline:
			m.b.Fatalf("the screen lacks one of %q:\n%s", texts, screen)
		}
	}
}
