package main

import (
	"fmt"
	"strings"
	"time"

	"ctsync/scripts/lab"
)

// monitorFlows is how many flows the caches hold while the monitor shows them.
const monitorFlows = 1_000_000

// monitored replicates busyRate flows per second beside a million, first alone and then with the real `ctsync tui` open
// on the receiving router. The monitor shows the external cache sorted, and for each page the daemon sorts all flows.
func monitored(t *trial) error {
	if t.kind != lab.Ctsync {
		return nil
	}
	if err := t.start(); err != nil {
		return err
	}
	if err := t.gen[0].do(create, translated, 0, monitorFlows); err != nil {
		return err
	}
	if got, _, err := t.arrive(1, true, monitorFlows); err != nil || got != monitorFlows {
		return fmt.Errorf("the external cache has %d flows: %w", got, err)
	}
	if err := t.busyBeside("monitor/none", monitorFlows); err != nil {
		return err
	}
	term, err := t.lab.Terminal("monitored", 120, 40, t.pair[1].Daemon.Attach()[1])
	if err != nil {
		return err
	}
	defer term.Close()
	if err := term.Press("2", "t", "s"); err != nil {
		return err
	}
	if screen, err := term.Screen(); err != nil || !strings.Contains(screen, "1.02M flows") {
		return fmt.Errorf("the monitor does not show the external cache: %w\n%s", err, screen)
	}
	if err := t.busyBeside("monitor/tui", monitorFlows+busyFlows); err != nil {
		return err
	}
	differ, err := t.replica(0, 1)
	t.record(float64(differ), "monitor/tui/%s", missing)
	return err
}

// busyBeside replicates flows, the first with the number at, and records the cost.
func (t *trial) busyBeside(id string, at int) error {
	if err := t.sleep(time.Second); err != nil { // settle would not return: the monitor keeps the daemon busy
		return err
	}
	before, err := t.usage()
	if err != nil {
		return err
	}
	all, err := t.busyLatency(at)
	if err != nil {
		return err
	}
	after, err := t.usage()
	if err != nil {
		return err
	}
	used := after.since(before)
	t.record(perFlow(used.cpu[0], busyFlows), "%s/sender", id)
	t.record(perFlow(used.cpu[1], busyFlows), "%s/receiver", id)
	t.recordLatency(id, all)
	return nil
}
