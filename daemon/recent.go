package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"ctsync/daemon/control"
)

// Bounds of what Recent keeps: a megabyte at most.
const (
	recentLines = 1000
	recentBytes = 1024 // of one line
)

// Recent is a slog.Handler that passes records on and keeps the last ones for readers of the control API: where the log
// itself goes, to the journal or elsewhere, the daemon does not know.
type Recent struct {
	next slog.Handler
	text slog.Handler // writes to ring.line
	ring *ring
}

// ring is shared by the handlers that With makes.
type ring struct {
	mu    sync.Mutex
	line  bytes.Buffer
	lines []control.LogLine // the line with ID n stands at (n-1) % recentLines
	last  uint64            // ID of the newest
}

// NewRecent returns a handler that passes on to next what next is enabled for, and keeps it.
func NewRecent(next slog.Handler) *Recent {
	r := &ring{}
	return &Recent{next: next, ring: r, text: slog.NewTextHandler(&r.line, &slog.HandlerOptions{
		Level: slog.LevelDebug - 4, // next decides
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

// Enabled implements slog.Handler.
func (h *Recent) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *Recent) Handle(ctx context.Context, r slog.Record) error {
	h.keep(ctx, r)
	return h.next.Handle(ctx, r)
}

func (h *Recent) keep(ctx context.Context, r slog.Record) {
	g := h.ring
	g.mu.Lock()
	defer g.mu.Unlock()
	g.line.Reset()
	if h.text.Handle(ctx, r) != nil {
		return // a buffer takes everything
	}
	text := strings.TrimSpace(plainWords(r.Message) + " " + g.line.String())
	if len(text) > recentBytes {
		text = strings.ToValidUTF8(text[:recentBytes], "") + "..."
	}
	l := control.LogLine{ID: g.last + 1, Time: r.Time, Level: r.Level.String(), Text: text}
	if len(g.lines) < recentLines {
		g.lines = append(g.lines, l)
	} else {
		g.lines[g.last%recentLines] = l
	}
	g.last++
}

// plainWords is a message as it is, or quoted where it could forge a line or do something to a terminal.
func plainWords(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// WithAttrs implements slog.Handler.
func (h *Recent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Recent{next: h.next.WithAttrs(attrs), text: h.text.WithAttrs(attrs), ring: h.ring}
}

// WithGroup implements slog.Handler.
func (h *Recent) WithGroup(name string) slog.Handler {
	return &Recent{next: h.next.WithGroup(name), text: h.text.WithGroup(name), ring: h.ring}
}

// page returns the lines after the one with the given ID.
func (h *Recent) page(after uint64) control.LogPage {
	g := h.ring
	g.mu.Lock()
	defer g.mu.Unlock()
	p := control.LogPage{Lines: []control.LogLine{}, Last: g.last}
	first := max(after, g.last-uint64(len(g.lines)))
	for n := first; n < g.last; n++ {
		p.Lines = append(p.Lines, g.lines[n%recentLines])
	}
	return p
}
