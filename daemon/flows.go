package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// flowSlice is how many flows are copied out of a cache per visit to the loop: they are wide.
const flowSlice = 512

// errEnough ends a walk when the reader has what it asked for.
var errEnough = errors.New("enough")

// emitFunc receives one flow of a table.
type emitFunc func(f *flow.Flow, m control.Meta) error

// flows streams a table to the control server. A slow reader holds up nobody: slices are copied out of the loop first,
// and the kernel's table is read through a socket of its own.
func (d *Daemon) flows(ctx context.Context, q control.FlowQuery, fn func(f *flow.Flow, m control.Meta) error) error {
	if q.Table == control.TableExternal {
		if err := d.hasExternalCache(ctx); err != nil {
			return err
		}
	}
	var err error
	switch {
	case q.Table == control.TableKernel:
		err = d.kernelFlows(ctx, q.Family, cut(q, fn))
	case q.Sort != "":
		err = d.sortedFlows(ctx, q, fn)
	default:
		err = d.cachedFlows(ctx, q.Table, cut(q, fn))
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// cut passes on the flows of q's family after the first q.Skip, at most q.Limit of them.
func cut(q control.FlowQuery, fn emitFunc) emitFunc {
	skip, left := q.Skip, q.Limit
	return func(f *flow.Flow, m control.Meta) error {
		switch {
		case q.Family != 0 && f.Orig.Family != q.Family:
			return nil
		case skip > 0:
			skip--
			return nil
		}
		if err := fn(f, m); err != nil {
			return err
		}
		if left--; left == 0 {
			return errEnough
		}
		return nil
	}
}

func (d *Daemon) kernelFlows(ctx context.Context, family flow.Family, fn emitFunc) error {
	k, err := ctnetlink.Dial()
	if err != nil {
		return fmt.Errorf("dial ctnetlink: %w", err)
	}
	defer k.Close()
	_, err = k.Dump(family, func(f *flow.Flow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(f, control.Meta{})
	})
	return err
}

func (d *Daemon) cachedFlows(ctx context.Context, t control.Table, fn emitFunc) error {
	entries := make([]cache.Entry, 0, flowSlice)
	var now int64
	for from, more := cache.Ref(0), true; more; {
		entries = entries[:0]
		if err := d.do(ctx, func(c *core) {
			scan := c.internal.Scan
			if t == control.TableExternal {
				scan = c.external.Scan
			}
			from = scan(from, flowSlice, func(e *cache.Entry) bool {
				entries = append(entries, *e)
				return true
			})
			more, now = from != 0, c.now()
		}); err != nil {
			return err
		}
		if err := emit(entries, now, fn); err != nil {
			return err
		}
	}
	return nil
}

// orders maps the names of control.Orders to the cache's.
var orders = map[string]cache.Order{
	"source": cache.BySource, "destination": cache.ByDestination, "protocol": cache.ByProtocol, "state": cache.ByState,
	"age": cache.ByCreated, "idle": cache.ByUpdated, "timeout": cache.ByTimeout, "mark": cache.ByMark, "zone": cache.ByZone,
}

func (d *Daemon) sortedFlows(ctx context.Context, q control.FlowQuery, fn emitFunc) error {
	page := cache.NewPager(orders[q.Sort], q.Desc, q.Skip, q.Limit, func(e *cache.Entry) bool {
		return q.Family == 0 || e.Flow.Orig.Family == q.Family
	})
	var entries []cache.Entry
	var now int64
	for more := true; more; {
		if err := d.do(ctx, func(c *core) {
			advance, read := c.internal.Advance, c.internal.Entries
			if q.Table == control.TableExternal {
				advance, read = c.external.Advance, c.external.Entries
			}
			if more = advance(page, sliceSize); !more {
				entries, now = read(page), c.now()
			}
		}); err != nil {
			return err
		}
	}
	return emit(entries, now, fn)
}

// emit turns the cache's clock into wall-clock time, which is what readers know.
func emit(entries []cache.Entry, now int64, fn emitFunc) error {
	wall := time.Now()
	for i := range entries {
		e := &entries[i]
		m := control.Meta{
			Created: wall.Add(time.Duration(e.Created - now)),
			Updated: wall.Add(time.Duration(e.Updated - now)),
		}
		if err := fn(&e.Flow, m); err != nil {
			return err
		}
	}
	return nil
}

// expectations streams a cache of expectations to the control server. They are few: all are copied at once.
func (d *Daemon) expectations(ctx context.Context, q control.FlowQuery, fn func(e *flow.Expectation, m control.Meta) error) error {
	if q.Table == control.TableExternal {
		if err := d.hasExternalCache(ctx); err != nil {
			return err
		}
	}
	var entries []cache.ExpectEntry
	var now int64
	on := false
	if err := d.do(ctx, func(c *core) {
		on, now = c.expecting(), c.now()
		scan := c.expect.internal.Scan
		if q.Table == control.TableExternal {
			scan = c.expect.external.Scan
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
		return &control.Error{Code: control.CodeDisabled, Message: "ExpectationSync is disabled", Hint: "set expect-sync in the configuration"}
	}
	entries = entries[min(q.Skip, len(entries)):]
	if q.Limit > 0 {
		entries = entries[:min(q.Limit, len(entries))]
	}
	wall := time.Now()
	for i := range entries {
		x := &entries[i]
		m := control.Meta{Created: wall.Add(time.Duration(x.Created - now)), Updated: wall.Add(time.Duration(x.Updated - now))}
		if err := fn(&x.Expectation, m); err != nil {
			return err
		}
	}
	return nil
}
