package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// Written is what a writer process prints when it is done.
type Written struct {
	Flows  int            // in the kernel now
	Failed map[string]int `json:",omitempty"` // by errno
	CPU    time.Duration  // of this process while it wrote
	Wall   time.Duration
}

// write puts n flows into the kernel of the namespace that it runs in, and prints Written. rate is flows per second,
// 0 for as fast as the kernel takes them: then it is the bare batched ctnetlink writer.
func write(n, rate int) error {
	all := flows(n)
	conn, err := ctnetlink.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	batch := n
	if rate > 0 {
		batch = rate / int(time.Second/pace)
	}
	result := Written{Failed: make(map[string]int)}
	errs := make([]unix.Errno, batch)
	start, cpu := time.Now(), ownCPU()
	for i := 0; len(all) > 0; i++ {
		if rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(i) * pace)))
		}
		part := all[:min(batch, len(all))]
		all = all[len(part):]
		if err := createPart(conn, part, errs[:len(part)], &result); err != nil {
			return err
		}
	}
	result.CPU, result.Wall = ownCPU()-cpu, time.Since(start)
	return json.NewEncoder(os.Stdout).Encode(result)
}

// pace is how often a writer with a rate writes.
const pace = 10 * time.Millisecond

func createPart(conn *ctnetlink.Conn, part []flow.Flow, errs []unix.Errno, result *Written) error {
	if err := conn.Create(part, errs); err != nil {
		return err
	}
	for _, errno := range errs {
		if errno == 0 {
			result.Flows++
		} else {
			result.Failed[unix.ErrnoName(errno)]++
		}
	}
	return nil
}

func ownCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// writeIn runs a writer process inside a namespace.
func writeIn(ns lab.NS, n, rate int) (Written, error) {
	var w Written
	self, err := os.Executable()
	if err != nil {
		return w, err
	}
	out, err := ns.Run(self, "write", fmt.Sprint(n), fmt.Sprint(rate))
	if err != nil {
		return w, err
	}
	if err := json.Unmarshal([]byte(out), &w); err != nil {
		return w, fmt.Errorf("writer: %w: %s", err, out)
	}
	if w.Flows != n {
		return w, fmt.Errorf("writer: the kernel took %d of %d flows: %v", w.Flows, n, w.Failed)
	}
	return w, nil
}
