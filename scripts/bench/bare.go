package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// The cost of the kernel alone for the same flows, in the same run: no daemon can need less.

// effort is the cost of some work.
type effort struct{ cpu, wall time.Duration }

// bareWriter returns the effort of a batched ctnetlink writer that makes the flows in a separate namespace in which
// nobody listens. Generating the flows is not counted.
func (r *rehearsal) bareWriter() (took effort, err error) {
	ns, err := r.lab.Namespace("bare")
	if err != nil {
		return took, err
	}
	g, err := newGenerator(ns)
	if err != nil {
		return took, err
	}
	defer g.close()
	runtime.LockOSThread() // the kernel works within the requesting thread
	defer runtime.UnlockOSThread()
	timed := func(c *ctnetlink.Conn, flows []flow.Flow, errs []unix.Errno) error {
		before, began := clock(unix.CLOCK_THREAD_CPUTIME_ID), time.Now()
		err := c.Create(flows, errs)
		took.cpu += clock(unix.CLOCK_THREAD_CPUTIME_ID) - before
		took.wall += time.Since(began)
		return err
	}
	if err := g.do(timed, r.make, 0, r.n); err != nil {
		return took, err
	}
	return took, ns.FlushFlows()
}

// bareReader records the CPU time of reading the first kernel's table without using it.
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
