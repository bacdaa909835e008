package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"ctsync/scripts/lab"
)

// trial is one run of a scenario with one daemon: a lab, two routers with the daemon on both, and a generator for the
// kernel of each.
type trial struct {
	ctx  context.Context
	kind string
	rec  *record
	lab  *lab.Lab
	pair [2]*lab.Router
	gen  [2]*generator
	net  *lab.Network // of a lab with packets, else nil

	patience time.Duration // after this long without a new flow, no more are expected
}

// try runs one trial.
func try(ctx context.Context, s scenario, kind string, rec *record) (err error) {
	l, err := lab.New("bench-" + kind)
	if err != nil {
		return err
	}
	l.Bin = "bin"
	t := &trial{ctx: ctx, kind: kind, rec: rec, lab: l, patience: stalled}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.build(s.packets); err != nil {
		return err
	}
	if err := s.run(t); err != nil {
		return fmt.Errorf("%w\n%s", err, l.Tails(15))
	}
	return nil
}

func (t *trial) build(packets bool) (err error) {
	if packets {
		if t.net, err = t.lab.Network(); err != nil {
			return err
		}
		t.pair = t.net.Router
	} else if t.pair, err = t.lab.Pair(); err != nil {
		return err
	}
	for i, r := range t.pair {
		if r.Daemon, err = t.lab.NewDaemon(t.kind, r); err != nil {
			return err
		}
		if err := countTraffic(r); err != nil {
			return err
		}
		if t.gen[i], err = newGenerator(r.NS); err != nil {
			return err
		}
	}
	return nil
}

// close removes the lab. It empties the kernels' tables first, or the kernel would do that in the middle of the next
// trial.
func (t *trial) close() error {
	clear := func(router int) func() error {
		return func() error {
			if r := t.pair[router]; r != nil && r.Daemon != nil && r.Daemon.Process() != nil {
				r.Daemon.Process().Stop()
			}
			if g := t.gen[router]; g != nil {
				return errors.Join(t.pair[router].NS.FlushFlows(), g.close())
			}
			return nil
		}
	}
	return errors.Join(atOnce(clear(0), clear(1)), t.lab.Close())
}

// atOnce runs steps at the same time, if nothing is measured.
func atOnce(steps ...func() error) error {
	var g errgroup.Group
	for _, step := range steps {
		g.Go(step)
	}
	return g.Wait()
}

// start starts the daemons of both routers and waits until they are at rest.
func (t *trial) start() error {
	for _, r := range t.pair {
		if err := r.Daemon.Start(t.ctx); err != nil {
			return err
		}
	}
	return t.settle()
}

// record adds a sample to a line.
func (t *trial) record(value float64, id string, args ...any) {
	t.rec.add(t.kind, fmt.Sprintf(id, args...), value)
}

const (
	window   = 150 * time.Millisecond // in which a daemon at rest uses next to no CPU
	atRest   = window / 40
	restless = 40 * time.Second // after this long a trial gives up waiting for rest
	stalled  = 3 * time.Second  // the patience of a trial, unless it sets another
)

// settle waits until both daemons are at rest.
func (t *trial) settle() error {
	var before [2]time.Duration
	for deadline := time.Now().Add(restless); ; {
		rest := true
		for i, r := range t.pair {
			p := r.Daemon.Process()
			if p == nil || !p.Running() {
				continue
			}
			now := cpuTime(p.PID)
			rest = rest && now-before[i] < atRest
			before[i] = now
		}
		if rest {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the daemons did not come to rest")
		}
		if err := t.sleep(window); err != nil {
			return err
		}
	}
}

func (t *trial) sleep(d time.Duration) error {
	select {
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// held returns how many flows are in the internal or external cache of a router's daemon.
func (t *trial) held(router int, external bool) (int, error) {
	own, peers, err := t.pair[router].Daemon.Held()
	if external {
		return peers, err
	}
	return own, err
}

// arrive waits until a cache has n flows or no new one arrives for a while. It returns how many the cache has, and when
// the last one was seen.
func (t *trial) arrive(router int, external bool, n int) (got int, at time.Time, err error) {
	got, at = -1, time.Now()
	for {
		now, err := t.held(router, external)
		if err != nil {
			return got, at, err
		}
		if now != got {
			got, at = now, time.Now()
		}
		if got == n || time.Since(at) > t.patience {
			return got, at, nil
		}
		if err := t.sleep(10 * time.Millisecond); err != nil {
			return got, at, err
		}
	}
}
