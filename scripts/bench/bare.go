package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// What the kernel itself asks for the same flows, in the same run: less than this nobody can need.

// bareWriter returns the CPU time of a batched ctnetlink writer that makes the flows in a namespace of their own, in
// which nobody listens. Making them up is not counted.
func (r *rehearsal) bareWriter() (time.Duration, error) {
	ns, err := r.lab.Namespace("bare")
	if err != nil {
		return 0, err
	}
	g, err := newGenerator(ns)
	if err != nil {
		return 0, err
	}
	defer g.close()
	runtime.LockOSThread() // the kernel works within the thread that asks
	defer runtime.UnlockOSThread()
	var cpu time.Duration
	timed := func(c *ctnetlink.Conn, flows []flow.Flow, errs []unix.Errno) error {
		before := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		err := c.Create(flows, errs)
		cpu += clock(unix.CLOCK_THREAD_CPUTIME_ID) - before
		return err
	}
	if err := g.do(timed, r.make, 0, r.n); err != nil {
		return 0, err
	}
	return cpu, g.conn.Flush(0)
}

// bareReader records the CPU time of reading the first kernel's table without doing anything with it.
func (r *rehearsal) bareReader() error {
	if r.kind != lab.Ctsync { // once a round is enough
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := clock(unix.CLOCK_THREAD_CPUTIME_ID)
	if _, err := r.gen[0].conn.Dump(0, func(*flow.Flow) error { return nil }); err != nil {
		return err
	}
	r.record(perFlow(clock(unix.CLOCK_THREAD_CPUTIME_ID)-before, r.n), "%s/start/bare", r.id)
	return nil
}
