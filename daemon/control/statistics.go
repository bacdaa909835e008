package control

// Statistics are the counters of the daemon since its start.
type Statistics struct {
	Internal CacheStats       `json:"internal"`
	External CacheStats       `json:"external"`
	Traffic  Traffic          `json:"traffic"`
	Links    []LinkStatistics `json:"links"` // in the order of the configuration, at least one
	// LinkChanges counts how often another link began to send.
	LinkChanges uint64            `json:"link_changes"`
	Tracking    Tracking          `json:"tracking"`
	Session     SessionStatistics `json:"session"`
	Kernel      KernelStatistics  `json:"kernel"`
	Commit      CommitStatistics  `json:"commit"`
	Inject      *InjectStatistics `json:"inject,omitempty"` // with disable-external-cache; External is then zero
	Requests    RequestStatistics `json:"requests"`
	Uptime      Duration          `json:"uptime_seconds"`
	Times       Times             `json:"times"`

	Expect *ExpectStatistics `json:"expect,omitempty"` // nil while expect-sync is off
	// ExpectationsIgnored counts expectation messages received while expect-sync is off.
	ExpectationsIgnored uint64 `json:"expectations_ignored"`
	// Unsupported counts what cannot be announced to the peer, by what it is and why: "flows: ...".
	Unsupported Reasons `json:"unsupported,omitempty"`
}

// CacheStats are the counters of one cache, counted as conntrackd counts them. Full counts flows refused because the
// cache held Limit of them; each is also a CreateFailed.
type CacheStats struct {
	Active        uint64 `json:"active"`
	Created       uint64 `json:"created"`
	CreateFailed  uint64 `json:"create_failed"`
	Updated       uint64 `json:"updated"`
	UpdateFailed  uint64 `json:"update_failed"`
	Destroyed     uint64 `json:"destroyed"`
	DestroyFailed uint64 `json:"destroy_failed"`
	Objects       uint64 `json:"objects"` // records in memory, with ended ones that wait for an acknowledgement
	Total         uint64 `json:"total"`   // records in the index
	Limit         uint64 `json:"limit"`
	Full          uint64 `json:"full"`
	Bytes         uint64 `json:"bytes"` // memory held
}

// ExpectStatistics are the counters of the caches of expectations. Their Bytes are an estimate.
type ExpectStatistics struct {
	Internal CacheStats    `json:"internal"`
	External CacheStats    `json:"external"`
	Inject   *InjectCounts `json:"inject,omitempty"` // nil unless disable-external-cache is on; External is zero then
}

// InjectCounts are conntrackd's counters of what was put into the kernel at once: changes that the kernel made, and
// changes that it refused.
type InjectCounts struct {
	Created       uint64 `json:"created"`
	CreateFailed  uint64 `json:"create_failed"`
	Updated       uint64 `json:"updated"`
	UpdateFailed  uint64 `json:"update_failed"`
	Destroyed     uint64 `json:"destroyed"`
	DestroyFailed uint64 `json:"destroy_failed"`
}

// InjectStatistics are the counters of disable-external-cache. A flow that changes again while it waits is put into the
// kernel once, so the counts may be lower than those of messages.
type InjectStatistics struct {
	InjectCounts
	Flows     uint64   `json:"flows"`              // that the peer has now
	Waiting   uint64   `json:"waiting"`            // flows and expectations not yet written to the kernel
	Missing   uint64   `json:"missing"`            // flows that the kernel refused and that are tried again
	Replaced  uint64   `json:"replaced"`           // of those created: another entry with the tuple was deleted first
	Expired   uint64   `json:"expired"`            // not put there: their timeout had passed
	Filtered  uint64   `json:"filtered"`           // not put there: the filter does not let them pass
	Refreshed uint64   `json:"refreshed"`          // timers set again because the peer keeps the flow alive
	Lost      uint64   `json:"lost"`               // flows that the kernel ended by itself while the peer had them
	KeptOwn   uint64   `json:"kept_own"`           // ended by the peer but not deleted: this router has them too
	KeptBusy  uint64   `json:"kept_busy"`          // ended by the peer but not deleted: packets pass here
	Disowned  uint64   `json:"disowned"`           // flows of this router that became the peer's
	Errors    Reasons  `json:"errors,omitempty"`   // why the kernel does not have flows, or what it refused
	Degraded  Reasons  `json:"degraded,omitempty"` // put there without something, such as "helper ftp"
	Named     []string `json:"named,omitempty"`    // the last flows that were lost, at most MaxNamed
	Bytes     uint64   `json:"bytes"`              // memory that the peer's flows take
	Limit     uint64   `json:"limit"`              // how many flows of the peer can be known
	Full      uint64   `json:"full"`               // flows refused because Limit were known
}

// Counts returns conntrackd's counters of them, nil for nil.
func (s *InjectStatistics) Counts() *InjectCounts {
	if s == nil {
		return nil
	}
	return &s.InjectCounts
}

// Traffic sums up the counters of flows that ended. It stays 0 unless net.netfilter.nf_conntrack_acct is on.
type Traffic struct {
	Bytes   uint64 `json:"bytes"`
	Packets uint64 `json:"packets"`
}

// ActiveLink returns the link that sends now.
func (s *Statistics) ActiveLink() LinkStatistics {
	for _, l := range s.Links {
		if l.Role == LinkActive {
			return l
		}
	}
	return LinkStatistics{}
}

// Roles of a link, as conntrackd names them: one sends, all receive.
const (
	LinkActive = "ACTIVE"
	LinkBackup = "BACKUP"
)

// LinkStatistics are the counters of one dedicated link. Packets are datagrams.
type LinkStatistics struct {
	Transport       string            `json:"transport"` // TransportMulticast or TransportUDP
	Device          string            `json:"device"`
	State           string            `json:"state"` // RUNNING, NO-CARRIER or DOWN
	Role            string            `json:"role"`  // LinkActive or LinkBackup
	BytesSent       uint64            `json:"bytes_sent"`
	BytesReceived   uint64            `json:"bytes_received"`
	PacketsSent     uint64            `json:"packets_sent"`
	PacketsReceived uint64            `json:"packets_received"`
	ErrorsSent      uint64            `json:"errors_sent"`
	ErrorsReceived  uint64            `json:"errors_received"`
	Dropped         map[string]uint64 `json:"dropped,omitempty"` // by reason: "wrong source", "queue overflow", ...
	DatagramLimit   int               `json:"datagram_limit"`    // bytes; longer datagrams do not arrive; 0 = none known
	DatagramSize    int               `json:"datagram_size"`     // bytes of the longest that are sent; 0 = not open
	SendBuffer      Buffer            `json:"send_buffer"`
	ReceiveBuffer   Buffer            `json:"receive_buffer"`
}

// Buffer is a socket buffer in bytes as the kernel accounts them.
type Buffer struct {
	Asked   int `json:"asked"`
	Granted int `json:"granted"`
}

// Tracking counts what was wrong with what the peer sent.
type Tracking struct {
	Malformed         Malformed `json:"malformed"`
	Lost              uint64    `json:"lost"`               // messages missed, by sequence number
	Before            uint64    `json:"before"`             // messages that came again or late
	UnknownAttributes uint64    `json:"unknown_attributes"` // skipped: the peer is newer
	Invalid           uint64    `json:"invalid"`            // well-formed flows that cannot exist
	PayloadsLost      uint64    `json:"payloads_lost"`      // malformed payloads that came malformed again
	Refused           uint64    `json:"refused"`            // treated as lost because answers to the peer pile up
	Contradicted      uint64    `json:"contradicted"`       // of Before, those that prove a second sender
	Stray             uint64    `json:"stray"`              // acknowledgements and requests about numbers never sent
}

// Malformed counts messages that could not be read, by kind, in conntrackd's order.
type Malformed struct {
	BadVersion uint64 `json:"bad_version"`
	BadHeader  uint64 `json:"bad_header"`
	BadPayload uint64 `json:"bad_payload"`
	BadType    uint64 `json:"bad_type"`
	Truncated  uint64 `json:"truncated"`
	BadSize    uint64 `json:"bad_size"`
}

// Total returns the number of malformed messages of any kind.
func (m Malformed) Total() uint64 {
	return m.BadVersion + m.BadHeader + m.BadPayload + m.BadType + m.Truncated + m.BadSize
}

// SessionStatistics are the counters of the protocol. Sent and Received count messages by kind: "new",
// "update", "destroy", "ack", "nack", "alive", "hello", "hello-back", "resync".
type SessionStatistics struct {
	State            string            `json:"state"` // the hello handshake in words
	Sequence         uint32            `json:"sequence"`
	PeerSequence     uint32            `json:"peer_sequence"`
	Sent             map[string]uint64 `json:"sent,omitempty"`
	Received         map[string]uint64 `json:"received,omitempty"`
	Retransmitted    uint64            `json:"retransmitted"`
	Unacknowledged   uint64            `json:"unacknowledged"` // messages in flight
	Window           uint64            `json:"window"`         // messages that may be in flight
	NacksOutstanding uint64            `json:"nacks_outstanding"`
	Oversized        uint64            `json:"oversized"` // messages longer than a datagram, sent in fragments
	PeerRestarts     uint64            `json:"peer_restarts"`
	Waiting          uint64            `json:"waiting"` // changed flows that wait to be sent
	Foreign          uint64            `json:"foreign"` // datagrams of a second sender on a link

	Missed    uint64   `json:"missed"`             // messages that the peer missed and that wait to be sent again
	Repeated  uint64   `json:"repeated"`           // messages that were sent again more than once and are not acknowledged
	RoundTrip Duration `json:"round_trip_seconds"` // to the peer and back, as measured; 0 = not known

	UnacknowledgedControl uint64 `json:"unacknowledged_control"` // control messages in flight
	ResendLimit           uint64 `json:"resend_limit"`           // messages of any kind that can be in flight at all
	WaitingLimit          uint64 `json:"waiting_limit"`          // records that can wait: all that the caches hold
}

// RequestStatistics count what was wrong with requests on the control socket.
type RequestStatistics struct {
	Unknown    uint64 `json:"unknown"`     // not part of the API, or making no sense
	ReadFailed uint64 `json:"read_failed"` // broken off, too slow or too large
	Crowded    uint64 `json:"crowded"`     // connections and lists for which there was no place
}

// KernelStatistics are the counters of the ctnetlink side.
type KernelStatistics struct {
	Events uint64 `json:"events"`
	// Filtered counts events of flows that the filter (accept-protocol, ignore-address, loopback, the sync channel)
	// does not let pass, as far as the daemon got them: the kernel does not count those that it drops.
	Filtered uint64 `json:"filtered"`
	// FilterInKernel says how much of the filter the kernel applies to events: "whole", "protocols" or "none". The
	// daemon applies the rest.
	FilterInKernel string `json:"filter_in_kernel"`
	Evicted        uint64 `json:"evicted"` // flows that left the internal cache because the filter changed

	Unknown       uint64   `json:"unknown"` // messages of an unknown type
	Malformed     uint64   `json:"malformed"`
	Overruns      uint64   `json:"overruns"` // times that the kernel dropped events: buffer full (ENOBUFS)
	BufferBytes   uint64   `json:"buffer_bytes"`
	BufferLimit   uint64   `json:"buffer_limit"`
	BufferGrown   uint64   `json:"buffer_grown"`
	Coalesce      Duration `json:"coalesce"`       // for which events that come fast gather at most
	Repairs       uint64   `json:"repairs"`        // comparisons of the internal cache with a kernel dump
	Repaired      uint64   `json:"repaired"`       // differences they found
	DumpMalformed uint64   `json:"dump_malformed"` // comparisons that met a record which could not be read
	Purges        uint64   `json:"purges"`         // times that timers of flows of the other router were shortened
	Swept         uint64   `json:"swept"`          // external entries that the peer no longer had
	TableEntries  uint64   `json:"table_entries"`
	TableMax      uint64   `json:"table_max"` // nf_conntrack_max
	// ForeignNAT counts the flows of the peer that are translated to an address of the other router: see
	// restore-foreign-nat.
	ForeignNAT uint64 `json:"foreign_nat"`
	// EventsSetting is nf_conntrack_events: 0 off, 1 on, 2 for flows made while somebody listens, -1 without conntrack.
	EventsSetting int `json:"events_setting"`

	Conntrack ConntrackCounters `json:"conntrack,omitzero"` // zero where they could not be read
}

// ConntrackCounters are the kernel's own counters of this network namespace: those that `conntrack -S` prints, summed
// over the CPUs. They count since the namespace was made, not since the daemon started. A counter that this kernel
// does not have is nil. Each CPU counts with 32 bits: a sum falls by 2^32 when one of them wraps.
type ConntrackCounters struct {
	Found         *uint64 `json:"found,omitempty"`
	Invalid       *uint64 `json:"invalid,omitempty"`
	Insert        *uint64 `json:"insert,omitempty"`
	InsertFailed  *uint64 `json:"insert_failed,omitempty"`
	Drop          *uint64 `json:"drop,omitempty"`
	EarlyDrop     *uint64 `json:"early_drop,omitempty"`
	Error         *uint64 `json:"error,omitempty"`
	SearchRestart *uint64 `json:"search_restart,omitempty"`
	ClashResolve  *uint64 `json:"clash_resolve,omitempty"`
	ChainTooLong  *uint64 `json:"chaintoolong,omitempty"`
}
