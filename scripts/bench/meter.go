package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/scripts/lab"
)

// cpuTime returns the CPU time of another process, all its threads, from its own clock (clock_getcpuclockid(3)).
func cpuTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED of all threads
	return clock(int32(^pid<<3 | schedClock))
}

func clock(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// busy returns how long the CPUs of the machine have been busy, in total (proc_stat(5)).
func busy() time.Duration {
	const (
		ticks = 100 // per second, USER_HZ
		idle  = 4   // fields of the first line, its name included
		wait  = 5
		guest = 9 // counted in user already
	)
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	sum := 0
	for i, field := range strings.Fields(string(line)) {
		if i > 0 && i != idle && i != wait && i < guest {
			n, _ := strconv.Atoi(field)
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks
}

// resident returns the resident memory of a process in bytes.
func resident(pid int) float64 {
	kb := fieldSum(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:")
	return kb * 1024
}

// sleeps returns how often the threads of a process have gone to sleep voluntarily, and so how often they woke up.
func sleeps(pid int) (n float64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		n += fieldSum(file, "voluntary_ctxt_switches:")
	}
	return n
}

// fieldSum adds up the numbers in those lines of a file that begin with name.
func fieldSum(path, name string) (sum float64) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			v, _ := strconv.ParseFloat(fields[1], 64)
			sum += v
		}
	}
	return sum
}

// traffic is what a router has sent on the sync link.
type traffic struct {
	Bytes   float64 `json:"bytes"`
	Packets float64 `json:"packets"`
}

// countTraffic gives the sync link of a router a queueing discipline that counts. Nothing ever waits in it: a veth pair
// delivers before the sending call returns.
func countTraffic(r *lab.Router) error {
	_, err := r.NS.Run("tc", "qdisc", "replace", "dev", lab.SyncInterface, "root", "pfifo", "limit", "10000")
	return err
}

func sent(r *lab.Router) (traffic, error) {
	out, err := r.NS.Run("tc", "-s", "-j", "qdisc", "show", "dev", lab.SyncInterface)
	if err != nil {
		return traffic{}, err
	}
	var all []traffic
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		return traffic{}, fmt.Errorf("read counters of %s: %w: %s", lab.SyncInterface, err, out)
	}
	return all[0], nil
}

// usage is what a pair of daemons, and the machine, have used until a moment. Only differences have a meaning.
type usage struct {
	at     time.Time
	cpu    [2]time.Duration // of the daemons
	system time.Duration
	sent   [2]traffic
}

func (t *trial) usage() (u usage, err error) {
	for i, r := range t.pair {
		if u.sent[i], err = sent(r); err != nil {
			return u, err
		}
		if p := r.Daemon.Process(); p != nil {
			u.cpu[i] = cpuTime(p.PID)
		}
	}
	u.at, u.system = time.Now(), busy()
	return u, nil
}

func (u usage) since(before usage) usage {
	for i := range u.cpu {
		u.cpu[i] -= before.cpu[i]
		u.sent[i].Bytes -= before.sent[i].Bytes
		u.sent[i].Packets -= before.sent[i].Packets
	}
	u.system -= before.system
	return u
}

// replicated calls do, which changes the first kernel or the caches. It returns what the daemons used until the second
// had n flows of the first and both were at rest, how long it took until the last flow arrived, and how many differ.
func (t *trial) replicated(n int, do func() error) (used usage, wall time.Duration, differ int, err error) {
	before, err := t.usage()
	if err != nil {
		return used, 0, 0, err
	}
	if err := do(); err != nil {
		return used, 0, 0, err
	}
	_, at, err := t.arrive(1, true, n)
	if err != nil {
		return used, 0, 0, err
	}
	if err := t.settle(); err != nil {
		return used, 0, 0, err
	}
	after, err := t.usage()
	if err != nil {
		return used, 0, 0, err
	}
	differ, err = t.replica(0, 1)
	return after.since(before), at.Sub(before.at), differ, err
}

// perFlow returns d in microseconds per flow.
func perFlow(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }
