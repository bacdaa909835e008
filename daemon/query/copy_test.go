package query

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
)

// TestCopyOutEnds leaves a cache that is being copied at every slice, by its context or by an error: no goroutine stays
// behind.
func TestCopyOutEnds(t *testing.T) {
	d := looped(t, nil)
	fill(t, d, 20_000)
	q := control.FlowQuery{Table: control.TableExternal}
	refs := briefEntries(func(r *cache.Ref, e *cache.Entry) { *r = e.Ref })
	copied := 0
	count := func([]cache.Ref, moment) error { copied++; return nil }
	if err := copyOut(context.Background(), d.Reader, &q, refs, count); err != nil || copied != 5 {
		t.Fatalf("%d copied, %v", copied, err)
	}
	before := runtime.NumGoroutine()
	for stop := 1; stop <= copied; stop++ {
		for _, gone := range []bool{false, true} {
			ctx, cancel := context.WithCancel(context.Background())
			n := 0
			err := copyOut(ctx, d.Reader, &q, refs, func([]cache.Ref, moment) error {
				if n++; n < stop {
					return nil
				}
				if gone {
					cancel()
					return nil
				}
				return errEnough
			})
			cancel()
			if gone && stop < copied && !errors.Is(err, context.Canceled) || !gone && !errors.Is(err, errEnough) {
				t.Errorf("left at slice %d, by the context %v: %v", stop, gone, err)
			}
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}
