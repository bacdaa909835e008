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
)

func main() {
	started := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, os.Args[1:], started, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command line and returns its exit status.
func run(ctx context.Context, args []string, started time.Time, stdout, stderr io.Writer) int {
	a := &app{started: started, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exit(root.ExecuteContext(ctx))
}
