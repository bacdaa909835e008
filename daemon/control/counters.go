package control

// What is counted, in one table: title in the text, value, name of the metric, help, labels.

// Blocks returns everything that s holds, in the order of `ctsync show statistics --detail`.
func (s *Statistics) Blocks() []Block {
	x, injecting := or(s.Expect), s.Inject != nil
	blocks := []Block{
		cacheBlock("cache internal memory", &s.Internal, CacheInternal, EntriesMain),
		cacheBlock(unless(injecting, "cache external memory"), &s.External, CacheExternal, EntriesMain),
		injectBlock(unless(!injecting, "external inject"), or(s.Inject), or(x.Inject)),
	}
	if s.Expect != nil {
		blocks = append(blocks,
			cacheBlock("cache internal expect memory", &x.Internal, CacheInternal, EntriesExpect),
			cacheBlock(unless(injecting, "cache external expect memory"), &x.External, CacheExternal, EntriesExpect))
	}
	blocks = append(blocks, s.messageBlock(), s.sessionBlock())
	for i := range s.Links {
		blocks = append(blocks, linkBlock(&s.Links[i]))
	}
	blocks = append(blocks, s.flowBlock(), s.Kernel.block(), s.Kernel.Conntrack.block(), s.daemonBlock())
	return append(append(blocks, s.Times.blocks()...), s.Commit.expectBlock(), s.Commit.block())
}

// unless returns the title of a block, or none where the text has no such block.
func unless(hidden bool, title string) string {
	if hidden {
		return ""
	}
	return title
}

func cacheBlock(title string, c *CacheStats, cache, table string) Block {
	b := Block{Title: title, labels: []string{"cache", cache, "table", table}}
	b.add("", c.Active, "cache_entries", "Entries in a cache. internal: of this router's kernel; external: of the peer.")
	b.add("records", c.Objects, "cache_records", "Records of a cache in memory: its entries, and ended ones whose end the peer has not acknowledged.")
	b.add("", c.Total, "cache_indexed_records", "Records that are found by their tuple.")
	b.add("limit", c.Limit, "cache_limit_entries", "How many entries a cache can hold (cache-limit).")
	b.add("refused because full", c.Full, "cache_refused_total", "Entries that a cache did not take because it was full: raise cache-limit. Each is also a create failure.")
	b.add("bytes", c.Bytes, "cache_memory_bytes", "Memory that a cache holds; of expectations an estimate.")
	b.add("", c.Created, "cache_created_total", "Entries put into a cache.")
	b.add("", c.CreateFailed, "cache_create_failures_total", "Entries that a cache did not take.")
	b.add("", c.Updated, "cache_updated_total", "Changes of entries of a cache.")
	b.add("", c.UpdateFailed, "cache_update_failures_total", "Changes that a cache did not take.")
	b.add("", c.Destroyed, "cache_destroyed_total", "Entries that left a cache.")
	b.add("", c.DestroyFailed, "cache_destroy_failures_total", "Ends of flows that matched no entry: they belonged to an earlier flow with the same tuple.")
	return b
}

// injectBlock is for disable-external-cache, where the peer's flows go straight into the kernel.
func injectBlock(title string, i *InjectStatistics, expectations *InjectCounts) Block {
	b := Block{Title: title, Examples: i.Named}
	b.injected(&i.InjectCounts, "inject_flows_total", "Flows of the peer put into the kernel at once, by what became of each change: created, updated, destroyed, or what failed.")
	b.injected(expectations, "inject_expectations_total", "Expectations of the peer put into the kernel at once, as inject_flows_total.")
	b.add("flows of the peer", i.Flows, "inject_entries", "Flows that the peer has now and that belong into the kernel.")
	b.add("waiting for the kernel", i.Waiting, "inject_waiting_entries", "Flows and expectations whose last change has not been written to the kernel yet.")
	b.add("refused by the kernel", i.Missing, "inject_refused_entries", "Flows of the peer that the kernel refuses; they are offered again every 30 s.")
	b.add("replaced another entry", i.Replaced, "inject_replaced_total", "Flows for which another entry of the kernel was deleted first.")
	b.add("expired", i.Expired, "inject_expired_total", "Flows not put into the kernel because their timeout had passed.")
	b.add("filtered", i.Filtered, "inject_filtered_total", "Flows not put into the kernel because the filter does not let them pass.")
	b.add("timers set again", i.Refreshed, "inject_refreshed_total", "Timers set again because the peer keeps the flow alive.")
	b.add("lost by the kernel", i.Lost, "inject_lost_total", "Flows that the kernel ended by itself while the peer still had them.")
	const kept = "Flows that the peer ended and that were not deleted: this router has them too, or packets of them pass here."
	b.add("not deleted, ours too", i.KeptOwn, "inject_kept_total", kept, "reason", "own")
	b.add("not deleted, packets pass", i.KeptBusy, "inject_kept_total", kept, "reason", "busy")
	b.add("given up to the peer", i.Disowned, "inject_disowned_total", "Flows of this router that became the peer's.")
	b.add("limit", i.Limit, "inject_limit_entries", "How many flows of the peer can be known (cache-limit).")
	b.add("refused because full", i.Full, "inject_full_total", "Flows of the peer refused because as many as the limit were known.")
	b.add("bytes", i.Bytes, "inject_memory_bytes", "Memory of what is known of the peer's flows.")
	b.each("failed: ", i.Errors, "inject_failures_total", "Why the kernel does not have flows of the peer, by errno or by what protocol v1 does not carry.", "reason")
	b.each("without ", i.Degraded, "inject_degraded_total", "Flows put into the kernel without something, by what.", "without")
	return b
}

func (b *Block) injected(c *InjectCounts, metric, help string) {
	b.add("", c.Created, metric, help, "outcome", "created")
	b.add("", c.CreateFailed, metric, help, "outcome", "create failed")
	b.add("", c.Updated, metric, help, "outcome", "updated")
	b.add("", c.UpdateFailed, metric, help, "outcome", "update failed")
	b.add("", c.Destroyed, metric, help, "outcome", "destroyed")
	b.add("", c.DestroyFailed, metric, help, "outcome", "destroy failed")
}

func (s *Statistics) messageBlock() Block {
	b, t, m := Block{Title: "messages received"}, &s.Tracking, &s.Tracking.Malformed
	const malformed, help = "messages_malformed_total", "Messages of the peer that could not be read, by what was wrong with them."
	b.add("wrong protocol version", m.BadVersion, malformed, help, "kind", "bad version")
	b.add("malformed header", m.BadHeader, malformed, help, "kind", "bad header")
	b.add("malformed payload", m.BadPayload, malformed, help, "kind", "bad payload")
	b.add("bad message type", m.BadType, malformed, help, "kind", "bad type")
	b.add("truncated message", m.Truncated, malformed, help, "kind", "truncated")
	b.add("bad message size", m.BadSize, malformed, help, "kind", "bad size")
	b.add("lost", t.Lost, "messages_lost_total", "Messages of the peer that were missing when a later one came, by their sequence numbers. They are requested again.")
	b.add("late or repeated", t.Before, "messages_late_total", "Messages of the peer that came again or too late.")
	b.add("contradicted", t.Contradicted, "messages_contradicted_total", "Messages with the number of an earlier one and other content: another sender speaks with the peer's numbers. The tables are exchanged again.")
	b.add("unknown attributes", t.UnknownAttributes, "messages_unknown_attributes_total", "Attributes of messages that this version does not know, skipped: the peer is newer.")
	b.add("impossible flows", t.Invalid, "messages_impossible_flows_total", "Well-formed flows that cannot exist, not taken.")
	b.add("payloads given up", t.PayloadsLost, "messages_payloads_lost_total", "Malformed messages that the peer sent malformed again when they were requested: what they said is lost.")
	b.add("refused, answers pile up", t.Refused, "messages_refused_total", "Messages of the peer treated as lost because answers to it pile up.")
	b.add("about numbers never sent", t.Stray, "messages_stray_total", "Acknowledgements and requests of the peer about messages that were never sent.")
	b.add("expectations ignored", s.ExpectationsIgnored, "expectations_ignored_total", "Expectations of the peer that were ignored because expect-sync is off here.")
	return b
}

// sessionBlock is the session with the peer. A peer that moves to another address starts a new one, whose counters
// start at 0.
func (s *Statistics) sessionBlock() Block {
	b, p := Block{Title: "session"}, &s.Session
	b.add("state", p.State, "session_info", "Always 1; the label says how far the handshake with the peer has come.", "state", p.State)
	b.add("sequence", p.Sequence, "session_sequence", "Number of the next message to the peer, modulo 2^32.")
	b.add("peer sequence", p.PeerSequence, "session_peer_sequence", "Number of the last message taken in from the peer, modulo 2^32.")
	b.add("retransmitted", p.Retransmitted, "session_retransmitted_messages_total", "Messages sent again because the peer missed them.")
	b.add("unacknowledged", p.Unacknowledged, "session_unacknowledged_messages", "Messages in flight: sent, and not acknowledged by the peer.")
	b.add("missed by the peer", p.Missed, "session_missed_messages", "Messages that the peer missed and that wait to be sent again.")
	b.add("sent again and again", p.Repeated, "session_repeated_messages", "Messages that were sent again more than once, because the peer missed them each time, and are not acknowledged.")
	b.add("round trip", p.RoundTrip, "session_round_trip_seconds", "Time from a message to the peer's answer, smoothed; the time for which the peer may gather answers counts only at first.")
	b.add("window", p.Window, "session_window_messages", "How many messages may be in flight now.")
	b.add("nacks outstanding", p.NacksOutstanding, "session_outstanding_nacks", "Requests to the peer to send something again that it has not met.")
	b.add("sent in fragments", p.Oversized, "session_oversized_messages_total", "Messages longer than a datagram, sent in fragments.")
	b.add("peer restarts", p.PeerRestarts, "session_peer_restarts_total", "Starts of the peer, the first one included.")
	b.add("waiting to be sent", p.Waiting, "session_waiting_entries", "Changed flows and expectations that wait to be sent.")
	b.add("from a second sender", p.Foreign, "session_foreign_datagrams_total", "Datagrams of a second sender on the link, ignored: a pair has two members.")
	b.add("control in flight", p.UnacknowledgedControl, "session_unacknowledged_control_messages", "Control messages in flight.")
	b.add("in flight at most", p.ResendLimit, "session_resend_limit_messages", "How many messages of any kind can be in flight at all.")
	b.add("waiting at most", p.WaitingLimit, "session_waiting_limit_entries", "How many changed flows and expectations can wait at all.")
	b.add("changes of the active link", s.LinkChanges, "link_changes_total", "Times that another dedicated link began to send.")
	b.each("sent ", p.Sent, "session_sent_messages_total", "Messages sent to the peer, by kind; hello and hello-back travel on others.", "kind")
	b.each("received ", p.Received, "session_received_messages_total", "Messages of the peer that were taken in, by kind; hello and hello-back travel on others.", "kind")
	return b
}

func linkBlock(l *LinkStatistics) Block {
	b := Block{Title: "link " + l.Device, labels: []string{"device", l.Device}}
	b.add("state", l.State, "link_info", "Always 1; the labels say the state of a dedicated link (RUNNING, NO-CARRIER, DOWN) and its role: ACTIVE sends, all receive.", "transport", l.Transport, "state", l.State, "role", l.Role)
	b.add("", l.State == "RUNNING", "link_running", "1 while a dedicated link can carry datagrams.")
	b.add("role", l.Role, "", "")
	b.add("bytes sent", l.BytesSent, "link_sent_bytes_total", "Bytes sent on a dedicated link.")
	b.add("bytes received", l.BytesReceived, "link_received_bytes_total", "Bytes received on a dedicated link.")
	b.add("datagrams sent", l.PacketsSent, "link_sent_datagrams_total", "Datagrams sent on a dedicated link.")
	b.add("datagrams received", l.PacketsReceived, "link_received_datagrams_total", "Datagrams received on a dedicated link.")
	b.add("datagram limit", l.DatagramLimit, "link_datagram_limit_bytes", "Datagrams of more bytes do not arrive at the peer: the path carries less than the MTU of the interface. 0 = no limit known.")
	b.add("datagram size", l.DatagramSize, "link_datagram_size_bytes", "Size of the longest datagrams that are sent; 0 = the link is not open.")
	b.add("errors sent", l.ErrorsSent, "link_send_errors_total", "Datagrams that could not be sent. The protocol sends their messages again.")
	b.add("errors received", l.ErrorsReceived, "link_receive_errors_total", "Errors of receiving, among them datagrams that the kernel dropped because the buffer was full: raise sync-queue-size.")
	b.add("send buffer asked", l.SendBuffer.Asked, "link_send_buffer_asked_bytes", "Send buffer of a dedicated link as configured (sync-queue-size).")
	b.add("send buffer granted", l.SendBuffer.Granted, "link_send_buffer_granted_bytes", "Send buffer of a dedicated link as the kernel accounts it.")
	b.add("receive buffer asked", l.ReceiveBuffer.Asked, "link_receive_buffer_asked_bytes", "Receive buffer of a dedicated link as configured (sync-queue-size).")
	b.add("receive buffer granted", l.ReceiveBuffer.Granted, "link_receive_buffer_granted_bytes", "Receive buffer of a dedicated link as the kernel accounts it.")
	b.each("dropped: ", l.Dropped, "link_dropped_datagrams_total", "Datagrams dropped on a dedicated link in either direction, by reason.", "reason")
	return b
}

// flowBlock is what the peer does not get to know, and the traffic of flows that ended.
func (s *Statistics) flowBlock() Block {
	b := Block{Title: unless(len(s.Unsupported) == 0, "not replicated")}
	b.each("", s.Unsupported, "unsupported_total", "Flows and expectations that were not replicated because protocol v1 does not carry them, by what it lacks.", "reason")
	b.add("", s.Traffic.Bytes, "ended_flows_bytes_total", "Traffic of flows that ended on this router; 0 unless net.netfilter.nf_conntrack_acct is on.")
	b.add("", s.Traffic.Packets, "ended_flows_packets_total", "Packets of flows that ended on this router; 0 unless net.netfilter.nf_conntrack_acct is on.")
	return b
}

func (k *KernelStatistics) block() Block {
	b := Block{Title: "kernel"}
	b.add("table entries", k.TableEntries, "kernel_table_entries", "Flows in the kernel's conntrack table (nf_conntrack_count).")
	b.add("table limit", k.TableMax, "kernel_table_limit_entries", "How many flows the kernel's conntrack table may hold (nf_conntrack_max). A full table drops new connections.")
	b.add("nf_conntrack_events", k.EventsSetting, "kernel_events_setting", "net.netfilter.nf_conntrack_events: 0 off, 1 on, 2 for flows made while somebody listens, -1 without conntrack.")
	b.add("events", k.Events, "kernel_events_total", "Conntrack events read from the kernel.")
	b.add("events filtered", k.Filtered, "kernel_events_filtered_total", "Conntrack events of flows that the filter does not let pass, as far as the kernel did not drop them already.")
	b.add("filter in the kernel", k.FilterInKernel, "kernel_filter_info", "Always 1; the label says how much of the filter of flows the kernel applies to events: whole, protocols or none.", "applied", k.FilterInKernel)
	b.add("evicted by a new filter", k.Evicted, "filter_evicted_flows_total", "Flows that left the internal cache because the filter changed.")
	b.add("events unknown", k.Unknown, "kernel_events_unknown_total", "Conntrack messages of an unknown type.")
	b.add("events malformed", k.Malformed, "kernel_events_malformed_total", "Conntrack messages that could not be read.")
	b.add("overruns", k.Overruns, "kernel_event_overruns_total", "Times that the kernel dropped events because the buffer was full (ENOBUFS). What got lost is repaired from the table: raise event-listen-queue-size.")
	b.add("buffer bytes", k.BufferBytes, "kernel_event_buffer_bytes", "Buffer for conntrack events.")
	b.add("buffer limit", k.BufferLimit, "kernel_event_buffer_limit_bytes", "How far the buffer for conntrack events may grow (event-listen-queue-size).")
	b.add("buffer grown", k.BufferGrown, "kernel_event_buffer_growths_total", "Times that the buffer for conntrack events grew.")
	b.add("coalesce", k.Coalesce, "kernel_event_coalesce_seconds", "How long events that come fast gather at most (coalesce).")
	b.add("comparisons", k.Repairs, "kernel_comparisons_total", "Comparisons of the internal cache with the kernel's table.")
	b.add("differences repaired", k.Repaired, "kernel_differences_repaired_total", "Differences that such comparisons found and repaired.")
	b.add("with unreadable records", k.DumpMalformed, "kernel_comparisons_unreadable_total", "Comparisons with the kernel's table that met a record which could not be read.")
	b.add("purges", k.Purges, "kernel_purges_total", "Times that timers of flows of the other router were shortened.")
	b.add("to a foreign address", k.ForeignNAT, "foreign_nat_flows", "Flows of the peer that are translated to an address of the other router: they cannot work here after a takeover.")
	b.add("swept", k.Swept, "peer_swept_entries_total", "Entries of the external cache that the peer no longer had when it sent its whole table.")
	return b
}

// block has the names of `conntrack -S`.
func (c *ConntrackCounters) block() Block {
	b := Block{Title: unless(*c == ConntrackCounters{}, "kernel (conntrack -S)")}
	b.add("found", c.Found, "kernel_conntrack_found_total", "Lookups for a free tuple that found it taken, so that NAT tried another one.")
	b.add("invalid", c.Invalid, "kernel_conntrack_invalid_total", "Packets that conntrack could not assign to a connection (state INVALID).")
	b.add("insert", c.Insert, "kernel_conntrack_insert_total", "Entries inserted into the table other than by a packet, such as those of a commit.")
	b.add("insert_failed", c.InsertFailed, "kernel_conntrack_insert_failed_total", "Entries not inserted because another packet or connection had inserted the same tuple first.")
	b.add("drop", c.Drop, "kernel_conntrack_drop_total", "Packets dropped because there was no memory for their entry or it could not be inserted.")
	b.add("early_drop", c.EarlyDrop, "kernel_conntrack_early_drop_total", "Entries that the kernel evicted to make room for new ones because the table was full: raise nf_conntrack_max.")
	b.add("error", c.Error, "kernel_conntrack_error_total", "Packets that could not be tracked because of an error in them, such as ICMP errors that match nothing.")
	b.add("search_restart", c.SearchRestart, "kernel_conntrack_search_restart_total", "Lookups that started over because the table changed under them.")
	b.add("clash_resolve", c.ClashResolve, "kernel_conntrack_clash_resolve_total", "Insertion races of two packets that the kernel resolved.")
	b.add("chaintoolong", c.ChainTooLong, "kernel_conntrack_chaintoolong_total", "Entries not inserted because their hash chain was too long: raise nf_conntrack_buckets.")
	return b
}

func (s *Statistics) daemonBlock() Block {
	b := Block{Title: "daemon"}
	b.add("uptime", s.Uptime, "", "")
	b.add("unknown requests", s.Requests.Unknown, "requests_unknown_total", "Requests on the control socket that are not part of the API, or make no sense.")
	b.add("requests not read", s.Requests.ReadFailed, "requests_unread_total", "Requests on the control socket that were broken off, too slow or too large.")
	b.add("callers without a place", s.Requests.Crowded, "requests_crowded_total", "Connections and lists on the control socket that were refused because the caller, or all like it, had too many.")
	return b
}

func (t *Times) blocks() []Block {
	return []Block{
		t.EventSent.block("time from event to message", "event_sent_seconds", "How long a kernel event took from the moment when ctsyncd had read it to the message for the peer that carries it. Sampled: one event is followed at a time."),
		t.EventAcknowledged.block("time from event to acknowledgement", "event_acknowledged_seconds", "How long a kernel event took from the moment when ctsyncd had read it to the peer's acknowledgement of the message that carries it: our queue, the round trip, repetitions after a loss, and the time for which the peer gathers acknowledgements (ctsync 50 to 200 ms, conntrackd up to 1 s). Sampled: one event is followed at a time."),
		t.Commit.block("time of a commit", "commit_duration_seconds", "How long commits of the external cache took that were completed."),
		t.Takeover.block("time of a takeover", "takeover_duration_seconds", "How long it took to become MASTER, from the start of its work: commits of the external cache or, with disable-external-cache, a comparison with the kernel's table."),
	}
}

// block has the whole histogram for metrics and what can be said of it in the text.
func (h *Histogram) block(title, metric, help string) Block {
	b := Block{Title: title}
	b.add("", h, metric, help)
	b.add("measured", h.Count, "", "")
	if h.Count > 0 {
		b.add("together", h.Sum, "", "")
		b.add("on average", h.Mean(), "", "")
		b.add("half of them within", h.within(0.5), "", "")
		b.add("99 % of them within", h.within(0.99), "", "")
	}
	return b
}

func (c *CommitStatistics) block() Block {
	b := Block{Title: "commit"}
	b.add("commits", c.Commits, "commits_total", "Commits of the external cache into the kernel.")
	b.outcomes("commit_flows_total", "Flows of commits by outcome: created, updated, replaced (another flow with the tuple was deleted), expired, filtered, failed.",
		c.Created, c.Updated, c.Replaced, c.Expired, c.Filtered, c.Failed)
	b.add("left out", c.LeftOut, "commit_left_out_flows_total", "Flows that a commit left out because they are translated to an address of the other router (restore-foreign-nat = false).")
	b.add("waiting for room", c.NoRoom, "commit_waiting_flows", "Flows of the peer that wait in the external cache because the kernel's table is full; they are offered again every 10 s: raise nf_conntrack_max.")
	b.each("failed: ", c.Errors, "commit_flow_failures_total", "Flows that a commit could not restore, by errno or by what protocol v1 does not carry.", "reason")
	return b
}

func (c *CommitStatistics) expectBlock() Block {
	b, x := Block{Title: unless(c.Expect == nil, "commit of expectations")}, or(c.Expect)
	b.outcomes("commit_expectations_total", "Expectations of commits by outcome, as commit_flows_total.",
		x.Created, x.Updated, x.Replaced, x.Expired, x.Filtered, x.Failed)
	b.each("failed: ", x.Errors, "commit_expectation_failures_total", "Expectations that a commit could not restore, by errno and its meaning here, or by what protocol v1 does not carry.", "reason")
	return b
}

func (b *Block) outcomes(metric, help string, created, updated, replaced, expired, filtered, failed uint64) {
	b.add("created", created, metric, help, "outcome", "created")
	b.add("updated", updated, metric, help, "outcome", "updated")
	b.add("replaced", replaced, metric, help, "outcome", "replaced")
	b.add("expired", expired, metric, help, "outcome", "expired")
	b.add("filtered", filtered, metric, help, "outcome", "filtered")
	b.add("failed", failed, metric, help, "outcome", "failed")
}
