// Command bench measures ctsyncd and Debian's conntrackd side by side: the same lab, the same run, the same flows.
//
//	bench run [-rounds 3] [-flows 100000] [-rate 20000] [-daemons ctsync,conntrackd]   as `make bench`
//	bench write FLOWS RATE   puts flows into the kernel of the namespace it runs in (started by run)
//
// A round makes two routers, lets a burst of new flows happen in the kernel of the first, waits until both daemons are
// quiet, reads their memory, and has the second commit what it received into its empty kernel table. Then a bare
// batched ctnetlink writer puts the same flows into the empty table of a namespace in which nobody listens. Rounds
// alternate between the daemons; a table of the medians and then everything as JSON go to standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

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
	case len(args) == 3 && args[0] == "write":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		rate, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return write(n, rate)
	}
	return errors.New("usage: bench run [-rounds N] [-flows N] [-rate N] [-daemons KIND,KIND]")
}

// Bench is the whole result.
type Bench struct {
	Flows, Rate int
	Rounds      map[string][]Figures // by daemon
	Median      map[string]Figures
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench run", flag.ExitOnError)
	rounds := flags.Int("rounds", 3, "rounds of each daemon")
	b := Bench{Rounds: make(map[string][]Figures), Median: make(map[string]Figures)}
	flags.IntVar(&b.Flows, "flows", 100_000, "flows in the burst and in the commit")
	flags.IntVar(&b.Rate, "rate", 20_000, "new flows per second in the burst")
	daemons := flags.String("daemons", lab.Ctsync+","+lab.Conntrackd, "daemons to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if b.Flows < 1 || b.Flows > 240_000 || b.Rate < 100 || *rounds < 1 {
		return errors.New("want 1 to 240000 flows (their NAT ports must differ), at least 100 a second, and a round")
	}
	kinds := strings.Split(*daemons, ",")
	for i := range *rounds {
		for _, kind := range kinds {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", i+1, *rounds, kind)
			f, err := measure(ctx, kind, b.Flows, b.Rate)
			if err != nil {
				return err
			}
			b.Rounds[kind] = append(b.Rounds[kind], f)
		}
	}
	for _, kind := range kinds {
		b.Median[kind] = median(b.Rounds[kind])
	}
	fmt.Print(b.table(kinds))
	return json.NewEncoder(os.Stdout).Encode(b)
}
