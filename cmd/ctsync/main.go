// Command ctsync shows and controls ctsyncd, and passes keepalived's notifications to it.
//
// Exit status: 0 done, 1 refused or failed (one line on stderr says why and what to do), 3 daemon not reachable, 64
// usage error, 130 interrupted by SIGINT or SIGTERM before it was complete.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/tui/printable"
)

func main() {
	started := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, os.Args[1:], started, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command line and returns its exit status. What a command prints goes through two writers that
// let nothing pass which would steer a terminal: much of it is what somebody else said. Only --watch, a
// progress and the monitor write below them; see bare.
func run(ctx context.Context, args []string, started time.Time, stdout, stderr io.Writer) int {
	out, errs := &printable.Writer{To: stdout}, &printable.Writer{To: stderr}
	a := &app{started: started, stdout: out, stderr: errs}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return a.exit(err)
}
