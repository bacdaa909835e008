package upkeep

import (
	"context"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/loop"
)

// bulkAhead bounds how many announced flows wait to be sent, so that events do not queue up behind a bulk.
const bulkAhead = 8 * loop.SliceSize

// requestPause is how long the bulk for a peer that restarted waits for its request: one bulk is the answer to both.
const requestPause = int64(200 * time.Millisecond)

// Bulk sends the internal cache to the peer, step by step in the loop. The zero value is about to begin.
type Bulk struct {
	began     bool
	announced bool  // all of it
	idle      bool  // the peer does not answer
	newSince  int64 // when the peer was found to be new; 0 = it is not
	run       core.Bulk
	from      cache.Ref // where to go on
	behind    uint32    // where the last entry stands in the queue to the peer
	sent      int       // entries announced
	total     int       // about
}

// Step does the next piece of the work. wait says that it has to wait for the peer, more that it is not complete.
//
// While the peer does not answer nothing is announced. When it comes back it gets the rest, or, if it restarted, the
// whole once.
func (b *Bulk) Step(c *core.Core) (wait, more bool) {
	if b.began && c.PeerIsNew() {
		b.run.End(c) // what it asked for before its restart
		*b = Bulk{}
	}
	if b.idle = !c.Answers(); b.idle {
		return true, true
	}
	switch {
	case !b.began:
		if b.awaitsRequest(c) {
			return true, true
		}
		b.run, b.began, b.total = c.BeginBulk(), true, c.Own.Internal.Len()
	case !b.announced:
		if c.Own.Internal.Dirty() >= bulkAhead {
			return true, true
		}
		var n int
		b.from, n = c.AnnounceFrom(b.from, loop.SliceSize)
		b.sent += n
		if b.announced = b.from == 0; b.announced {
			b.behind = c.Own.Internal.Tail()
		}
	default:
		if !c.Own.Internal.Passed(b.behind) {
			return true, true
		}
		b.run.End(c)
		return false, false
	}
	return false, true
}

// awaitsRequest reports whether a peer that restarted is to be given time to ask for the table, which it is sent in any
// case.
func (b *Bulk) awaitsRequest(c *core.Core) bool {
	if !c.AwaitsRequest() {
		return false
	}
	if b.newSince == 0 {
		b.newSince = c.Now()
	}
	return c.Now()-b.newSince < requestPause
}

// RunBulk sends the whole internal cache when the peer asks for it or has restarted, until ctx ends. It begins when
// ready is closed: a table that is still being read is not worth sending, the peer would drop what is missing.
func (u *Upkeep) RunBulk(ctx context.Context, ready, wanted <-chan struct{}) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wanted:
		}
		if err := u.Bulk(ctx, nil); err != nil && ctx.Err() == nil {
			u.Log.Error("bulk update failed", "err", err)
		}
	}
}

// Bulk announces every flow of the internal cache to the peer, then every expectation, and returns when the last one
// has left. While the peer does not answer it waits, and is no job. progress may be nil.
func (u *Upkeep) Bulk(ctx context.Context, progress func(done, total int)) (err error) {
	var b Bulk
	defer func() {
		if err != nil { // of an operator: other bulks end with the daemon
			_ = u.Loop.Do(context.WithoutCancel(ctx), func(c *core.Core) { b.run.Abandon(c) })
		}
	}()
	began := time.Now()
	report, end := func(int, int) {}, func() {}
	defer func() { end() }()
	listed := false
	for pause, more := time.Millisecond, true; more; {
		wait := false
		if err := u.Loop.Do(ctx, func(c *core.Core) { wait, more = b.Step(c) }); err != nil {
			return err
		}
		if listed == b.idle {
			if end(); listed {
				report, end = func(int, int) {}, func() {}
			} else {
				report, end = u.Jobs.Start("bulk", progress)
			}
			listed = !b.idle
		}
		report(b.sent, max(b.total, b.sent))
		if !wait {
			pause = time.Millisecond
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
	u.Log.Info("bulk update sent", "flows", b.sent, "took", time.Since(began).Round(time.Millisecond))
	return nil
}
