package main

import (
	"fmt"

	"ctsync/daemon/flow"
)

// steadyFor is how many seconds each phase of a steady replication lasts.
const steadyFor = 1.2

// changes are the phases of a steady replication: what happens to the flows of the first kernel.
var changes = []struct {
	name string
	req  request
	make maker
}{
	{"new", create, translated},
	{"update", update, marked},
	{"destroy", remove, translated},
}

// marked is translated with another mark.
func marked(i int) flow.Flow {
	f := translated(i)
	f.Mark = 1
	f.Has |= flow.HasMark
	return f
}

// steady makes flows, then changes them, then ends them, at the given rate per second.
func steady(rate int) func(*trial) error {
	return func(t *trial) error {
		if err := t.start(); err != nil {
			return err
		}
		n := int(steadyFor * float64(rate))
		for _, c := range changes {
			used, err := t.replicate(n, rate, c.req, c.make)
			if err != nil {
				return err
			}
			if err := t.recordFlows(fmt.Sprintf("steady/%d/%s", rate, c.name), used, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// replicate makes the request for n flows of the first kernel at a rate, waits until the daemons are at rest, and
// returns what they used.
func (t *trial) replicate(n, rate int, req request, make maker) (usage, error) {
	if err := t.settle(); err != nil {
		return usage{}, err
	}
	before, err := t.usage()
	if err != nil {
		return usage{}, err
	}
	err = paced(t.ctx, n, rate, func(from, to int) error { return t.gen[0].do(req, make, from, to) })
	if err != nil {
		return usage{}, err
	}
	if err := t.settle(); err != nil {
		return usage{}, err
	}
	after, err := t.usage()
	return after.since(before), err
}

// recordFlows records what the replication of n flows used, and in how many flows the tables differ, in a group of
// lines.
func (t *trial) recordFlows(group string, used usage, n int) error {
	differ, err := t.replica(0, 1)
	if err != nil {
		return err
	}
	t.record(float64(differ), "%s/%s", group, missing)
	t.record(perFlow(used.cpu[0], n), "%s/sender", group)
	t.record(perFlow(used.cpu[1], n), "%s/receiver", group)
	t.record(perFlow(used.system, n), "%s/system", group)
	t.record((used.sent[0].Bytes+used.sent[1].Bytes)/float64(n), "%s/bytes", group)
	if t.net == nil {
		t.record((used.sent[0].Packets+used.sent[1].Packets)/float64(n), "%s/packets", group)
	}
	return nil
}
