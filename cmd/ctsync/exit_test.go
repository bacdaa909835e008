package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// serveFake serves a fake daemon until the test ends and returns its socket.
func serveFake(t *testing.T, b control.Backend) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(t.Context(), socket, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		control.NewServer(b, slog.New(slog.DiscardHandler)).Serve(ctx, ln)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return socket
}

func TestExitStatus(t *testing.T) {
	plain, refusing := serveFake(t, fakeDaemon("plain")), serveFake(t, fakeDaemon("refusing"))
	away := filepath.Join(t.TempDir(), "away")
	for _, c := range []struct {
		socket, args string
		want         int
	}{
		{plain, "show status", exitDone},
		{plain, "commit", exitDone},
		{plain, "notify master", exitDone},
		{plain, "show cache internal expect", exitFailed},
		{refusing, "show status", exitFailed},
		{refusing, "flush", exitFailed},
		{refusing, "show table", exitFailed},
		{refusing, "notify master", exitFailed},
		{away, "show status", exitUnreachable},
		{away, "show table", exitUnreachable},
		{away, "bulk", exitUnreachable},
		{away, "notify master", exitDone},
		{plain, "show nothing", exitUsage},
		{plain, "notify", exitUsage},
		{plain, "flush all", exitUsage},
		{plain, "commit --hard", exitUsage},
		{plain, "show cache", exitUsage},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"--socket", c.socket}, strings.Fields(c.args)...)
		if got := run(context.Background(), args, time.Now(), &out, &errs); got != c.want {
			t.Errorf("%s: exit status %d, want %d: %s", c.args, got, c.want, errs.String())
		}
		if c.want != exitDone && (strings.Count(errs.String(), "\n") != 1 || out.Len() > 0) {
			t.Errorf("%s: not one line on stderr alone: %q, %q", c.args, errs.String(), out.String())
		}
	}
}

// A command that is interrupted before it is complete prints nothing about that and ends with 130. One that runs until
// it is interrupted ends with 0.
func TestInterrupted(t *testing.T) {
	for args, want := range map[string]int{
		"show status":                         exitInterrupted,
		"show table":                          exitInterrupted,
		"show table --sort age":               exitInterrupted,
		"show cache internal":                 exitInterrupted,
		"show cache external --group-by port": exitInterrupted,
		"show diff internal":                  exitInterrupted,
		"show diff external --json":           exitInterrupted,
		"commit":                              exitInterrupted,
		"events":                              exitDone,
		"show table --watch":                  exitDone,
		"show log --follow":                   exitDone,
	} {
		t.Run(args, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			interrupt := func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }
			b := fakeDaemon("plain")
			b.Status = func(ctx context.Context) (control.Status, error) { return control.Status{}, interrupt(ctx) }
			b.Groups = func(ctx context.Context, _ control.FlowQuery) (control.Groups, error) {
				return control.Groups{}, interrupt(ctx)
			}
			b.Flows = func(ctx context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
				for range 1000 { // more than is gathered before it is sent
					if err := fn(pageFlow(0, q.Table), control.Meta{}); err != nil {
						return err
					}
				}
				return interrupt(ctx)
			}
			b.Differences = func(
				ctx context.Context, _ control.FlowQuery, fn func(*control.Difference, control.Meta) error,
			) (counts control.DifferenceCounts, err error) {
				for range 1000 {
					if err := fn(pageDifference(), control.Meta{}); err != nil {
						return counts, err
					}
				}
				return counts, interrupt(ctx)
			}
			b.Events = func(ctx context.Context, _ control.FlowQuery, fn func(*control.EventBatch) error) error {
				return errors.Join(fn(&control.EventBatch{}), interrupt(ctx))
			}
			b.Log = func(uint64) control.LogPage { cancel(); return control.LogPage{} }
			b.Action = func(ctx context.Context, _ control.Action, _ func(int, int)) (control.Result, error) {
				return control.Result{}, interrupt(ctx)
			}
			var out, errs bytes.Buffer
			line := append([]string{"--socket", serveFake(t, b)}, strings.Fields(args)...)
			got := run(ctx, line, time.Now(), &out, &errs)
			said := ""
			if args == "commit" {
				said = "ctsync: commit: interrupted here; the daemon finishes it\n"
			}
			if got != want || errs.String() != said {
				t.Errorf("exit status %d, want %d: %q", got, want, errs.String())
			}
		})
	}
}

// keepalived kills its scripts when it stops: the notification is delivered all the same.
func TestInterruptedNotify(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	args := []string{"--socket", serveFake(t, fakeDaemon("plain")), "notify", "stop"}
	if got := run(ctx, args, time.Now(), &out, &errs); got != exitDone {
		t.Errorf("exit status %d: %s", got, errs.String())
	}
}

// endless is a list without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// No command leaves a goroutine or a connection, whether it prints all, is cut off by a pager that has ended, or is
// refused.
func TestNothingLeft(t *testing.T) {
	sockets := map[string]string{}
	for _, kind := range []string{"plain", "refusing", "breaking"} {
		sockets[kind] = serveFake(t, fakeDaemon(kind))
	}
	held := func(what string, f func()) {
		others := goleak.IgnoreCurrent()
		f()
		if err := goleak.Find(others); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, args := range []string{
		"show status", "show table", "show table --sort age", "show cache external", "show diff internal", "show log",
		"show statistics rsqueue", "show table --group-by port", "events", "commit", "notify master",
	} {
		for kind, socket := range sockets {
			for _, stdout := range []io.Writer{io.Discard, failingWriter{}} {
				held(args+" of one that is "+kind, func() {
					line := append([]string{"--socket", socket}, strings.Fields(args)...)
					run(t.Context(), line, time.Now(), stdout, io.Discard)
				})
			}
		}
	}
	held("a list without an end", func() {
		if _, err := spool(failingWriter{}, endless{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write error: %v", err)
		}
	})
}
