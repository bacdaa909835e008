package metrics

import "ctsync/daemon/control"

// messageFamilies count what was wrong with what the peer sent.
var messageFamilies = []family{
	counter("messages_malformed_total", "Messages of the peer that could not be read, by what was wrong with them.", []string{"kind"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			m := &s.Statistics.Tracking.Malformed
			add(float64(m.BadVersion), "bad version")
			add(float64(m.BadHeader), "bad header")
			add(float64(m.BadPayload), "bad payload")
			add(float64(m.BadType), "bad type")
			add(float64(m.Truncated), "truncated")
			add(float64(m.BadSize), "bad size")
		}),
	counter("messages_lost_total", "Messages of the peer that were missing when a later one came, by their numbers. They are asked for again.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.Lost })),
	counter("messages_late_total", "Messages of the peer that came again or too late.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.Before })),
	counter("messages_payloads_lost_total", "Malformed messages that were given up after asking for them in vain: what they told is lost.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.PayloadsLost })),
	counter("messages_refused_total", "Messages of the peer treated as lost because answers to it pile up.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.Refused })),
	counter("messages_stray_total", "Acknowledgements and requests of the peer about messages that were never sent.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.Stray })),
	counter("messages_unknown_attributes_total", "Attributes of messages that this version does not know, skipped: the peer is newer.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.UnknownAttributes })),
	counter("messages_impossible_flows_total", "Well-formed flows that cannot exist and were not taken.", nil,
		one(func(s *control.Statistics) uint64 { return s.Tracking.Invalid })),
}

// sessionFamilies are of the conversation with the peer. A peer that moves to another address begins a new one, whose
// counters begin at 0.
var sessionFamilies = []family{
	gauge("session_info", "Always 1; the label tells how far the handshake with the peer has come.", []string{"state"},
		func(s *control.Snapshot, add func(float64, ...string)) { add(1, s.Statistics.Session.State) }),
	counter("session_sent_messages_total", "Messages sent to the peer, by kind; hello and hello-back travel on others.", []string{"kind"},
		each(func(s *control.Statistics) map[string]uint64 { return s.Session.Sent })),
	counter("session_received_messages_total", "Messages of the peer that were taken in, by kind; hello and hello-back travel on others.", []string{"kind"},
		each(func(s *control.Statistics) map[string]uint64 { return s.Session.Received })),
	counter("session_retransmitted_messages_total", "Messages sent again because the peer missed them.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Retransmitted })),
	counter("session_oversized_messages_total", "Messages longer than a datagram, sent in fragments.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Oversized })),
	counter("session_peer_restarts_total", "Lives of the peer that began, the first one included.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.PeerRestarts })),
	counter("session_foreign_datagrams_total", "Datagrams of a second sender on the link, ignored: a pair has two members.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Foreign })),
	gauge("session_unacknowledged_messages", "Messages in flight: sent, and not acknowledged by the peer.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Unacknowledged })),
	gauge("session_unacknowledged_control_messages", "Control messages in flight.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.UnacknowledgedControl })),
	gauge("session_resend_limit_messages", "Messages of any kind that can be in flight at all.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.ResendLimit })),
	gauge("session_waiting_limit_entries", "Changed flows and expectations that can wait at all.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.WaitingLimit })),
	gauge("session_window_messages", "How many messages may be in flight now.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Window })),
	gauge("session_waiting_entries", "Changed flows and expectations that wait to be sent.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.Waiting })),
	gauge("session_outstanding_nacks", "Requests to the peer to send something again that it has not met.", nil,
		one(func(s *control.Statistics) uint64 { return s.Session.NacksOutstanding })),
	gauge("session_sequence", "Number of the next message to the peer, modulo 2^32.", nil,
		one(func(s *control.Statistics) uint64 { return uint64(s.Session.Sequence) })),
	gauge("session_peer_sequence", "Number of the last message taken in from the peer, modulo 2^32.", nil,
		one(func(s *control.Statistics) uint64 { return uint64(s.Session.PeerSequence) })),
}
