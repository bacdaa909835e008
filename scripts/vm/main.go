// Command vm boots real Debian machines under qemu, installs ctsync in them, and checks what namespaces cannot show:
// the systemd unit, keepalived as a service, boots and deaths of a machine, and the tests that speak to the kernel on
// Debian's one.
//
//	vm run [-only NAME[,NAME]] [-mirror URL]   as `make vm`, in the root of the module; NAME is one of `vm list`
//	vm disk [-mirror URL]                      makes the machines' disk and nothing else
//	vm list                                    lists the checks
//	vm agent PORT                              carries out commands of the host (runs in the machine)
//	vm echo ADDRESS, vm talk ADDRESS FILE      hold a conversation (run in the machine)
//
// The first run makes the machines' disk with debootstrap, and keeps it in the user's cache directory (ctsync/vm). The
// machines run without KVM, never write to that disk, and reach nothing outside of themselves.
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
)

// runTime bounds a run, once the disk is made. An idle host with two cores needs less than half.
const runTime = 20 * time.Minute

func main() {
	signal.Ignore(syscall.SIGPIPE) // if the reader of our output goes away, the machines must still end
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "vm: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "run":
		return run(ctx, args[1:], true)
	case len(args) >= 1 && args[0] == "disk":
		return run(ctx, args[1:], false)
	case len(args) == 1 && args[0] == "list":
		for _, c := range checks() {
			fmt.Printf("%-20s %s\n", c.name, c.shows)
		}
		return nil
	case len(args) == 2 && args[0] == "agent":
		return agent(args[1])
	case len(args) == 2 && args[0] == "echo":
		return echo(ctx, args[1])
	case len(args) == 3 && args[0] == "talk":
		return talk(ctx, args[1], args[2])
	}
	return errors.New("usage: vm run [-only NAME[,NAME]] [-mirror URL] | disk [-mirror URL] | list")
}

func run(ctx context.Context, args []string, check bool) error {
	flags := flag.NewFlagSet("vm run", flag.ExitOnError)
	only := flags.String("only", "", "the checks to run, separated by commas; those that they need run as well")
	mirror := flags.String("mirror", "http://deb.debian.org/debian", "where debootstrap gets the packages")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("making the disk of a machine needs root")
	}
	wanted, err := choose(checks(), *only)
	if err != nil {
		return err
	}
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%5.1fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	disk, err := makeDisk(ctx, *mirror, say)
	if err != nil || !check {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("not done within %v", runTime))
	defer cancel()
	failed, err := inMachines(ctx, disk, wanted, say)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d checks failed: %s", len(failed), len(wanted), strings.Join(failed, ", "))
	}
	say("all %d checks passed", len(wanted))
	return nil
}
