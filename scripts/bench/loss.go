package main

import (
	"fmt"
	"time"

	"ctsync/scripts/lab"
)

const (
	lossyFlows = 10_000 // made while the link loses datagrams
	lossyRate  = 10_000 // per second

	lossyPatience = 5 * time.Second // the protocol needs up to four to repair the last loss
)

// lossy replicates flows over a link that loses the given percentages of datagrams, one after another, in both
// directions.
func lossy(percents ...int) func(*trial) error {
	return func(t *trial) error {
		t.patience = lossyPatience
		if err := t.start(); err != nil {
			return err
		}
		for i, percent := range percents {
			if err := t.lossyRound(percent, i*lossyFlows); err != nil {
				return err
			}
		}
		return nil
	}
}

func (t *trial) lossyRound(percent, from int) error {
	for _, r := range t.pair {
		if err := lose(r, percent); err != nil {
			return err
		}
	}
	used, wall, differ, err := t.replicated(from+lossyFlows, func() error {
		return paced(t.ctx, lossyFlows, lossyRate, func(a, b int) error {
			return t.gen[0].do(create, translated, from+a, from+b)
		})
	})
	if err != nil {
		return err
	}
	t.record(float64(differ), "loss/%d/%s", percent, missing)
	t.record(wall.Seconds(), "loss/%d/wall", percent)
	t.record((used.sent[0].Bytes+used.sent[1].Bytes)/lossyFlows, "loss/%d/bytes", percent)
	return nil
}

// lose makes a router drop a percentage of the datagrams that arrive over the sync link. Segmentation offload is
// limited, so that each datagram is dropped or kept by itself.
func lose(r *lab.Router, percent int) error {
	if err := r.NS.IP("link", "set", lab.SyncInterface, "gso_max_segs", "1"); err != nil {
		return err
	}
	return r.NS.Firewall(fmt.Sprintf(`
table inet loss {}
delete table inet loss
table inet loss {
	chain input {
		type filter hook input priority 0;
		iifname "%s" udp dport 3780 numgen random mod 100 < %d drop
	}
}`, lab.SyncInterface, percent))
}
