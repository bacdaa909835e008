package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
)

// errEnough ends a walk when the reader has what it asked for.
var errEnough = errors.New("enough")

// Flows passes the flows of a table that q asks for to fn.
func (r *Reader) Flows(ctx context.Context, q control.FlowQuery, fn func(f *flow.Flow, m control.Meta) error) error {
	if err := r.hasTable(ctx, q.Table); err != nil {
		return err
	}
	if err := kernelTells(&q); err != nil {
		return err
	}
	var err error
	switch {
	case q.Sort != "":
		err = r.sortedFlows(ctx, q, fn)
	default:
		fn = cut(q, fn)
		err = r.wanted(ctx, q, func(e *cache.Entry, now moment) error { return fn(&e.Flow, meta(e, now)) })
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// kernelTells refuses a query of the kernel's table about what the kernel does not note at present.
func kernelTells(q *control.FlowQuery) error {
	if q.Table != control.TableKernel {
		return nil
	}
	var need expr.Need
	if q.Filter != nil {
		need = q.Filter.Needs()
	}
	switch q.Sort {
	case "packets", "bytes":
		need |= expr.NeedCounters
	case "age":
		need |= expr.NeedAge
	}
	for _, s := range []struct {
		need         expr.Need
		sysctl, what string
	}{
		{expr.NeedCounters, "nf_conntrack_acct", "count packets and bytes"},
		{expr.NeedAge, "nf_conntrack_timestamp", "note when a flow began"},
	} {
		if need&s.need != 0 && kernel.Sysctl(s.sysctl) == 0 {
			return &control.Error{
				Code: control.CodeRefused, Message: "the kernel does not " + s.what,
				Hint: "set net.netfilter." + s.sysctl + " to 1: it holds for flows that begin afterwards",
			}
		}
	}
	return nil
}

// cut passes on the flows after the first q.Skip, at most q.Limit of them.
func cut(q control.FlowQuery, fn emitFunc) emitFunc {
	skip, left := q.Skip, q.Limit
	return func(f *flow.Flow, m control.Meta) error {
		if skip > 0 {
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

// wanted calls fn for the entries of a table that q.Family and q.Filter let pass, in the order of storage.
func (r *Reader) wanted(ctx context.Context, q control.FlowQuery, fn entryFunc) error {
	if q.Table == control.TableKernel {
		return r.kernelEntries(ctx, q, fn)
	}
	return copyOut(ctx, r, &q, wholeEntries, func(entries []cache.Entry, now moment) error {
		for i := range entries {
			if e := &entries[i]; q.Passes(&e.Flow, e.At(now.cache)) {
				if err := fn(e, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// kernelEntries reads the kernel's table. The refs count the records. When the kernel notes when flows began, that is
// the time of creation, and now the wall clock.
func (r *Reader) kernelEntries(ctx context.Context, q control.FlowQuery, fn entryFunc) error {
	k, err := r.Dial()
	if err != nil {
		return fmt.Errorf("open a conntrack socket: %w", err)
	}
	defer k.Close()
	now := time.Now().UnixNano()
	var e cache.Entry
	interrupted, err := k.Dump(q.Family, func(f *flow.Flow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := flow.Ages{Age: flow.Unknown, Idle: flow.Unknown}
		if f.Has.Is(flow.HasTimestamp) {
			a.Age = max(time.Duration(now-int64(f.Start)), 0)
		}
		if !q.Passes(f, a) {
			return nil
		}
		e.Flow = *f
		e.Ref++
		e.Created = int64(f.Start)
		return fn(&e, moment{})
	})
	if err == nil && interrupted {
		err = errResized
	}
	return err
}

// orders maps the names of control.Orders to the cache's.
var orders = map[string]cache.Order{
	"source": cache.BySource, "destination": cache.ByDestination, "protocol": cache.ByProtocol, "state": cache.ByState,
	"age": cache.ByCreated, "idle": cache.ByUpdated, "timeout": cache.ByTimeout, "mark": cache.ByMark, "zone": cache.ByZone,
	"sport": cache.BySourcePort, "dport": cache.ByDestinationPort, "id": cache.ByID, "nat": cache.ByNAT,
	"helper": cache.ByHelper, "packets": cache.ByPackets, "bytes": cache.ByBytes,
}

// sortedFlows emits a page of a table. What the pager keeps of a cache are references: the entries are read when their
// order is known.
func (r *Reader) sortedFlows(ctx context.Context, q control.FlowQuery, fn emitFunc) error {
	fromKernel := q.Table == control.TableKernel
	desc := q.Desc
	if q.Sort == "age" || q.Sort == "idle" { // the reverse of the order of the times
		desc = !desc
	}
	page := cache.NewPager(orders[q.Sort], desc, q.Skip, q.Limit, fromKernel)
	var err error
	if wantsAll(&q) {
		rank := briefEntries(func(r *cache.Rank, e *cache.Entry) { *r = page.Rank(e) })
		err = copyOut(ctx, r, &q, rank, func(ranks []cache.Rank, _ moment) error {
			for _, r := range ranks {
				page.AddRank(r)
			}
			return nil
		})
	} else {
		err = r.wanted(ctx, q, func(e *cache.Entry, _ moment) error { page.Add(e); return nil })
	}
	if err != nil {
		return err
	}
	if fromKernel {
		return page.Entries(func(e *cache.Entry) error { return fn(&e.Flow, control.Meta{}) })
	}
	entries := make([]cache.Entry, 0, wholeEntries.slice)
	for refs := range slices.Chunk(page.Refs(), wholeEntries.slice) {
		entries = entries[:0]
		var now moment
		if err := r.Loop.Do(ctx, func(c *core.Core) {
			entries, now = loadAll(c, q.Table, refs, entries), momentOf(c)
		}); err != nil {
			return err
		}
		for i := range entries {
			// What changed meanwhile, or took the place of what ended, may not be wanted any more.
			if e := &entries[i]; q.Passes(&e.Flow, e.At(now.cache)) {
				if err := fn(&e.Flow, meta(e, now)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// loadAll appends the entries of refs that are still there.
func loadAll(c *core.Core, t control.Table, refs []cache.Ref, entries []cache.Entry) []cache.Entry {
	load := c.Own.Internal.Load
	if t == control.TableExternal {
		load = c.Peer.External.Load
	}
	var e cache.Entry
	for _, r := range refs {
		if load(r, &e) {
			entries = append(entries, e)
		}
	}
	return entries
}

// meta turns the cache's clock into wall-clock time, which is what readers know.
func meta(e *cache.Entry, now moment) control.Meta {
	if now.wall.IsZero() { // of the kernel
		return control.Meta{}
	}
	return control.Meta{
		Created: now.wall.Add(time.Duration(e.Created - now.cache)),
		Updated: now.wall.Add(time.Duration(e.Updated - now.cache)), Place: uint32(e.Ref),
	}
}
