// Command bench compares ctsyncd with Debian's conntrackd: the same lab, the same run, the same flows.
//
//	bench run [-quick] [-rounds 3] [-only NAME,NAME] [-out FILE]   as `make bench`; -only runs some scenarios
//	bench guard MAX BUCKETS   restores the kernel's settings when its standard input ends (started by run)
//
// A scenario is one lab, two routers with the same daemon, and what happens there; plan.go lists them. A trial is one
// run of a scenario with one daemon. The daemons take turns within each scenario, so that other work of the machine
// affects both. Every figure belongs to a line of the table (lines.go), which has the target for ctsyncd. The command
// prints a table of the medians and writes every sample to a JSON file.
//
// What is measured, and how:
//
//   - CPU is the CPU time of the daemon's process by its own clock, all threads. "System" is the time for which the
//     whole machine was busy meanwhile (/proc/stat): both daemons, the kernel's softirqs, and the generator, which is
//     the same for both.
//   - Memory is resident memory minus that of the same daemon without flows.
//   - Bytes and packets are those that a queueing discipline of the sync link has passed on. It counts segments as they
//     would be on a wire; the counters of a veth interface count a segmented send once.
//   - A flow has arrived when the daemon of the other router counts it in its external cache.
//   - Tables are compared entry by entry: a kernel's table, as this package dumps it, with the peer's external cache,
//     as its daemon lists it, or after a commit with the other kernel's table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"ctsync/scripts/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "run":
		return run(ctx, args[1:])
	case len(args) == 3 && args[0] == "guard":
		return guard(settings{max: args[1], buckets: args[2]})
	}
	return errors.New("usage: bench run [-quick] [-rounds N] [-only NAME,NAME] [-out FILE]")
}

// options are the options of the command line.
type options struct {
	quick  bool
	rounds int
	only   string
	out    string
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench run", flag.ExitOnError)
	var o options
	flags.BoolVar(&o.quick, "quick", false, "small numbers and the most important scenarios, once each")
	flags.IntVar(&o.rounds, "rounds", 0, "trials of each scenario with each daemon (3, quick: 1)")
	flags.StringVar(&o.only, "only", "", "scenarios to run, by name, separated by commas")
	flags.StringVar(&o.out, "out", "bin/bench.json", "file for every sample")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if o.rounds < 1 {
		o.rounds = 3
		if o.quick {
			o.rounds = 1
		}
	}
	scenarios, err := chosen(o)
	if err != nil {
		return err
	}
	restore, err := raise()
	if err != nil {
		return err
	}
	rec := newRecord(o)
	began := time.Now()
	err = all(ctx, scenarios, o.rounds, rec)
	rec.Took = time.Since(began).Round(time.Second).String()
	fmt.Print(rec.table())
	return errors.Join(err, rec.save(o.out), restore())
}

// all runs every scenario, the daemons in turn. If a trial fails the others go on, and the error at the end names it.
func all(ctx context.Context, scenarios []scenario, rounds int, rec *record) error {
	var failed []error
	for _, s := range scenarios {
		for round := range rounds {
			kinds := []string{lab.Ctsync, lab.Conntrackd}
			if round%2 == 1 {
				kinds[0], kinds[1] = kinds[1], kinds[0]
			}
			for _, kind := range kinds {
				began := time.Now()
				err := try(ctx, s, kind, rec)
				if ctx.Err() != nil {
					return errors.Join(ctx.Err(), err)
				}
				word := ""
				if err != nil {
					failed = append(failed, fmt.Errorf("%s with %s, round %d: %w", s.name, kind, round+1, err))
					word = "FAILED"
				}
				fmt.Fprintf(os.Stderr, "%-12s round %d, %-10s %6.1f s  %s\n",
					s.name, round+1, kind, time.Since(began).Seconds(), word)
			}
		}
	}
	return errors.Join(failed...)
}

// chosen returns the scenarios that the options name. If they name none, it returns all of the plan but those that run
// only when named.
func chosen(o options) ([]scenario, error) {
	plan := fullPlan
	if o.quick {
		plan = quickPlan
	}
	if o.only == "" {
		return slices.DeleteFunc(slices.Clone(plan), func(s scenario) bool { return s.asked }), nil
	}
	var some []scenario
	for name := range strings.SplitSeq(o.only, ",") {
		found := false
		for _, s := range plan {
			if s.name == name {
				some, found = append(some, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q in this plan", name)
		}
	}
	return some, nil
}
