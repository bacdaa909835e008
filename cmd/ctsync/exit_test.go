package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
)

// serveFake serves a fake daemon until the test ends and returns its socket.
func serveFake(t *testing.T, b control.Backend) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(socket, "")
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
