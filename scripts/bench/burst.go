package main

import "time"

// burstFlows is how many flows come at once: more than any buffer holds.
const burstFlows = 500_000

// burst lets flows come as fast as the kernel makes them.
func burst(t *trial) error {
	if err := t.start(); err != nil {
		return err
	}
	fill := func() error { return t.gen[0].do(create, translated, 0, burstFlows) }
	used, wall, differ, err := t.replicated(burstFlows, fill)
	if err != nil {
		return err
	}
	overruns, err := t.pair[0].Daemon.Overruns()
	if err != nil {
		return err
	}
	t.record(float64(differ), "burst/%s", missing)
	t.record(float64(overruns), "burst/overruns")
	t.record(wall.Seconds(), "burst/wall")
	t.record(perFlow(used.cpu[0], burstFlows), "burst/sender")
	t.record(perFlow(used.cpu[1], burstFlows), "burst/receiver")
	return nil
}

// rungs are the rates of the ladder, in flows per second; each is kept up for a second.
var rungs = []int{60_000, 100_000, 150_000, 250_000}

// ladder finds the highest rate at which no flow is lost for good. What counts is the rate that the generator reached,
// which ends where the machine does.
func ladder(t *trial) error {
	if err := t.start(); err != nil {
		return err
	}
	made, best := 0, 0.0
	for _, rate := range rungs {
		start := time.Now()
		err := paced(t.ctx, rate, rate, func(from, to int) error {
			return t.gen[0].do(create, translated, made+from, made+to)
		})
		if err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		made += rate
		got, _, err := t.arrive(1, true, made)
		if err != nil {
			return err
		}
		if got != made {
			break
		}
		best = max(best, float64(rate)/took)
	}
	t.record(best, "ladder/rate")
	return nil
}
