package query

import (
	"context"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
)

// extract is what is copied of each entry of a cache.
type extract[T any] struct {
	brief bool // of what ScanBrief shows
	slice int  // entries per visit to the loop
	take  func(to *T, e *cache.Entry)
}

// wholeEntries are wide: few are copied at a time.
var wholeEntries = extract[cache.Entry]{slice: 512, take: func(to, e *cache.Entry) { *to = *e }}

// briefEntries makes an extract of a little of each entry.
func briefEntries[T any](take func(to *T, e *cache.Entry)) extract[T] {
	return extract[T]{brief: true, slice: 4096, take: take}
}

// wantsAll reports whether every entry of a cache is wanted, so that who counts or sorts them need not see whole flows.
func wantsAll(q *control.FlowQuery) bool {
	return q.Table != control.TableKernel && q.Filter == nil && q.Family == 0
}

// copied is a slice of a cache.
type copied[T any] struct {
	items []T
	now   moment
	err   error
}

// copyOut hands to fn what x takes of the entries of a cache, slice by slice from q.From on. While fn is busy with a
// slice the next one is being copied: going to the loop and back costs more than the copying.
func copyOut[T any](
	ctx context.Context, r *Reader, q *control.FlowQuery, x extract[T], fn func(items []T, now moment) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	ready, free := make(chan copied[T]), make(chan []T, 2)
	for range cap(free) {
		free <- make([]T, x.slice)
	}
	go func() {
		defer close(ready)
		for from, more := cache.Ref(q.From), true; more; {
			var s copied[T]
			select {
			case items := <-free:
				s, from = copySlice(ctx, r, q.Table, x, from, items)
				more = from != 0
			case <-ctx.Done():
				return
			}
			select {
			case ready <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range ready { // until nothing is copied any more
		}
	}()
	for s := range ready {
		if s.err != nil {
			return s.err
		}
		if err := fn(s.items, s.now); err != nil {
			return err
		}
		free <- s.items[:x.slice]
	}
	return ctx.Err()
}

// copySlice copies into items what stands from a position on, and returns where to go on, 0 at the end.
func copySlice[T any](
	ctx context.Context, r *Reader, t control.Table, x extract[T], from cache.Ref, items []T,
) (copied[T], cache.Ref) {
	var s copied[T]
	s.err = r.Loop.Do(ctx, func(c *core.Core) {
		n := 0
		from = scan(c, t, x.brief)(from, len(items), func(e *cache.Entry) bool {
			x.take(&items[n], e)
			n++
			return true
		})
		s.items, s.now = items[:n], momentOf(c)
	})
	if s.err != nil {
		from = 0
	}
	return s, from
}

// scan returns how a cache is read.
func scan(
	c *core.Core, t control.Table, brief bool,
) func(from cache.Ref, max int, fn func(*cache.Entry) bool) cache.Ref {
	switch external := t == control.TableExternal; {
	case external && brief:
		return c.Peer.External.ScanBrief
	case external:
		return c.Peer.External.Scan
	case brief:
		return c.Own.Internal.ScanBrief
	}
	return c.Own.Internal.Scan
}
