package daemon

import (
	"context"
	"os"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/kernel"
	"ctsync/daemon/link"
	"ctsync/daemon/session"
)

// restartWarning is for how long status warns of a restart that nobody asked for.
const restartWarning = 24 * time.Hour

// snapshot takes the whole of what is shown. What the core keeps is of one moment.
func (d *Daemon) snapshot(ctx context.Context) (control.Snapshot, error) {
	s := control.Snapshot{Status: d.statusAround(), Statistics: d.statisticsAround()}
	err := d.in.Do(ctx, func(c *core.Core) {
		c.Status(&s.Status)
		c.Statistics(&s.Statistics)
	})
	return s, err
}

// status takes the snapshot behind ctsync show status.
func (d *Daemon) status(ctx context.Context) (control.Status, error) {
	s := d.statusAround()
	err := d.in.Do(ctx, func(c *core.Core) { c.Status(&s) })
	return s, err
}

// statusAround is what the core does not keep.
func (d *Daemon) statusAround() control.Status {
	s := control.Status{
		Version: d.opt.Version, PID: os.Getpid(), Started: d.started, Mode: "ftfw", Jobs: d.jobs.Snapshot(),
		NeedRestart: *d.needRestart.Load(), Warnings: d.warnings(), Restarts: d.opt.Restarts,
	}
	cfg := d.inForce.Load()
	s.SyncGroup, s.Instance = cfg.SyncGroup, cfg.Instance
	state, since := d.roles.Current()
	s.Role, s.RoleSince = state.Role(), since
	for _, t := range d.roles.History.List() {
		if !t.Started.IsZero() || t.Outcome == control.OutcomeRunning {
			s.LastTransition = &t
		}
	}
	select {
	case <-d.ready:
		s.Ready = true
	default:
	}
	return s
}

// warnings lists what an operator should mend.
func (d *Daemon) warnings() []string {
	var w []string
	switch kernel.Sysctl("nf_conntrack_events") {
	case 0:
		w = append(w, "net.netfilter.nf_conntrack_events is 0: the kernel raises no events, its table is polled; set it to 1 or 2")
	case -1:
		w = append(w, "no conntrack in this network namespace: load nf_conntrack, for example by a firewall or NAT rule")
	}
	if text, err := link.ListenWarning(d.inForce.Load()); err == nil && text != "" {
		w = append(w, text)
	}
	if d.history != "" {
		w = append(w, d.history)
	}
	if last := d.opt.Restarts.Last; last != nil && time.Since(last.Time) < restartWarning {
		w = append(w, "ctsyncd ended without being asked to, report it if it is not your doing: "+last.String())
	}
	return append(append(w, d.outlook.Warnings()...), d.keepalived.Warnings(d.askKeepalived())...)
}

// statistics takes the snapshot behind ctsync show statistics.
func (d *Daemon) statistics(ctx context.Context) (control.Statistics, error) {
	s := d.statisticsAround()
	err := d.in.Do(ctx, func(c *core.Core) { c.Statistics(&s) })
	return s, err
}

// statisticsAround is what the core does not keep.
func (d *Daemon) statisticsAround() (s control.Statistics) {
	ls := d.sockets.Events.Stats()
	s.Kernel = control.KernelStatistics{
		Events: ls.Events, Unknown: ls.Unknown, Malformed: ls.Malformed, Overruns: ls.Overruns,
		BufferBytes: uint64(ls.BufferBytes), BufferLimit: uint64(ls.BufferLimit), BufferGrown: ls.BufferGrown,
		Coalesce:      control.Duration(ls.Coalesce),
		TableEntries:  uint64(max(kernel.Sysctl("nf_conntrack_count"), 0)),
		TableMax:      uint64(max(kernel.Sysctl("nf_conntrack_max"), 0)),
		EventsSetting: kernel.Sysctl("nf_conntrack_events"), FilterInKernel: ls.Cover.String(),
		ForeignNAT: d.outlook.Foreign(),
	}
	if counters, err := ctnetlink.ReadCounters(); err != nil {
		d.log.Debug("the kernel's conntrack counters cannot be read", "err", err)
	} else {
		s.Kernel.Conntrack = control.ConntrackCounters(counters)
	}
	s.Uptime, s.Requests = control.Duration(time.Since(d.started)), d.server.Requests()
	return s
}

// resend lists the messages in flight.
func (d *Daemon) resend(ctx context.Context) ([]control.Resend, error) {
	var inFlight []session.InFlight
	if err := d.in.Do(ctx, func(c *core.Core) { inFlight = c.AppendInFlight(nil) }); err != nil {
		return nil, err
	}
	list := make([]control.Resend, len(inFlight))
	for i, m := range inFlight {
		list[i] = control.Resend{Kind: control.ResendObject, Seq: m.Seq, Flags: uint8(m.Flags)}
		if m.Control() {
			list[i].Kind = control.ResendControl
		}
	}
	return list, nil
}
