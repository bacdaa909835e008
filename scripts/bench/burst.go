package main

import "time"

// burstFlows is how many flows come at once: more than any buffer can hold.
const burstFlows = 500_000

// burst makes flows as fast as the kernel can.
func burst(t *trial) error {
	if err := t.start(); err != nil {
		return err
	}
	used, wall, differ, err := t.replicated(burstFlows, func() error {
		return t.gen[0].do(create, translated, 0, burstFlows)
	})
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

// rungs are the rates of the ladder, in flows per second. Each lasts a second.
var rungs = []int{60_000, 100_000, 150_000, 250_000}

// ladder finds the highest rate at which no flow is lost permanently. It records the rate that the generator reached,
// which the machine limits.
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
