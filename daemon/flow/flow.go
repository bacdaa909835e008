// Package flow holds tuples, flows and expectations as pointer-free values that can be map keys and print themselves.
//
// A Flow is one entry of the kernel's conntrack table, whether it came from ctnetlink, from the peer or from a cache.
// Every optional attribute has a bit in Flow.Has. If the bit is clear, the source did not carry the attribute: its
// fields are zero and say nothing. Names are those of the kernel, in include/uapi/linux/netfilter:
// nf_conntrack_common.h and nfnetlink_conntrack.h.
package flow

import "strings"

// Attr is a set of optional attributes.
type Attr uint32

// The optional attributes of a Flow or Expectation.
const (
	HasReply     Attr = 1 << iota // Reply (of a flow from the peer it is derived: the inverse of Orig with NAT applied)
	HasStatus                     // Status
	HasTimeout                    // Timeout
	HasMark                       // Mark
	HasID                         // ID
	HasTCPState                   // TCPState
	HasTCPWScale                  // TCPWScale of both directions
	HasTCPFlags                   // TCPFlags of both directions
	HasSCTP                       // SCTPState, SCTPVTag
	HasDCCP                       // DCCPState, DCCPRole
	HasMaster                     // Master
	HasSeqAdj                     // SeqAdj
	HasSynproxy                   // Synproxy
	HasHelper                     // Helper
	HasLabels                     // Labels
	HasCounters                   // Packets, Bytes
	HasTimestamp                  // Start, Stop
	HasUse                        // Use
	HasMask                       // Expectation.Mask
	HasNAT                        // Expectation.NAT, NATDir
	HasFlags                      // Expectation.Flags
	HasClass                      // Expectation.Class
	HasFn                         // Expectation.Fn
)

// Status bits (enum ip_conntrack_status).
const (
	StatusExpected     uint32 = 0x1
	StatusSeenReply    uint32 = 0x2
	StatusAssured      uint32 = 0x4
	StatusConfirmed    uint32 = 0x8
	StatusSrcNAT       uint32 = 0x10
	StatusDstNAT       uint32 = 0x20
	StatusSeqAdjust    uint32 = 0x40
	StatusSrcNATDone   uint32 = 0x80
	StatusDstNATDone   uint32 = 0x100
	StatusDying        uint32 = 0x200
	StatusFixedTimeout uint32 = 0x400
	StatusTemplate     uint32 = 0x800
	StatusUntracked    uint32 = 0x1000
	StatusHelper       uint32 = 0x2000
	StatusOffload      uint32 = 0x4000
	StatusHWOffload    uint32 = 0x8000
)

// Direction indexes the two-element arrays of a Flow (enum ip_conntrack_dir).
type Direction int

// Directions.
const (
	Original Direction = 0
	Reply    Direction = 1
)

// SeqAdj is the sequence number adjustment of one direction (struct nf_ct_seqadj), in host byte order.
type SeqAdj struct {
	CorrectionPos uint32
	OffsetBefore  uint32
	OffsetAfter   uint32
}

// Synproxy is the state of a SYNPROXY flow (struct nf_conn_synproxy), in host byte order.
type Synproxy struct {
	ISN, ITS, TSOff uint32
}

// Flow is one conntrack entry. It is pointer-free; arrays of two are indexed by Direction.
type Flow struct {
	Orig, Reply Tuple
	Has         Attr

	Status  uint32
	Timeout uint32 // seconds until the entry expires, counted from when the source reported it
	Mark    uint32
	ID      uint32 // CTA_ID: the kernel's identity of this entry, not the same on another router
	Use     uint32

	TCPState  uint8 // enum tcp_conntrack
	SCTPState uint8 // enum sctp_conntrack
	DCCPState uint8 // enum ct_dccp_states
	DCCPRole  uint8 // 0 client, 1 server
	TCPWScale [2]uint8
	TCPFlags  [2]uint8 // IP_CT_TCP_FLAG_*

	SCTPVTag [2]uint32
	Master   Tuple
	SeqAdj   [2]SeqAdj
	Synproxy Synproxy
	Helper   [16]byte // NUL-terminated name, at most 15 characters (NF_CT_HELPER_NAME_LEN)
	Labels   [16]byte // bit b of the set is bit b%8 of byte b/8: CTA_LABELS as a little-endian kernel sends it

	Packets, Bytes [2]uint64
	Start, Stop    uint64 // nanoseconds since the epoch
}

// Expectation is one entry of the kernel's expectation table.
type Expectation struct {
	Expect, Mask, Master, NAT Tuple // Expect.Zone is the zone of the expectation
	Has                       Attr

	Timeout uint32 // seconds
	Flags   uint32 // 1 PERMANENT, 2 INACTIVE, 4 USERSPACE
	Class   uint32
	NATDir  uint32 // 0 original, 1 reply
	ID      uint32
	Helper  [16]byte // NUL-terminated
	Fn      [32]byte // NUL-terminated name of the expect function
}

// IP_CT_TCP_FLAG_* bits of Flow.TCPFlags (nf_conntrack_tcp.h).
const (
	TCPFlagWindowScale uint8 = 0x01
	TCPFlagSackPerm    uint8 = 0x02
	TCPFlagCloseInit   uint8 = 0x04
	TCPFlagBeLiberal   uint8 = 0x08
)

// Is reports whether all attributes of a are present.
func (h Attr) Is(a Attr) bool { return h&a == a }

// Unreplied reports whether f is known to have had no packet in the reply direction yet.
func (f *Flow) Unreplied() bool { return f.Has.Is(HasStatus) && f.Status&StatusSeenReply == 0 }

// Same reports whether f is the flow that want describes: the same two endpoints and the same translation. A want
// without a reply tuple says nothing about translation. State, timeout and other attributes are not compared.
func (f *Flow) Same(want *Flow) bool {
	return f.Orig == want.Orig && (!want.Has.Is(HasReply) || f.Reply == want.Reply)
}

// SNAT reports whether the source is translated: replies go to another address or port than the original source.
// It compares the tuples and needs HasReply. It ignores the status bits.
func (f *Flow) SNAT() bool {
	if !f.Has.Is(HasReply) {
		return false
	}
	if f.Reply.Dst != f.Orig.Src {
		return true
	}
	if f.Orig.Proto.IsICMP() {
		return f.Reply.SrcPort != f.Orig.SrcPort // NAT can change only the id
	}
	return f.Reply.DstPort != f.Orig.SrcPort
}

// DNAT reports whether the destination is translated: replies come from another address or port than the original
// destination.
func (f *Flow) DNAT() bool {
	if !f.Has.Is(HasReply) {
		return false
	}
	if f.Reply.Src != f.Orig.Dst {
		return true
	}
	return !f.Orig.Proto.IsICMP() && f.Reply.SrcPort != f.Orig.DstPort
}

// Zone returns the zone of the flow. whole is false if it is the zone of one direction only.
func (f *Flow) Zone() (zone uint16, whole bool) {
	if f.Has.Is(HasReply) && f.Reply.Zone != f.Orig.Zone {
		return f.Orig.Zone | f.Reply.Zone, false
	}
	return f.Orig.Zone, true
}

// Merge copies every attribute that u carries into f and keeps the others. This is how an UPDATE event changes a cached
// flow. The tuples identify the flow and stay, but f takes the reply tuple of u if it had none.
func (f *Flow) Merge(u *Flow) {
	if !f.Has.Is(HasReply) && u.Has.Is(HasReply) {
		f.Reply = u.Reply
	}
	if u.Has.Is(HasStatus) {
		f.Status = u.Status
	}
	if u.Has.Is(HasTimeout) {
		f.Timeout = u.Timeout
	}
	if u.Has.Is(HasMark) {
		f.Mark = u.Mark
	}
	if u.Has.Is(HasID) {
		f.ID = u.ID
	}
	if u.Has.Is(HasUse) {
		f.Use = u.Use
	}
	f.mergeProtoinfo(u)
	f.mergeExtensions(u)
	f.Has |= u.Has
}

func (f *Flow) mergeProtoinfo(u *Flow) {
	if u.Has.Is(HasTCPState) {
		f.TCPState = u.TCPState
	}
	if u.Has.Is(HasTCPWScale) {
		f.TCPWScale = u.TCPWScale
	}
	if u.Has.Is(HasTCPFlags) {
		f.TCPFlags = u.TCPFlags
	}
	if u.Has.Is(HasSCTP) {
		f.SCTPState, f.SCTPVTag = u.SCTPState, u.SCTPVTag
	}
	if u.Has.Is(HasDCCP) {
		f.DCCPState, f.DCCPRole = u.DCCPState, u.DCCPRole
	}
}

func (f *Flow) mergeExtensions(u *Flow) {
	if u.Has.Is(HasMaster) {
		f.Master = u.Master
	}
	if u.Has.Is(HasSeqAdj) {
		f.SeqAdj = u.SeqAdj
	}
	if u.Has.Is(HasSynproxy) {
		f.Synproxy = u.Synproxy
	}
	if u.Has.Is(HasHelper) {
		f.Helper = u.Helper
	}
	if u.Has.Is(HasLabels) {
		f.Labels = u.Labels
	}
	if u.Has.Is(HasCounters) {
		f.Packets, f.Bytes = u.Packets, u.Bytes
	}
	if u.Has.Is(HasTimestamp) {
		f.Start, f.Stop = u.Start, u.Stop
	}
}

// CString returns the text before the first NUL of b.
func CString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// HelperName returns the name of a helper as text for terminals and labels. The name may come from the peer, so each
// character that is not printable ASCII becomes a question mark.
func HelperName(name *[16]byte) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '?'
		}
		return c
	}, CString(name[:]))
}
