package main

import (
	"errors"
	"sync"
	"time"

	"ctsync/daemon/flow"
)

// between is how long a watch waits between two questions, or two probes. More questions would cost the daemon more
// than a hundredth of a commit.
const between = 5 * time.Millisecond

// watch measures how long the second router's daemon neglects its control socket and its kernel's events during a
// commit. A probe is a flow made in that kernel; the daemon has handled it when the message about it arrives at the
// other router.
type watch struct {
	r    *rehearsal
	tap  *tap
	stop chan struct{}
	busy sync.WaitGroup

	silence time.Duration // the longest time for an answer
	made    []time.Time   // when each probe was made

	errAsk, errProbe error
}

func (r *rehearsal) watchCommit() (*watch, error) {
	w := &watch{r: r, stop: make(chan struct{})}
	var err error
	if w.tap, err = openTap(r.pair[0]); err != nil {
		return nil, err
	}
	w.busy.Go(w.ask)
	w.busy.Go(w.probe)
	return w, nil
}

// stopped waits until the next question or probe is due, and reports whether the watch has ended.
func (w *watch) stopped() bool {
	select {
	case <-w.stop:
		return true
	case <-w.r.ctx.Done():
		return true
	case <-time.After(between):
		return false
	}
}

func (w *watch) ask() {
	for !w.stopped() {
		before := time.Now()
		if _, w.errAsk = w.r.held(1, true); w.errAsk != nil {
			return
		}
		w.silence = max(w.silence, time.Since(before))
	}
}

func (w *watch) probe() {
	g, err := newGenerator(w.r.pair[1].NS)
	if err != nil {
		w.errProbe = err
		return
	}
	defer g.close()
	for !w.stopped() {
		i := len(w.made)
		w.made = append(w.made, time.Now())
		if w.errProbe = g.do(create, probe, i, i+1); w.errProbe != nil {
			return
		}
	}
}

// end stops the questions and the probes.
func (w *watch) end() {
	close(w.stop)
	w.busy.Wait()
}

// report records what the watch saw. The daemons are at rest again, so a probe that has not been seen is lost.
func (w *watch) report() error {
	if err := errors.Join(w.errAsk, w.errProbe); err != nil {
		return err
	}
	seen, err := w.tap.close()
	if err != nil {
		return err
	}
	lost, pause := 0, time.Duration(0)
	for i, at := range w.made {
		f := probe(i)
		arrived, ok := seen[f.Orig]
		if !ok {
			lost++
			continue
		}
		pause = max(pause, arrived.Sub(at))
	}
	w.r.record(w.silence.Seconds()*1e3, "large/silence")
	w.r.record(pause.Seconds()*1e3, "large/pause")
	w.r.record(float64(lost), "large/lost")
	return nil
}

// arrivals are the moments at which flows were first seen.
type arrivals map[flow.Tuple]time.Time
