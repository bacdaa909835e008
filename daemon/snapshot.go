package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// aliveInterval is how long a peer that is well may be silent: protocol v1 says something every second.
const aliveInterval = 3 * time.Second

// peerAnswers reports whether the peer takes part in the conversation now.
func (c *core) peerAnswers() bool {
	return c.session != nil && c.session.State().Established && c.now()-c.peer.heard < int64(aliveInterval)
}

// snapshot takes the whole of what is shown. What the core loop keeps is of one moment.
func (d *Daemon) snapshot(ctx context.Context) (control.Snapshot, error) {
	s := control.Snapshot{Status: d.statusAround(), Statistics: d.statisticsAround()}
	err := d.do(ctx, func(c *core) {
		c.status(&s.Status)
		c.statistics(&s.Statistics)
	})
	return s, err
}

// status takes the snapshot behind ctsync show status.
func (d *Daemon) status(ctx context.Context) (control.Status, error) {
	s := d.statusAround()
	err := d.do(ctx, func(c *core) { c.status(&s) })
	return s, err
}

// statusAround is what the core loop does not keep.
func (d *Daemon) statusAround() control.Status {
	s := control.Status{
		Version: d.version, PID: os.Getpid(), Started: d.started, Mode: "ftfw", Jobs: d.jobs.snapshot(),
		NeedRestart: *d.needRestart.Load(), Warnings: d.warnings(),
	}
	state, since := d.roles.current()
	s.Role, s.RoleSince = state.Role(), since
	for _, t := range d.roles.history.list() {
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

func (c *core) status(s *control.Status) {
	s.Time = time.Now().Round(0)
	s.SyncGroup = c.cfg.SyncGroup
	c.linkStatus(s)
	s.Internal, s.External = uint64(c.internal.Len()), uint64(c.external.Len())
	if s.Injecting = c.injecting(); s.Injecting {
		s.External, s.Injected = 0, s.External
	}
	s.ExpectationSync = c.cfg.ExpectWords()
	if c.peer.addr.IsValid() {
		s.Peer = c.peer.addr.String()
	}
	if c.peer.heard != 0 {
		s.PeerHeard = s.Time.Add(-time.Duration(c.now() - c.peer.heard)) // by the clock as it is now
	}
	s.Established = c.session != nil && c.session.State().Established
	s.Why = c.whyNotInStep()
	s.InStep = len(s.Why) == 0
}

// whyNotInStep lists what this router knows that stands against the two being in step.
func (c *core) whyNotInStep() []string {
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if no := c.noLink(); no != "" {
		say("%s", no)
	}
	now := c.now()
	switch {
	case c.peer.heard == 0:
		say("the peer has not been heard")
	case now-c.peer.heard >= int64(aliveInterval):
		say("the peer has been silent for %v", time.Duration(now-c.peer.heard).Round(time.Second))
	case !c.session.State().Established:
		say("the peer has not answered our hello")
	}
	if c.session != nil {
		st := c.session.State()
		if st.OldestUnacked != 0 && now-st.OldestUnacked > int64(aliveInterval) {
			say("%d messages are not acknowledged", st.Unacked)
		}
		if st.NacksOutstanding > 0 {
			say("gaps in what the peer sent are not repaired: %d", st.NacksOutstanding)
		}
		if st.ResyncPending {
			say("the peer's table has been asked for and is not complete")
		}
	}
	if n := c.dirty(); n > transmitSlice {
		say("%d changed flows wait to be sent", n)
	}
	if c.sync.bulkWanted || c.sync.peerIsNew || c.session != nil && c.session.State().BulkRunning {
		say("the peer waits for our table")
	}
	if c.sync.internalFull {
		say("the internal cache was full, flows are missing: raise cache-limit")
	}
	if c.injecting() {
		c.whyNotInjected(say)
	} else if c.sync.externalFull {
		say("the external cache was full, flows are missing: raise cache-limit")
	}
	if c.sync.emptied {
		say("the external cache was flushed: ctsync request fills it again")
	}
	if !c.sync.reconciled {
		say("the kernel's table is still being read")
	} else if c.sync.suspect {
		say("the internal cache may miss changes until it has been compared with the kernel's table")
	}
	return why
}

// warnings lists what an operator should mend.
func (d *Daemon) warnings() []string {
	var w []string
	switch sysctl("nf_conntrack_events") {
	case 0:
		w = append(w, "net.netfilter.nf_conntrack_events is 0: the kernel raises no events, its table is polled; set it to 1 or 2")
	case -1:
		w = append(w, "no conntrack in this network namespace: load nf_conntrack, for example by a firewall or NAT rule")
	}
	if missing, err := listenNowhere(d.inForce.Load()); err == nil && len(missing) > 0 {
		w = append(w, listenWarning(missing))
	}
	if trouble := d.metricsTrouble.Load(); trouble != nil {
		w = append(w, *trouble)
	}
	return append(w, d.keepalivedComplaints()...)
}

// keepalivedComplaints says what is wrong with keepalived's configuration, and logs what is new.
func (d *Daemon) keepalivedComplaints() []string {
	cfg := d.loaded.Load()
	return d.keepalived.Complaints(cfg.KeepalivedConfig, cfg.SyncGroup)
}

// statistics takes the snapshot behind ctsync show statistics.
func (d *Daemon) statistics(ctx context.Context) (control.Statistics, error) {
	s := d.statisticsAround()
	err := d.do(ctx, func(c *core) { c.statistics(&s) })
	return s, err
}

// statisticsAround is what the core loop does not keep.
func (d *Daemon) statisticsAround() (s control.Statistics) {
	ls := d.listener.Stats()
	s.Kernel = control.KernelStatistics{
		Events: ls.Events, Unknown: ls.Unknown, Malformed: ls.Malformed, Overruns: ls.Overruns,
		BufferBytes: uint64(ls.BufferBytes), BufferLimit: uint64(ls.BufferLimit), BufferGrown: ls.BufferGrown, Coalesce: control.Duration(ls.Coalesce),
		TableEntries: uint64(max(sysctl("nf_conntrack_count"), 0)), TableMax: uint64(max(sysctl("nf_conntrack_max"), 0)),
		EventsSetting: sysctl("nf_conntrack_events"), FilterInKernel: ls.Cover.String(),
	}
	if counters, err := ctnetlink.ReadCounters(); err != nil {
		d.log.Debug("the kernel's conntrack counters cannot be read", "err", err)
	} else {
		s.Kernel.Conntrack = control.ConntrackCounters(counters)
	}
	s.Uptime, s.Requests = control.Duration(time.Since(d.started)), d.server.Requests()
	return s
}

// resend lists the messages in flight. They are few enough to be copied in one visit to the loop.
func (d *Daemon) resend(ctx context.Context) ([]control.Resend, error) {
	var inFlight []session.InFlight
	if err := d.do(ctx, func(c *core) {
		if c.session != nil {
			st := c.session.State()
			inFlight = c.session.AppendInFlight(make([]session.InFlight, 0, st.Unacked+st.UnackedControl))
		}
	}); err != nil {
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

func (c *core) statistics(s *control.Statistics) {
	s.Internal = cacheStats(c.internal.Stats(), c.internal.Limit())
	s.External = cacheStats(c.external.Stats(), c.external.Limit())
	s.Traffic = control.Traffic{Bytes: c.counts.trafficBytes, Packets: c.counts.trafficPackets}
	c.linkStatistics(s)
	s.Kernel.Filtered, s.Kernel.Evicted = c.counts.filtered, c.counts.evicted
	s.Kernel.Repairs, s.Kernel.Repaired, s.Kernel.Swept = c.counts.repairs, c.counts.repaired, c.counts.swept
	s.Kernel.DumpMalformed, s.Kernel.Purges = c.counts.malformedRecords, c.counts.purges
	s.ExpectationsIgnored = c.counts.expectations
	if c.expecting() {
		s.Expect = &control.ExpectStatistics{
			Internal: cacheStats(c.expect.internal.Stats(), c.expect.internal.Limit()),
			External: cacheStats(c.expect.external.Stats(), c.expect.external.Limit()),
		}
	}
	if c.injecting() {
		c.injectStatistics(s)
	}
	unsupported := map[string]uint64{"expectations: their connection is not replicated, or in a conntrack zone": c.counts.orphans}
	for l, n := range c.counts.lacks {
		unsupported[wire.Lack(l).String()] = n
	}
	for what, n := range unsupported {
		if n > 0 {
			s.Unsupported.Count(what, n)
		}
	}
	s.Commit = c.totals.Clone()
	s.Times = c.took.snapshot()
	s.Session.Waiting = uint64(c.dirty())
	s.Session.Foreign = c.counts.foreign
	s.Session.ResendLimit = session.InFlightMost
	s.Session.WaitingLimit = s.Internal.Limit
	if s.Expect != nil {
		s.Session.WaitingLimit += s.Expect.Internal.Limit
	}
	if c.session != nil {
		c.sessionStatistics(s)
	}
}

func cacheStats(s cache.Stats, limit int) control.CacheStats {
	return control.CacheStats{
		Active: s.Active, Created: s.Created, CreateFailed: s.CreateFailed, Updated: s.Updated, UpdateFailed: s.UpdateFailed,
		Destroyed: s.Destroyed, DestroyFailed: s.DestroyFailed, Objects: s.Objects, Total: s.Total, Limit: uint64(limit),
		Full: s.Full, Bytes: s.Bytes,
	}
}

func (c *core) sessionStatistics(s *control.Statistics) {
	st, state := c.session.Stats(), c.session.State()
	m := st.Malformed
	s.Tracking = control.Tracking{
		Malformed: control.Malformed{
			BadVersion: m[wire.BadVersion], BadHeader: m[wire.BadHeader], BadPayload: m[wire.BadPayload],
			BadType: m[wire.BadType], Truncated: m[wire.Truncated], BadSize: m[wire.BadSize],
		},
		Lost: st.Lost, Before: st.Before, UnknownAttributes: st.UnknownAttributes, Invalid: c.counts.invalid,
		PayloadsLost: st.PayloadsLost, Refused: st.Refused, Stray: st.Stray,
	}
	s.Session = control.SessionStatistics{
		State: helloText(state), Sequence: state.Seq, PeerSequence: state.PeerSeq,
		Sent: messageCounts(st.Sent), Received: messageCounts(st.Received),
		Retransmitted: st.Retransmitted + st.Nacked + st.Stale, Unacknowledged: uint64(state.Unacked), Window: uint64(state.Window),
		NacksOutstanding: uint64(state.NacksOutstanding), PeerRestarts: st.PeerRestarts, Oversized: st.Oversized,
		Waiting: s.Session.Waiting, Foreign: s.Session.Foreign,
		UnacknowledgedControl: uint64(state.UnackedControl), ResendLimit: s.Session.ResendLimit, WaitingLimit: s.Session.WaitingLimit,
	}
}

func helloText(s session.State) string {
	switch {
	case s.Established:
		return "established"
	case s.Heard != 0:
		return "the peer has not answered our hello"
	}
	return "the peer has not been heard"
}

func messageCounts(m session.Messages) map[string]uint64 {
	counts := map[string]uint64{}
	for name, n := range map[string]uint64{
		"new": m.New, "update": m.Update, "destroy": m.Destroy, "expect-new": m.ExpNew, "expect-update": m.ExpUpdate,
		"expect-destroy": m.ExpDestroy, "ack": m.Ack, "nack": m.Nack, "resync": m.Resync, "alive": m.Alive,
		"hello": m.Hello, "hello-back": m.HelloBack,
	} {
		if n > 0 {
			counts[name] = n
		}
	}
	return counts
}
