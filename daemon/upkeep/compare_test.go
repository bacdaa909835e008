package upkeep_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/upkeep"
)

// TestCompareKeepsNewLimits: a comparison that begins while the configuration changes does not bring the limits of
// before back.
func TestCompareKeepsNewLimits(t *testing.T) {
	var in *loop.Inbox[*core.Core]
	c := coretest.New(coretest.Inbox(t), func(o *core.Options) { in = o.Inbox })
	limit := 1000
	u := &upkeep.Upkeep{
		Loop: in, Kernel: kernel.NewTurn(coretest.NewKernel(c.Now)), Jobs: &job.List{}, Log: slog.New(slog.DiscardHandler),
		Limits: func() (int, int) { return limit, 1000 },
	}
	compared := make(chan error, 1)
	go func() { compared <- u.Compare(context.Background()) }()
	for !in.Waiting() {
		runtime.Gosched()
	}
	limit = 2000
	c.SetLimits(limit, 1000)
	if err := coretest.Drive(c, in, func() error { return <-compared }); err != nil {
		t.Fatal(err)
	}
	if got := c.Own.Internal.Limit(); got != limit {
		t.Errorf("the limit is %d, want %d", got, limit)
	}
}
