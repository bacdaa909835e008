// Command demo shows a failover: two routers with keepalived, and a TCP download through source NAT and a stateful
// firewall. The master fails, and the download continues. Then the same without synchronisation, where the download
// dies.
//
//	demo run [-keep] [-sync KIND[,KIND]]   as `make demo`; KIND is ctsync, ctsync-inject, conntrackd or none, one for
//	                                       both routers or one for each
//	demo clean                             removes labs that were kept or left behind
//	demo server ADDRESS                    the far end of the streams (started by run)
//	demo client ADDRESS STATUSFILE         the near end (started by run)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"ctsync/scripts/lab"
)

func main() {
	// If the reader of our output goes away, we must still clean up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "run":
		return run(ctx, args[1:])
	case len(args) == 1 && args[0] == "clean":
		return clean()
	case len(args) == 2 && args[0] == "server":
		return serve(ctx, args[1])
	case len(args) == 3 && args[0] == "client":
		return receive(ctx, args[1], args[2])
	}
	return errors.New("usage: demo run [-keep] [-sync KIND[,KIND]] | clean")
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo run", flag.ExitOnError)
	keep := flags.Bool("keep", false, "leave the lab running")
	sync := flags.String("sync", lab.Ctsync, "what synchronises the routers: one kind, or two separated by a comma")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	first, second, ok := strings.Cut(*sync, ",")
	if !ok {
		second = first
	}
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%5.1fs] %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}

	var runs []*failover
	for _, kinds := range [][2]string{{first, second}, {lab.None, lab.None}} {
		f := &failover{kinds: kinds, bin: "bin", say: say}
		leave := *keep && len(runs) == 0
		if err := f.inLab(ctx, leave); err != nil {
			return err
		}
		runs = append(runs, f)
		if kinds[1] == lab.None {
			break // this was the control already
		}
	}
	fmt.Printf("\n%s\n", report(runs))
	if *keep {
		fmt.Println(runs[0].attach())
	}
	return verdict(runs)
}

// inLab runs the failover in a lab of its own. It removes the lab afterwards whatever happens, unless leave is set and
// everything went well.
func (f *failover) inLab(ctx context.Context, leave bool) (err error) {
	l, err := lab.New(f.name())
	if err != nil {
		return err
	}
	l.Bin = f.bin
	kept := false
	defer func() {
		if kept {
			return
		}
		f.say("removing the lab")
		err = errors.Join(err, l.Close())
	}()
	err = f.run(ctx, l)
	if ctx.Err() == nil && (err != nil || f.kinds[1] != lab.None && f.lived() != nil) {
		fmt.Fprint(os.Stderr, l.Tails(15))
	}
	if err != nil || !leave {
		return err
	}
	if err := f.revive(ctx); err != nil {
		return err
	}
	kept = true
	return l.Keep()
}

// revive brings the dead router back as the backup and starts the streams again, for somebody to look at.
func (f *failover) revive(ctx context.Context) error {
	f.say("bringing router1 back and starting the streams again")
	if err := f.net.PowerOn(f.net.Router[0]); err != nil {
		return err
	}
	again := *f // the figures of the failover stay as they are
	return again.startClient(ctx, "again")
}

// attach says how to look at the lab that was left running.
func (f *failover) attach() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The lab is running: %s is master, and the streams flow. Logs and configuration are in %s\n",
		f.net.Router[1].Name, f.net.Dir)
	for _, r := range f.net.Router {
		fmt.Fprintf(&b, "%s, in namespace %s:\n", r.Name, r.NS)
		for _, line := range r.Daemon.Attach() {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	b.WriteString("Remove it with: make demo-clean\n")
	return b.String()
}

func clean() error {
	removed, err := lab.Clean()
	for _, dir := range removed {
		fmt.Println("removed", dir)
	}
	return err
}
