package daemon

import (
	"context"
	"errors"

	"ctsync/daemon/config"
	"ctsync/daemon/core"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// Reload takes over what may change while running and says what needs a restart. It returns the keys that do.
func (d *Daemon) Reload(loaded *config.Config) []string {
	for _, c := range loaded.Changes(d.loaded.Swap(loaded)) {
		d.log.Info("configuration changes", "key", c.Key, "was", c.Old, "is", c.New, "needs-restart", c.Restart)
	}
	d.keepalived.Warnings(d.askKeepalived())
	restart := loaded.NeedRestart(d.cfg)
	d.needRestart.Store(&restart)
	cfg := d.cfg.TakeLive(loaded)
	d.roles.Follow(followed(cfg))
	d.inForce.Store(cfg)
	loop.Signal(d.wakeLinks)
	ctx, cancel := d.whileRunning()
	defer cancel()
	if !cfg.DisableExternalCache {
		d.restore.Finish(ctx)
	}
	d.reconfigure(ctx, cfg)
	filtered, err := d.filter.change(ctx, func(s *filterSource) { s.cfg = cfg })
	if err != nil && !errors.Is(err, loop.ErrStopped) {
		d.log.Error("the filter of flows does not change", "err", err)
	}
	if filtered {
		loop.Signal(d.core.Want.Reconcile)
	}
	return restart
}

// reconfigure puts cfg in force in the core, the event socket and the kernel.
func (d *Daemon) reconfigure(ctx context.Context, cfg *config.Config) {
	flows, expectations := kernel.FlowLimit(cfg.CacheLimit), kernel.ExpectLimit()
	var changed core.Changed
	_ = d.in.Do(ctx, func(c *core.Core) { // fails only when the daemon ends
		changed = c.Reconfigure(cfg, flows, expectations)
		d.tuneEvents(cfg, changed) // here, because while the loop runs the socket is open
	})
	if changed.Withdraw {
		d.restore.Withdraw(ctx, changed.Ended)
	}
}

// tuneEvents has the event socket follow the configuration.
func (d *Daemon) tuneEvents(cfg *config.Config, changed core.Changed) {
	l := d.sockets.Events
	l.SetCoalesce(cfg.Coalesce)
	if err := l.SetMaxBuffer(cfg.EventListenQueueSize/2, cfg.EventListenQueueSize); err != nil {
		d.log.Error("event-listen-queue-size does not change", "err", err)
	}
	if changed.Expect {
		if err := l.SetExpectations(len(cfg.ExpectSync) > 0); err != nil {
			d.log.Error("expect-sync does not change", "err", err)
		}
	}
}

// whileRunning returns a context that ends with the core loop.
func (d *Daemon) whileRunning() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-d.in.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
