package query

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
)

// fixedKernel answers what a test wants; everything but reading is left out.
type fixedKernel struct {
	kernel.Table
	table []flow.Flow
	get   func(key *flow.Flow, out *flow.Flow) unix.Errno
}

func (k *fixedKernel) Dump(_ flow.Family, fn func(*flow.Flow) error) (bool, error) {
	for i := range k.table {
		if err := fn(&k.table[i]); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (k *fixedKernel) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	for i := range keys {
		errs[i] = k.get(&keys[i], &out[i])
	}
	return nil
}

// compared compares the internal cache of d with a kernel.
func compared(t *testing.T, d *looper, k *fixedKernel) (shown []control.Difference, counts control.DifferenceCounts) {
	t.Helper()
	show := func(diff *control.Difference, _ control.Meta) error { shown = append(shown, *diff); return nil }
	x := d.newComparison(control.FlowQuery{Table: control.TableInternal}, show, k, k)
	if err := x.internal(context.Background()); err != nil {
		t.Fatal(err)
	}
	return shown, x.counts
}

// Only what stands still is a difference: what changes meanwhile is looked at again, or said to be unsettled.
func TestComparisonWaitsForWhatMoves(t *testing.T) {
	t.Parallel()
	f := someFlow(0)
	changed := f
	changed.Mark = 99
	echo := func(answer flow.Flow) func(*flow.Flow, *flow.Flow) unix.Errno {
		return func(_, out *flow.Flow) unix.Errno { *out = answer; return 0 }
	}
	gone := func(*flow.Flow, *flow.Flow) unix.Errno { return unix.ENOENT }
	inverse := f
	inverse.Orig, inverse.Reply = f.Reply, f.Orig
	for _, tc := range []struct {
		name      string
		cached    *flow.Flow
		table     []flow.Flow
		get       func(d *looper) func(*flow.Flow, *flow.Flow) unix.Errno
		what      string
		unsettled uint64
	}{
		{"alike", &f, []flow.Flow{f}, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return nil }, "", 0},
		{"another mark", &f, []flow.Flow{changed}, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return echo(changed) }, control.Differs, 0},
		{"only in the kernel", nil, []flow.Flow{f}, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return echo(f) }, control.KernelOnly, 0},
		{"only in the cache", &f, nil, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return gone }, control.CacheOnly, 0},
		{"only as another's reply", &f, nil, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return echo(inverse) }, control.CacheOnly, 0},
		{"ended meanwhile", nil, []flow.Flow{f}, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return gone }, "", 0},
		{"begun meanwhile", &f, nil, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno { return echo(f) }, "", 0},
		{"no answer", &f, nil, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno {
			return func(*flow.Flow, *flow.Flow) unix.Errno { return unix.ENOBUFS }
		}, "", 1},
		{"changing all the time", &f, []flow.Flow{changed}, func(*looper) func(*flow.Flow, *flow.Flow) unix.Errno {
			mark := uint32(100)
			return func(_, out *flow.Flow) unix.Errno {
				*out = f
				mark++
				out.Mark = mark
				return 0
			}
		}, "", 1},
		{"the event was late", &f, []flow.Flow{changed}, func(d *looper) func(*flow.Flow, *flow.Flow) unix.Errno {
			return func(_, out *flow.Flow) unix.Errno {
				*out = changed
				_ = d.Loop.Do(context.Background(), func(c *core.Core) { _ = c.Own.Internal.Update(&changed, c.Now()) })
				return 0
			}
		}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := looped(t, nil)
			if tc.cached != nil {
				if err := d.core.Own.Internal.New(tc.cached, 0); err != nil {
					t.Fatal(err)
				}
			}
			shown, counts := compared(t, d, &fixedKernel{table: tc.table, get: tc.get(d)})
			if tc.what == "" && len(shown) > 0 || counts.Unsettled != tc.unsettled ||
				tc.what != "" && (len(shown) != 1 || shown[0].What != tc.what || counts.Found[tc.what] != 1) {
				t.Errorf("%+v, %+v", shown, counts)
			}
		})
	}
}
