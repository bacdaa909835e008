package loglimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clocked is a logger whose lines a test sees, on a clock that it moves.
type clocked struct {
	*slog.Logger
	h   *Handler
	now time.Time
	out bytes.Buffer
}

func newClocked() *clocked {
	c := &clocked{now: time.Unix(1000, 0)}
	text := slog.NewTextHandler(&c.out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	c.h = New(text, func() time.Time { return c.now })
	c.Logger = slog.New(c.h)
	return c
}

// pass lets time pass, with a Flush each second.
func (c *clocked) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(time.Second)
		c.h.Flush()
	}
}

// lines returns what was logged since it was last asked.
func (c *clocked) lines() []string {
	text := strings.ReplaceAll(strings.TrimSpace(c.out.String()), "msg=", "")
	c.out.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (c *clocked) want(t *testing.T, lines ...string) {
	t.Helper()
	if d := cmp.Diff(lines, c.lines()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSameWords: once a minute, with how many were left out and the newest numbers; the first one at once.
func TestSameWords(t *testing.T) {
	c := newClocked()
	c.Info("restarted", "peer", "b", "n", 1)
	c.want(t, "restarted peer=b n=1")
	for i := range 100_000 {
		c.Info("restarted", "peer", "b", "n", i)
	}
	c.pass(59 * time.Second)
	c.want(t)
	c.pass(time.Second)
	c.want(t, "restarted peer=b n=99999 left-out=99999")
	c.pass(time.Hour)
	c.want(t)
	if len(c.h.held.messages) != 0 {
		t.Errorf("%d messages are remembered", len(c.h.held.messages))
	}
	c.Info("restarted", "peer", "b", "n", 1)
	c.pass(2 * time.Second)
	c.Info("restarted", "peer", "b", "n", 2)
	c.want(t, "restarted peer=b n=1")
	c.pass(time.Minute)
	c.want(t, "restarted peer=b n=2") // held back, and nothing left out
}

// TestOtherWords: another message is not delayed by a flood, and one with ever other words comes every ten seconds.
func TestOtherWords(t *testing.T) {
	c := newClocked()
	flood := func(n int) {
		for i := range n {
			c.Warn("another sender", "from", fmt.Sprint(i))
		}
	}
	flood(1000)
	c.Info("something else")
	if got := c.lines(); len(got) != othersMost+1 || got[othersMost] != `"something else"` {
		t.Errorf("at once: %q", got)
	}
	total := 0
	for range 3600 {
		c.pass(time.Second)
		flood(1000)
		total += len(c.lines())
	}
	if total < 300 || total > 361 {
		t.Errorf("%d lines in an hour", total)
	}
}

// TestMessagesAreBounded: more messages than are told apart count as one.
func TestMessagesAreBounded(t *testing.T) {
	c := newClocked()
	for i := range 10 * most {
		c.Info(fmt.Sprint("message ", i))
	}
	if n := len(c.h.held.messages); n > most+1 {
		t.Errorf("%d messages are remembered", n)
	}
	if n := len(c.lines()); n > most+1 {
		t.Errorf("%d lines", n)
	}
}

// TestWith: attributes of a logger are words too, and loggers share what they hold.
func TestWith(t *testing.T) {
	c := newClocked()
	a, b := c.With("link", "a"), c.With("link", "b")
	a.Info("down")
	b.Info("down")
	a.Info("down")
	c.want(t, "down link=a", "down link=b")
	c.pass(time.Minute)
	c.want(t, "down link=a")
}

func TestHandler(t *testing.T) {
	var out bytes.Buffer
	h := New(slog.NewTextHandler(&out, nil), time.Now)
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		h.held.messages = map[string]*message{}
		return h
	}, func(t *testing.T) map[string]any { return parse(t, strings.TrimSpace(out.String())) })
}

// parse reads a line of slog.TextHandler into nested maps.
func parse(t *testing.T, text string) map[string]any {
	top := map[string]any{}
	for _, field := range strings.Fields(text) {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			t.Fatalf("no field: %q", field)
		}
		at := top
		for parts := strings.Split(key, "."); ; parts = parts[1:] {
			if len(parts) == 1 {
				at[parts[0]] = value
				break
			}
			if at[parts[0]] == nil {
				at[parts[0]] = map[string]any{}
			}
			at = at[parts[0]].(map[string]any)
		}
	}
	return top
}
