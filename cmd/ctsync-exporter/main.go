// Command ctsync-exporter serves the metrics of ctsyncd to Prometheus over TCP.
//
// ctsync-exporter reads the page of metrics from ctsyncd's control socket and needs no privilege: it must only be in
// the group that may connect there. However many scrape it, it asks the daemon once a second at most. When the daemon
// does not answer, the page says so by ctsync_up 0. The only other page, /, names this one.
//
// The web configuration adds TLS and users, in the format of Prometheus' exporters. It is read for every connection, so
// a renewed certificate is taken up. If it cannot be used, nothing is served.
//
// Exit status: 0 done, 1 failure (stderr says what failed), 64 usage error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ctsync/daemon/control"
	"ctsync/daemon/loglimit"
)

// Exit statuses. A Go program that panics ends with 2, so a usage error, which no restart mends, has another.
const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 64 // EX_USAGE of sysexits.h
)

// defaultAddress serves this machine alone: a router has addresses that face strangers.
const defaultAddress = "127.0.0.1:9780"

// version is set by the linker: -ldflags '-X main.version=1.0'.
var version = "unknown"

const usage = `usage: ctsync-exporter [--web.listen-address ADDRESS]... [--web.config.file FILE] [--socket PATH]
       ctsync-exporter --version

  --web.listen-address ADDRESS  serve at this address, as in 192.0.2.1:9780, or at each address of the machine with
                                :9780 (default ` + defaultAddress + `). It does not have to exist yet, and there may
                                be several of this flag
  --web.config.file FILE        web configuration with TLS and users (default none: everybody who can connect can read)
  --socket PATH                 control socket of ctsyncd (default ` + control.DefaultSocket + `)
  --version                     print the version and exit
`

// options are the values of the flags.
type options struct {
	addresses []string
	webConfig string
	socket    string
	version   bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out a command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	opt, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitDone
	case err != nil:
		fmt.Fprintf(stderr, "ctsync-exporter: %v\n%s", err, usage)
		return exitUsage
	case opt.version:
		fmt.Fprintf(stdout, "ctsync-exporter %s\n", version)
		return exitDone
	}
	signal.Ignore(syscall.SIGPIPE) // the end of who reads the log is no reason to end
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	lines := loglimit.New(slog.NewTextHandler(stderr, nil), time.Now) // strangers cause lines, too
	go flush(ctx, lines)
	if err := export(ctx, opt, slog.New(lines)); err != nil {
		fmt.Fprintf(stderr, "ctsync-exporter: %v\n", err)
		return exitFailure
	}
	return exitDone
}

func parseFlags(args []string) (opt options, err error) {
	set := flag.NewFlagSet("ctsync-exporter", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("web.listen-address", "", func(s string) error {
		host, port, err := net.SplitHostPort(s)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
			return errors.New("want an address with a port, such as " + defaultAddress)
		}
		if host != "" && net.ParseIP(strings.SplitN(host, "%", 2)[0]) == nil {
			return errors.New("want a numeric address, such as " + defaultAddress)
		}
		opt.addresses = append(opt.addresses, s)
		return nil
	})
	set.StringVar(&opt.webConfig, "web.config.file", "", "")
	set.StringVar(&opt.socket, "socket", control.DefaultSocket, "")
	set.BoolVar(&opt.version, "version", false, "")
	if err := set.Parse(args); err != nil {
		return opt, err
	}
	if set.NArg() > 0 {
		return opt, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if len(opt.addresses) == 0 {
		opt.addresses = []string{defaultAddress}
	}
	return opt, nil
}

// flush logs what was left out when its time has come.
func flush(ctx context.Context, lines *loglimit.Handler) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			lines.Flush()
		}
	}
}

// export serves until ctx ends, or until one of the addresses cannot be served.
func export(ctx context.Context, opt options, log *slog.Logger) error {
	if err := checkWebConfig(opt.webConfig); err != nil {
		return err
	}
	client := control.New(opt.socket)
	defer client.Close()
	handler := newHandler(newSource(client.Metrics, log))
	var listeners []net.Listener
	for _, at := range opt.addresses { // all, before one of them answers
		ln, err := listen(ctx, at)
		if err != nil {
			return err
		}
		defer ln.Close()
		listeners = append(listeners, ln)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, ln := range listeners {
		g.Go(func() error { return serve(ctx, ln, handler, opt.webConfig, log) })
	}
	return g.Wait()
}
