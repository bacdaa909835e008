package main

import (
	"os/exec"
	"time"
)

// idleFor is how long idle daemons are watched. It is shorter than the time between two of ctsyncd's comparisons with
// the kernel (sweep-interval), so the figure does not include them: each costs as much as a start.
const idleFor = 3 * time.Second

// idleness watches both daemons while nothing happens, and records the busier one.
func (r *rehearsal) idleness() error {
	if err := r.settle(); err != nil {
		return err
	}
	var cpu [2]time.Duration
	var slept [2]float64
	for i, router := range r.pair {
		pid := router.Daemon.Process().PID
		cpu[i], slept[i] = cpuTime(pid), sleeps(pid)
	}
	if err := r.sleep(idleFor); err != nil {
		return err
	}
	for i, router := range r.pair {
		pid := router.Daemon.Process().PID
		cpu[i], slept[i] = cpuTime(pid)-cpu[i], sleeps(pid)-slept[i]
	}
	r.record(100*max(cpu[0], cpu[1]).Seconds()/idleFor.Seconds(), "large/idle/cpu")
	r.record(max(slept[0], slept[1])/idleFor.Seconds(), "large/idle/wakeups")
	return nil
}

// showTable measures the command that shows the whole table of the first router.
func (r *rehearsal) showTable() error {
	daemon := r.pair[0].Daemon
	pid := daemon.Process().PID
	argv := daemon.Table()
	cmd := r.pair[0].NS.Command(argv...)
	cpu, began := cpuTime(pid), time.Now()
	if err := cmd.Run(); err != nil {
		return &exec.Error{Name: argv[0], Err: err}
	}
	r.record(time.Since(began).Seconds(), "large/show/wall")
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + cpuTime(pid) - cpu
	r.record(used.Seconds(), "large/show/cpu")
	return nil
}
