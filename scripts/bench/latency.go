package main

import (
	"slices"
	"time"
)

const (
	idleProbes  = 75                    // flows, one at a time
	idleBetween = 20 * time.Millisecond // between two of them
	busyRate    = 10_000
	busyFlows   = 2 * busyRate
	busyPoll    = 500 * time.Microsecond
)

// latency measures the time from the return of the request that made a flow until the other router's daemon first
// answers that its external cache has it. The figure includes the question, about 0.1 ms.
func latency(t *trial) error {
	if err := t.start(); err != nil {
		return err
	}
	idle, err := t.idleLatency()
	if err != nil {
		return err
	}
	t.recordLatency("latency/idle", idle)
	busy, err := t.busyLatency(idleProbes)
	if err != nil {
		return err
	}
	t.recordLatency("latency/busy", busy)
	return nil
}

func (t *trial) recordLatency(id string, all []time.Duration) {
	slices.Sort(all)
	at := func(part float64) float64 { return all[int(part*float64(len(all)-1))].Seconds() * 1e3 }
	t.record(at(0.5), "%s/p50", id)
	t.record(at(0.99), "%s/p99", id)
}

// idleLatency makes one flow at a time.
func (t *trial) idleLatency() ([]time.Duration, error) {
	all := make([]time.Duration, 0, idleProbes)
	for i := range idleProbes {
		if err := t.sleep(idleBetween); err != nil {
			return nil, err
		}
		if err := t.gen[0].do(create, translated, i, i+1); err != nil {
			return nil, err
		}
		start := time.Now()
		for {
			got, err := t.held(1, true)
			if err != nil {
				return nil, err
			}
			if took := time.Since(start); got > i || took > stalled {
				all = append(all, took)
				break
			}
		}
	}
	return all, nil
}

// count is how many flows there were at a moment.
type count struct {
	n  int
	at time.Time
}

// busyLatency watches the size of the external cache while flows are made, the first with the number at. It takes the
// n-th flow to arrive for the n-th made.
func (t *trial) busyLatency(at int) ([]time.Duration, error) {
	first, err := t.held(1, true)
	if err != nil {
		return nil, err
	}
	var made []count
	done := make(chan error, 1)
	go func() {
		done <- paced(t.ctx, busyFlows, busyRate, func(from, to int) error {
			err := t.gen[0].do(create, translated, at+from, at+to)
			made = append(made, count{to, time.Now()})
			return err
		})
	}()
	var arrived []count
	for start := time.Now(); ; {
		got, err := t.held(1, true)
		if err != nil {
			return nil, err
		}
		arrived = append(arrived, count{got - first, time.Now()})
		if got-first == busyFlows || time.Since(start) > busyFlows/busyRate*time.Second+stalled {
			break
		}
		time.Sleep(busyPoll)
	}
	if err := <-done; err != nil {
		return nil, err
	}
	return delays(made, arrived), nil
}

// delays returns, for the n-th flow made, how long it took until n flows had arrived. For flows that never arrived it
// uses the last moment in arrived.
func delays(made, arrived []count) []time.Duration {
	var all []time.Duration
	from := 0
	for _, m := range made {
		for n := from + 1; n <= m.n; n++ {
			for len(arrived) > 1 && arrived[0].n < n {
				arrived = arrived[1:]
			}
			all = append(all, max(arrived[0].at.Sub(m.at), 0))
		}
		from = m.n
	}
	return all
}
