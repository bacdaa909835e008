package daemon

import (
	"context"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/session"
)

// bulkAhead bounds how many announced flows wait in the dirty list, so that events do not queue up behind a bulk.
const bulkAhead = 8 * sliceSize

// runBulk is the task that sends the whole internal cache when the peer asks for it or has restarted.
func (d *Daemon) runBulk(ctx context.Context) error {
	select {
	case <-d.reconciled: // a table that is still being read is not worth sending: the peer would drop what is missing
	case <-ctx.Done():
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.core.wantBulk:
		}
		d.awaitRequest(ctx)
		if err := d.bulk(ctx, nil); err != nil && ctx.Err() == nil {
			d.log.Error("bulk update", "err", err)
		}
	}
}

// requestPause is how long the bulk for a peer that begins anew waits for its request.
const requestPause = 200 * time.Millisecond

// awaitRequest lets a peer that begins anew ask for the table which it is sent in any case: one bulk is the answer to both.
func (d *Daemon) awaitRequest(ctx context.Context) {
	wait := false
	if err := d.do(ctx, func(c *core) { wait = c.sync.peerIsNew && !c.sync.bulkWanted }); err != nil || !wait {
		return
	}
	select {
	case <-d.core.wantBulk:
	case <-time.After(requestPause):
	case <-ctx.Done():
	}
}

// bulk announces every flow of the internal cache to the peer, then every expectation, and returns when the last one has
// left. progress may be nil.
func (d *Daemon) bulk(ctx context.Context, progress func(done, total int)) error {
	report, end := d.jobs.start("bulk", progress)
	defer end()
	began := time.Now()
	var total, sent int
	var answer *session.FTFW // the conversation in which the peer asked for this bulk
	if err := d.do(ctx, func(c *core) {
		total = c.internal.Len()
		select {
		case <-c.wantBulk: // this one is the answer
		default:
		}
		c.sync.peerIsNew = false
		if c.sync.bulkWanted { // a request that comes while we send is answered by another round
			c.sync.bulkWanted, answer = false, c.session
			answer.BulkStarted()
		}
	}); err != nil {
		return err
	}
	for from, more := cache.Ref(0), true; more; {
		if err := d.dirtyBelow(ctx, bulkAhead); err != nil {
			return err
		}
		if err := d.do(ctx, func(c *core) {
			from = c.internal.Scan(from, sliceSize, func(e *cache.Entry) bool {
				c.internal.Announce(e.Ref)
				sent++
				return true
			})
			more = from != 0
		}); err != nil {
			return err
		}
		report(sent, max(total, sent))
	}
	if err := d.do(ctx, func(c *core) { sent += c.expect.internal.Announce() }); err != nil {
		return err
	}
	if err := d.dirtyPassed(ctx); err != nil {
		return err
	}
	if err := d.do(ctx, func(c *core) {
		if answer != nil && answer == c.session {
			answer.BulkSent()
		}
	}); err != nil {
		return err
	}
	d.log.Info("bulk update sent", "flows", sent, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// dirtyBelow waits until fewer than n flows wait to be sent.
func (d *Daemon) dirtyBelow(ctx context.Context, n int) error {
	return d.poll(ctx, func(c *core) bool { return c.internal.Dirty() < n })
}

// dirtyPassed waits until everything that is dirty now has left.
func (d *Daemon) dirtyPassed(ctx context.Context) error {
	var tail uint32
	if err := d.do(ctx, func(c *core) { tail = c.internal.Tail() }); err != nil {
		return err
	}
	return d.poll(ctx, func(c *core) bool { return c.internal.Passed(tail) })
}

// poll asks the core until cond holds. What it waits for takes network round trips, so a millisecond's pause costs
// nothing; while the peer is away the pause grows.
func (d *Daemon) poll(ctx context.Context, cond func(*core) bool) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		ok := false
		if err := d.do(ctx, func(c *core) { ok = cond(c) }); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// runSweep is the task that removes stale entries from the external cache: after a complete bulk, those that the peer
// did not mention; while the peer is silent, those whose time is up. Of the latter the kernel, where it has them, knows by
// itself.
func (d *Daemon) runSweep(ctx context.Context) error {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-d.core.wantSweep:
			err = d.sweepUnmentioned(ctx)
		case <-ticker.C:
			err = d.sweepExpired(ctx)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("sweep of the external cache", "err", err)
		}
	}
}

// expiryInterval is how often entries of a silent peer are looked at.
const expiryInterval = 30 * time.Second

func (d *Daemon) sweepUnmentioned(ctx context.Context) error {
	total := 0
	for from, more := cache.Ref(0), true; more; {
		if err := d.do(ctx, func(c *core) {
			more = c.sync.sweepDue // a new request has begun another sweep, which ends with its own bulk
			if !more {
				return
			}
			n, gone := 0, 0
			if from == 0 {
				gone = c.expect.external.Sweep()
			}
			n, from = c.external.Sweep(from, sliceSize)
			n += gone
			total, more = total+n, from != 0
			c.sync.sweepDue = more
			c.counts.swept += uint64(n)
			if n > 0 && c.injecting() {
				c.askInjection(c.now())
			}
		}); err != nil {
			return err
		}
	}
	if total > 0 {
		d.log.Info("flows of the peer forgotten: it no longer has them", "flows", total)
	}
	return nil
}

// sweepExpired removes what cannot be alive any more, in slices.
func (d *Daemon) sweepExpired(ctx context.Context) error {
	total := 0
	var refs []cache.Ref
	for from, more := cache.Ref(0), true; more; {
		if err := d.do(ctx, func(c *core) {
			now := c.now()
			refs = refs[:0]
			from = c.external.Scan(from, sliceSize, func(e *cache.Entry) bool {
				if lifetime.Expired(&e.Flow, e.Updated, c.peer.heard, now) {
					refs = append(refs, e.Ref)
				}
				return true
			})
			for _, r := range refs {
				c.external.Forget(r)
			}
			total, more = total+len(refs), from != 0
			if !more {
				total += c.sweepExpectations()
			}
		}); err != nil {
			return err
		}
	}
	if total > 0 {
		d.log.Info("flows of the peer forgotten: their time is up", "flows", total)
	}
	return d.do(ctx, func(c *core) {
		if c.sync.externalFull && roomAgain(c.external.Len(), c.external.Limit()) &&
			roomAgain(c.expect.external.Len(), c.expect.external.Limit()) {
			c.requestResync() // there is room again for what was refused
		}
	})
}

// roomAgain reports whether a cache that may have been full, with n entries now, can take the peer's entries again.
func roomAgain(n, limit int) bool { return n < limit*9/10 }
