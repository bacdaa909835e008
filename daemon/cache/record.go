package cache

import "ctsync/daemon/flow"

// body is the part of a record that does not depend on the family: 40 bytes.
type body struct {
	has              flow.Attr
	timeout          uint32
	mark             uint32
	id               uint32
	created, updated uint32 // seconds since the store's epoch
	reply            uint32 // number in the table's replies plus one; 0 = plain inverse of the original tuple
	extra            uint32 // number in the store's extras plus one; 0 = all those attributes are zero
	status           uint16 // the bits that exist; others go to the extra
	tcpState         uint8
	tcpWScale        [2]uint8
	tcpFlags         [2]uint8
	state            // used by the internal cache
}

// kept are the attributes that a record stores.
const kept = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark | flow.HasID | flow.HasTCPState |
	flow.HasTCPWScale | flow.HasTCPFlags | flow.HasSCTP | flow.HasDCCP | flow.HasMaster | flow.HasSeqAdj |
	flow.HasSynproxy | flow.HasHelper | flow.HasLabels

// extra holds the attributes that few flows have.
type extra struct {
	master     flow.Tuple
	seqAdj     [2]flow.SeqAdj
	synproxy   flow.Synproxy
	helper     [16]byte
	labels     [16]byte
	sctpVTag   [2]uint32
	statusHigh uint16
	sctpState  uint8
	dccpState  uint8
	dccpRole   uint8
}

// set takes the fields of f whose attributes are present.
func (b *body) set(f *flow.Flow) {
	b.has = f.Has & kept
	b.status = uint16(f.Status)
	b.timeout, b.mark, b.id = f.Timeout, f.Mark, f.ID
	b.tcpState, b.tcpWScale, b.tcpFlags = f.TCPState, f.TCPWScale, f.TCPFlags
}

// get writes the fields that set took.
func (b *body) get(f *flow.Flow) {
	f.Has = b.has
	f.Status = uint32(b.status)
	f.Timeout, f.Mark, f.ID = b.timeout, b.mark, b.id
	f.TCPState, f.TCPWScale, f.TCPFlags = b.tcpState, b.tcpWScale, b.tcpFlags
}

// rare are the attributes whose values an extra holds.
const rare = flow.HasSCTP | flow.HasDCCP | flow.HasMaster | flow.HasSeqAdj | flow.HasSynproxy |
	flow.HasHelper | flow.HasLabels

// extraOf returns the rare attributes of f. needed is false when all of them are zero: then presence bits are enough.
func extraOf(f *flow.Flow) (x extra, needed bool) {
	if f.Has&rare == 0 && f.Status>>16 == 0 {
		return x, false
	}
	x = extra{
		master: f.Master, seqAdj: f.SeqAdj, synproxy: f.Synproxy, helper: f.Helper, labels: f.Labels,
		sctpVTag: f.SCTPVTag, sctpState: f.SCTPState, dccpState: f.DCCPState, dccpRole: f.DCCPRole,
		statusHigh: uint16(f.Status >> 16),
	}
	return x, x != extra{}
}

func (x *extra) get(f *flow.Flow) {
	f.Master, f.SeqAdj, f.Synproxy, f.Helper, f.Labels = x.master, x.seqAdj, x.synproxy, x.helper, x.labels
	f.SCTPVTag, f.SCTPState, f.DCCPState, f.DCCPRole = x.sctpVTag, x.sctpState, x.dccpState, x.dccpRole
	f.Status |= uint32(x.statusHigh) << 16
}
