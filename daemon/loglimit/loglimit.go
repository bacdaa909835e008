// Package loglimit holds back log lines that repeat, and says how many were left out.
//
// Whoever reaches the sync link decides how often the daemon has something to say of it. A line of such a logger is let
// through if its message was not logged with the same words within the last minute. A message with ever other words
// (another address each time) is let through a few times, and then every ten seconds. Numbers do not count as words:
// that there were 8 datagrams and then 9 is no news. So what is logged is bounded by the number of messages in the
// code.
//
// The first line of a message is never delayed. Of those that are left out the newest is logged when its time has come,
// with their number: left-out=3. Flush does that when nothing else is logged.
package loglimit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	sameEvery  = time.Minute      // between two lines of a message with the same words
	otherEvery = 10 * time.Second // between two lines of a message with other words, after the first othersMost
	othersMost = 4
	most       = 128 // messages that are told apart; further ones count as one
)

// Handler is a slog.Handler that passes on to another one what does not repeat. Make it with New.
type Handler struct {
	next slog.Handler
	with string // the words of the attributes that next has
	held *held
}

// held is shared by the handlers that With makes.
type held struct {
	mu       sync.Mutex
	now      func() time.Time
	messages map[string]*message
}

// message is what is known of the lines with one text.
type message struct {
	lines [othersMost]line // the latest that were let through, in no order; the zero line is none
	at    time.Time        // when the latest was
	left  int              // lines left out since
	to    *Handler         // of the newest of them, which is record
	last  slog.Record
}

type line struct {
	words string
	at    time.Time
}

// New returns a handler that passes on to next. now is the clock.
func New(next slog.Handler, now func() time.Time) *Handler {
	return &Handler{next: next, held: &held{now: now, messages: map[string]*message{}}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	g := h.held
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	m := g.message(r.Message)
	if !m.lets(h.words(r), now) {
		m.left++
		m.to, m.last = h, r.Clone()
		return nil
	}
	left := m.left
	m.left, m.to, m.last = 0, nil, slog.Record{}
	return h.pass(ctx, r, left)
}

// Flush logs what was left out and whose time has come. Call it about once a second.
func (h *Handler) Flush() {
	g := h.held
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for text, m := range g.messages {
		switch {
		case now.Sub(m.at) < sameEvery:
		case m.left == 0:
			delete(g.messages, text)
		default:
			to, r, left := m.to, m.last, m.left-1
			m.left, m.to, m.last = 0, nil, slog.Record{}
			m.note(to.words(r), now)
			_ = to.pass(context.Background(), r, left) // as slog itself: there is nobody to tell
		}
	}
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.with)
	for _, a := range attrs {
		appendWord(&b, a)
	}
	return &Handler{next: h.next.WithAttrs(attrs), with: b.String(), held: h.held}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), with: h.with + name + ".", held: h.held}
}

func (h *Handler) pass(ctx context.Context, r slog.Record, left int) error {
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left-out", left))
	}
	return h.next.Handle(ctx, r)
}

// message returns what is known of a message, at first nothing.
func (g *held) message(text string) *message {
	m := g.messages[text]
	if m == nil && len(g.messages) >= most {
		text = ""
		m = g.messages[text]
	}
	if m == nil {
		m = &message{}
		g.messages[text] = m
	}
	return m
}

// lets reports whether a line with these words may be logged now, and notes that it is.
func (m *message) lets(words string, now time.Time) bool {
	room := now.Sub(m.at) >= otherEvery
	for i := range m.lines {
		l := &m.lines[i]
		recent := !l.at.IsZero() && now.Sub(l.at) < sameEvery
		if recent && l.words == words {
			return false
		}
		room = room || !recent
	}
	if room {
		m.note(words, now)
	}
	return room
}

// note notes a line that is logged, in the place of the oldest.
func (m *message) note(words string, now time.Time) {
	oldest := &m.lines[0]
	for i := range m.lines {
		if l := &m.lines[i]; l.at.Before(oldest.at) {
			oldest = l
		}
	}
	*oldest = line{words, now}
	m.at = now
}

// words is what a record says apart from its message and from numbers.
func (h *Handler) words(r slog.Record) string {
	var b strings.Builder
	b.WriteString(h.with)
	r.Attrs(func(a slog.Attr) bool {
		appendWord(&b, a)
		return true
	})
	return b.String()
}

func appendWord(b *strings.Builder, a slog.Attr) {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindTime:
		return
	}
	b.WriteString(a.Key)
	b.WriteByte('=')
	b.WriteString(v.String())
	b.WriteByte(' ')
}
