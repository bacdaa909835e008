package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/scripts/lab"
)

// Figures are what one round measured of one daemon. CPU is time of the daemon's process, per flow.
type Figures struct {
	Arrived      float64 // flows in the peer's external cache after the burst
	Overruns     float64 // ENOBUFS on the event socket of the sender
	SenderCPU    float64 // µs
	ReceiverCPU  float64 // µs
	InternalRSS  float64 // bytes per flow
	ExternalRSS  float64 // bytes per flow
	Committed    float64 // flows in the kernel after the commit
	CommitCPU    float64 // µs
	CommitWall   float64 // s
	BareCPU      float64 // µs, of the bare writer that ran beside
	CommitToBare float64
}

// quiet is how long a daemon must use next to no CPU before a measurement begins or ends.
const quiet = 500 * time.Millisecond

// measure runs one round in a lab of its own.
func measure(ctx context.Context, kind string, n, rate int) (f Figures, err error) {
	l, err := lab.New("bench-" + kind)
	if err != nil {
		return f, err
	}
	l.Bin = "bin"
	defer func() { err = errors.Join(err, l.Close()) }()
	pair, err := l.Pair()
	if err != nil {
		return f, err
	}
	for _, r := range pair {
		if r.Daemon, err = l.NewDaemon(kind, r); err != nil {
			return f, err
		}
		if err := r.Daemon.Start(ctx); err != nil {
			return f, err
		}
	}
	if err := f.burst(ctx, pair, n, rate); err != nil {
		return f, fmt.Errorf("burst: %w\n%s", err, l.Tails(15))
	}
	if err := f.commit(ctx, pair[1], n); err != nil {
		return f, fmt.Errorf("commit: %w\n%s", err, l.Tails(15))
	}
	return f, f.bare(l, n)
}

// burst makes n flows in the kernel of the first router and watches them arrive at the second.
func (f *Figures) burst(ctx context.Context, pair [2]*lab.Router, n, rate int) error {
	var pid [2]int
	var cpu, rss [2]float64
	for i, r := range pair {
		pid[i] = r.Daemon.Process().PID
		if _, err := settle(ctx, pid[i]); err != nil {
			return err
		}
	}
	for i := range pair {
		cpu[i], rss[i] = cpuTime(pid[i]).Seconds(), resident(pid[i])
	}
	if _, err := writeIn(pair[0].NS, n, rate); err != nil {
		return err
	}
	for i := range pair {
		used, err := settle(ctx, pid[i])
		if err != nil {
			return err
		}
		cpu[i] = used.Seconds() - cpu[i]
		rss[i] = resident(pid[i]) - rss[i]
	}
	_, external, err := pair[1].Daemon.Held()
	if err != nil {
		return err
	}
	overruns, err := pair[0].Daemon.Overruns()
	if err != nil {
		return err
	}
	f.Arrived, f.Overruns = float64(external), float64(overruns)
	f.SenderCPU, f.ReceiverCPU = cpu[0]*1e6/float64(n), cpu[1]*1e6/float64(n)
	f.InternalRSS, f.ExternalRSS = rss[0]/float64(n), rss[1]/float64(n)
	return nil
}

// commit puts the second router's external cache into its empty kernel table.
func (f *Figures) commit(ctx context.Context, r *lab.Router, n int) error {
	pid := r.Daemon.Process().PID
	cpu, start := cpuTime(pid), time.Now()
	if err := r.Daemon.Commit(ctx); err != nil {
		return err
	}
	f.CommitWall = time.Since(start).Seconds()
	used, err := settle(ctx, pid)
	if err != nil {
		return err
	}
	f.CommitCPU = (used - cpu).Seconds() * 1e6 / float64(n)
	out, err := r.NS.Run("conntrack", "-C")
	if err != nil {
		return err
	}
	f.Committed, err = strconv.ParseFloat(strings.TrimSpace(out), 64)
	return err
}

// bare writes the same flows into the empty table of a namespace in which nobody listens.
func (f *Figures) bare(l *lab.Lab, n int) error {
	ns, err := l.Namespace("bare")
	if err != nil {
		return err
	}
	w, err := writeIn(ns, n, 0)
	if err != nil {
		return err
	}
	f.BareCPU = w.CPU.Seconds() * 1e6 / float64(n)
	f.CommitToBare = f.CommitCPU / f.BareCPU
	return nil
}

// settle waits until the process is quiet and returns the CPU time that it had used before the quiet began.
func settle(ctx context.Context, pid int) (time.Duration, error) {
	before := cpuTime(pid)
	for range 60 {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(quiet):
		}
		now := cpuTime(pid)
		if now-before < quiet/50 {
			return before, nil
		}
		before = now
	}
	return 0, fmt.Errorf("process %d never came to rest", pid)
}

// cpuTime returns the CPU time of another process, all its threads, from its own clock (clock_getcpuclockid(3)).
func cpuTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED of all threads
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// resident returns the resident memory of a process in bytes.
func resident(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "Rss:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb * 1024
		}
	}
	return 0
}
