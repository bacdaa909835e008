package core

import (
	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// Times are how long things took; see control.Times.
type Times struct {
	Sent, Acked, Commit, Takeover control.Durations
}

// Status fills in what the core knows of the status.
func (c *Core) Status(s *control.Status) {
	s.Time = c.wall().Round(0)
	c.Links.Status(s, c.now())
	s.Internal, s.External = uint64(c.Own.Internal.Len()), uint64(c.Peer.External.Len())
	if s.Injecting = c.Injecting(); s.Injecting {
		s.External, s.Injected = 0, s.External
	}
	s.ExpectationSync = c.Config.ExpectWords()
	s.Established = c.Peer.session != nil && c.Peer.session.State().Established
	s.Why = c.Why()
	s.InStep = len(s.Why) == 0
}

// Statistics fills in what the core counts.
func (c *Core) Statistics(s *control.Statistics) {
	s.Internal = cacheStats(c.Own.Internal.Stats(), c.Own.Internal.Limit())
	s.External = cacheStats(c.Peer.External.Stats(), c.Peer.External.Limit())
	own := &c.Own.counts
	s.Traffic = control.Traffic{Bytes: own.trafficBytes, Packets: own.trafficPackets}
	s.Kernel.Filtered, s.Kernel.Evicted = own.filtered, own.evicted
	s.Kernel.Repairs, s.Kernel.Repaired, s.Kernel.Swept = own.repairs, own.repaired, c.Peer.swept
	s.Kernel.DumpMalformed, s.Kernel.Purges = own.malformed, own.purges
	s.ExpectationsIgnored = c.Peer.ignored
	if c.Expecting() {
		s.Expect = &control.ExpectStatistics{
			Internal: cacheStats(c.Own.Expect.Stats(), c.Own.Expect.Limit()),
			External: cacheStats(c.Peer.Expect.Stats(), c.Peer.Expect.Limit()),
		}
	}
	if c.Injecting() {
		c.injectStatistics(s)
	}
	if n := own.orphans; n > 0 {
		s.Unsupported.Count("expectations: their connection is not replicated, or in a conntrack zone", n)
	}
	for l, n := range c.lacks {
		if n > 0 {
			s.Unsupported.Count(wire.Lack(l).String(), n)
		}
	}
	s.Commit = c.totals.Clone()
	s.Times = control.Times{
		EventSent: c.Times.Sent.Histogram(), EventAcknowledged: c.Times.Acked.Histogram(),
		Commit: c.Times.Commit.Histogram(), Takeover: c.Times.Takeover.Histogram(),
	}
	if c.Peer.session != nil {
		c.sessionStatistics(s)
	}
	s.Session.Waiting = uint64(c.Own.Internal.Dirty())
	s.Session.ResendLimit = session.InFlightMost
	s.Session.WaitingLimit = s.Internal.Limit
	if s.Expect != nil {
		s.Session.WaitingLimit += s.Expect.Internal.Limit
	}
	c.Links.Statistics(s)
}

func cacheStats(s cache.Stats, limit int) control.CacheStats {
	return control.CacheStats{
		Active: s.Active, Created: s.Created, CreateFailed: s.CreateFailed, Updated: s.Updated, UpdateFailed: s.UpdateFailed,
		Destroyed: s.Destroyed, DestroyFailed: s.DestroyFailed, Objects: s.Objects, Total: s.Total, Limit: uint64(limit),
		Full: s.Full, Bytes: s.Bytes,
	}
}

// injectStatistics is the part of disable-external-cache: the ledger is no external cache to readers.
func (c *Core) injectStatistics(s *control.Statistics) {
	st := cacheStats(c.Peer.External.Stats(), c.Peer.External.Limit())
	i := c.Inject.Counts.Clone()
	i.Flows, i.Waiting, i.Missing = st.Active, uint64(c.InjectPending()), uint64(c.Peer.External.Failed())
	i.Bytes, i.Limit, i.Full = st.Bytes, st.Limit, st.Full
	s.Inject, s.External = &i, control.CacheStats{}
	if s.Expect != nil {
		s.Expect.Inject, s.Expect.External = new(c.Inject.Expect), control.CacheStats{}
	}
}

func (c *Core) sessionStatistics(s *control.Statistics) {
	st, state := c.Peer.session.Stats(), c.Peer.session.State()
	m := st.Malformed
	repeated, _ := c.Peer.session.Repeated()
	s.Tracking = control.Tracking{
		Malformed: control.Malformed{
			BadVersion: m[wire.BadVersion], BadHeader: m[wire.BadHeader], BadPayload: m[wire.BadPayload],
			BadType: m[wire.BadType], Truncated: m[wire.Truncated], BadSize: m[wire.BadSize],
		},
		Lost: st.Lost, Before: st.Before, UnknownAttributes: st.UnknownAttributes, Invalid: c.invalid,
		PayloadsLost: st.PayloadsLost, Refused: st.Refused, Stray: st.Stray, Contradicted: st.Contradicted,
	}
	s.Session = control.SessionStatistics{
		State: state.Handshake(), Sequence: state.Seq, PeerSequence: state.PeerSeq,
		Sent: st.Sent.Named(), Received: st.Received.Named(),
		Retransmitted: st.Retransmitted + st.Nacked + st.Stale, Unacknowledged: uint64(state.Unacked),
		Window: uint64(state.Window), NacksOutstanding: uint64(state.NacksOutstanding), PeerRestarts: st.PeerRestarts,
		Oversized: st.Oversized, UnacknowledgedControl: uint64(state.UnackedControl), Missed: uint64(state.Missed),
		RoundTrip: control.Duration(state.RoundTrip), Repeated: uint64(repeated),
	}
}
