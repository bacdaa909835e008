package main

import (
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// rehearsal is a failover with a table of n flows: the first router has them, the second takes over.
type rehearsal struct {
	*trial
	n    int
	make maker
	id   string     // first part of the ids of its lines
	idle [2]float64 // resident memory of a daemon without flows
}

// failover starts a daemon on a kernel with n flows, then the peer's daemon, and commits there what it received.
func failover(n int) func(*trial) error {
	return func(t *trial) error {
		r := &rehearsal{trial: t, n: n, make: translated, id: fmt.Sprintf("failover/%d", n)}
		steps := []func() error{r.start, r.standby}
		if n == 1_000_000 {
			steps = append(steps, r.idleness, r.showTable)
		}
		if n == 500_000 {
			steps = append(steps, r.bulk, r.request)
		}
		if n <= 1_000_000 {
			steps = append(steps, r.commit)
		}
		if n == 100_000 {
			steps = append(steps, r.again)
		}
		if n == 500_000 {
			steps = append(steps, r.takeover)
		}
		return inOrder(steps)
	}
}

func inOrder(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// start fills the first kernel and starts the daemon there. Before that it measures the memory of both daemons without
// flows, and stops them, so that the second one asks for the table when it starts again.
func (r *rehearsal) start() error {
	if err := r.trial.start(); err != nil {
		return err
	}
	for i, router := range r.pair {
		r.idle[i] = resident(router.Daemon.Process().PID)
		router.Daemon.Process().Stop()
	}
	if err := r.populate(); err != nil {
		return err
	}
	active, began := r.pair[0].Daemon, time.Now()
	if err := active.Start(r.ctx); err != nil {
		return err
	}
	if got, at, err := r.arrive(0, false, r.n); err != nil || got != r.n {
		return errors.Join(err, fmt.Errorf("start: the internal cache has %d of %d flows", got, r.n))
	} else if err := r.settle(); err != nil {
		return err
	} else if r.make(0).Orig.Family == flow.IPv4 {
		r.record(at.Sub(began).Seconds(), "%s/start/wall", r.id)
		r.record(perFlow(cpuTime(active.Process().PID), r.n), "%s/start/cpu", r.id)
		if err := r.bareReader(); err != nil {
			return err
		}
	}
	r.memory(0, "internal")
	return nil
}

// populate makes the flows of the first kernel, half of them on each of two CPUs.
func (r *rehearsal) populate() (err error) {
	second, err := newGenerator(r.pair[0].NS)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, second.close()) }()
	return atOnce(
		func() error { return r.gen[0].do(create, r.make, 0, r.n/2) },
		func() error { return second.do(create, r.make, r.n/2, r.n) })
}

// standby starts the second router's daemon, which asks for the table.
func (r *rehearsal) standby() error {
	if err := r.pair[1].Daemon.Start(r.ctx); err != nil {
		return err
	}
	if err := r.fill(); err != nil {
		return err
	}
	r.memory(1, "external")
	return nil
}

// fill waits until the second router has the whole table. conntrackd may lose some of it, so fill asks again.
func (r *rehearsal) fill() error {
	for range 5 {
		got, _, err := r.arrive(1, true, r.n)
		if err != nil || got == r.n {
			return errors.Join(err, r.settle())
		}
		if err := r.pair[1].Daemon.Do(r.ctx, control.Action{Verb: control.Request}); err != nil {
			return err
		}
	}
	return fmt.Errorf("the second router never had all %d flows", r.n)
}

func (r *rehearsal) memory(router int, cache string) {
	used := (resident(r.pair[router].Daemon.Process().PID) - r.idle[router]) / float64(r.n)
	if r.make(0).Orig.Family == flow.IPv6 {
		r.record(used, "memory6/%s", cache)
	} else {
		r.record(used, "memory/%d/%s", r.n, cache)
	}
}

// memory6 measures memory with IPv6 flows.
func memory6(t *trial) error {
	r := &rehearsal{trial: t, n: 100_000, make: plain6}
	return inOrder([]func() error{r.start, r.standby})
}

func (r *rehearsal) bulk() error {
	return r.transfer("bulk", 0, control.Action{Verb: control.Bulk})
}

func (r *rehearsal) request() error {
	return r.transfer("request", 1, control.Action{Verb: control.Request})
}

// transfer empties the external cache of the second router and has the daemon of the given router fill it again.
func (r *rehearsal) transfer(name string, router int, a control.Action) error {
	empty := control.Action{Verb: control.Flush, Cache: control.CacheExternal}
	if err := r.pair[1].Daemon.Do(r.ctx, empty); err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	used, wall, differ, err := r.replicated(r.n, func() error { return r.pair[router].Daemon.Do(r.ctx, a) })
	if err != nil {
		return err
	}
	id := r.id + "/" + name
	r.record(float64(differ), "%s/%s", id, missing)
	r.record(wall.Seconds(), "%s/wall", id)
	r.record(perFlow(used.cpu[0]+used.cpu[1], r.n), "%s/cpu", id)
	if differ == 0 {
		return nil
	}
	return r.fill()
}

// commit commits the second router's external cache into its empty kernel table.
func (r *rehearsal) commit() error {
	var bare effort
	var w *watch
	if r.kind == lab.Ctsync { // once a round is enough
		var err error
		if bare, err = r.bareWriter(); err != nil {
			return err
		}
	}
	took, err := r.operation("commit", func() (err error) {
		if r.n == 1_000_000 {
			if w, err = r.watchCommit(); err != nil {
				return err
			}
			defer w.end()
		}
		return r.pair[1].Daemon.Do(r.ctx, control.Action{Verb: control.Commit})
	})
	if err != nil {
		return err
	}
	if bare.cpu > 0 {
		r.record(perFlow(bare.cpu, r.n), "%s/commit/bare", r.id)
		r.record(float64(took.cpu)/float64(bare.cpu), "%s/commit/cpu_to_bare", r.id)
		r.record(float64(took.wall)/float64(bare.wall), "%s/commit/wall_to_bare", r.id)
	}
	if w != nil {
		return w.report()
	}
	return nil
}

// again commits flows that the kernel has already.
func (r *rehearsal) again() error {
	_, err := r.operation("again", func() error {
		return r.pair[1].Daemon.Do(r.ctx, control.Action{Verb: control.Commit})
	})
	return err
}

// takeover measures the complete work of a change to MASTER, until the other router has every flow.
func (r *rehearsal) takeover() error {
	if err := r.pair[1].NS.FlushFlows(); err != nil {
		return err
	}
	_, err := r.operation("takeover", func() error {
		if err := r.pair[1].Daemon.Takeover(r.ctx); err != nil {
			return err
		}
		_, _, err := r.arrive(0, true, r.n)
		return err
	})
	if err != nil || r.kind != lab.Ctsync {
		return err
	}
	differ, err := r.replica(1, 0)
	if err != nil {
		return err
	}
	r.record(float64(differ), "%s/takeover/peer", r.id)
	return r.verification()
}

// verifyWait is longer than the time from a takeover to the end of ctsyncd's comparison of the internal cache with the
// kernel. conntrackd reads the table within the takeover.
const verifyWait = 13 * time.Second

// verification measures that comparison, only in the first round because the wait is long.
func (r *rehearsal) verification() error {
	id := r.id + "/takeover/verify"
	if len(r.rec.samples[id]) > 0 {
		return nil
	}
	pid := r.pair[1].Daemon.Process().PID
	before := cpuTime(pid)
	if err := r.sleep(verifyWait); err != nil {
		return err
	}
	r.record(perFlow(cpuTime(pid)-before, r.n), "%s", id)
	return nil
}

// operation measures what the second router's daemon needs until do returns and the daemon is at rest, and compares the
// kernels.
func (r *rehearsal) operation(name string, do func() error) (took effort, err error) {
	if err := r.settle(); err != nil {
		return took, err
	}
	pid := r.pair[1].Daemon.Process().PID
	before, began := cpuTime(pid), time.Now()
	if err := do(); err != nil {
		return took, err
	}
	took.wall = time.Since(began)
	if err := r.settle(); err != nil {
		return took, err
	}
	took.cpu = cpuTime(pid) - before
	differ, err := r.twins()
	if err != nil {
		return took, err
	}
	r.record(float64(differ), "%s/%s/%s", r.id, name, missing)
	r.record(took.wall.Seconds(), "%s/%s/wall", r.id, name)
	r.record(perFlow(took.cpu, r.n), "%s/%s/cpu", r.id, name)
	return took, nil
}
