package query

import (
	"context"
	"math"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
)

// Expectations passes the expectations of a cache that q asks for to fn. They are few: all are copied at once.
func (r *Reader) Expectations(
	ctx context.Context, q control.FlowQuery, fn func(e *flow.Expectation, m control.Meta) error,
) error {
	if err := r.hasTable(ctx, q.Table); err != nil {
		return err
	}
	var entries []cache.ExpectEntry
	var now int64
	on := false
	if err := r.Loop.Do(ctx, func(c *core.Core) {
		on, now = c.Expecting(), c.Now()
		scan := c.Own.Expect.Scan
		if q.Table == control.TableExternal {
			scan = c.Peer.Expect.Scan
		}
		scan(0, math.MaxInt, func(x *cache.ExpectEntry) {
			if q.Family == 0 || x.Expectation.Expect.Family == q.Family {
				entries = append(entries, *x)
			}
		})
	}); err != nil {
		return err
	}
	if !on {
		return &control.Error{
			Code: control.CodeDisabled, Message: "ExpectationSync is disabled", Hint: "set expect-sync in the configuration",
		}
	}
	entries = entries[min(q.Skip, len(entries)):]
	if q.Limit > 0 {
		entries = entries[:min(q.Limit, len(entries))]
	}
	wall := time.Now()
	for i := range entries {
		x := &entries[i]
		x.At(now)
		m := control.Meta{
			Created: wall.Add(time.Duration(x.Created - now)), Updated: wall.Add(time.Duration(x.Updated - now)),
		}
		if err := fn(&x.Expectation, m); err != nil {
			return err
		}
	}
	return nil
}
