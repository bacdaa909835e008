package ctnetlink

import "ctsync/daemon/flow"

// Message types of the subsystem NFNL_SUBSYS_CTNETLINK_EXP (enum ctnl_exp_msg_types).
const (
	subsysExpect = 2

	msgExpectNew    = 0
	msgExpectGet    = 1
	msgExpectDelete = 2
)

// enum ctattr_expect and ctattr_expect_nat.
const (
	ctaExpectMaster   = 1
	ctaExpectTuple    = 2
	ctaExpectMask     = 3
	ctaExpectTimeout  = 4
	ctaExpectID       = 5
	ctaExpectHelpName = 6
	ctaExpectZone     = 7
	ctaExpectFlags    = 8
	ctaExpectClass    = 9
	ctaExpectNat      = 10
	ctaExpectFn       = 11

	ctaExpectNatDir   = 1
	ctaExpectNatTuple = 2
)

// DecodeExpectation reads one whole netlink message of the kernel about an expectation into e, which it overwrites.
// e.Has says what the message carried; a name longer than flow.Expectation holds counts as absent. The kernel names
// no zone (Linux 6.18), so an expectation in a zone looks like one without. The error is ErrMalformed, and e is zero
// then.
func DecodeExpectation(msg []byte, e *flow.Expectation) error {
	*e = flow.Expectation{}
	_, msg, _, ok := nextMessage(msg)
	if ok && len(msg) >= headerLen && decodeExpectation(msg[headerLen:], e) {
		return nil
	}
	*e = flow.Expectation{}
	return ErrMalformed
}

func decodeExpectation(b []byte, e *flow.Expectation) bool {
	a := attrs{rest: b}
	var zone uint16
	for a.next() {
		switch a.typ {
		case ctaExpectMaster:
			a.check(decodeTuple(a.data, &e.Master))
			e.Has |= flow.HasMaster
		case ctaExpectTuple:
			a.check(decodeTuple(a.data, &e.Expect))
		case ctaExpectMask:
			a.check(decodeTuple(a.data, &e.Mask))
			e.Has |= flow.HasMask
		case ctaExpectNat:
			a.check(decodeExpectNAT(a.data, e))
		case ctaExpectZone:
			zone = a.be16()
		default:
			decodeExpectDetail(&a, e)
		}
	}
	if a.bad || !e.Has.Is(flow.HasMaster) || !sameFamily(e) {
		return false
	}
	e.Expect.Zone, e.Master.Zone, e.Mask.Zone, e.NAT.Zone = zone, zone, 0, 0
	return true
}

// decodeExpectDetail reads the current attribute of a if it is a plain value.
func decodeExpectDetail(a *attrs, e *flow.Expectation) {
	switch a.typ {
	case ctaExpectTimeout:
		e.Timeout = a.be32()
		e.Has |= flow.HasTimeout
	case ctaExpectID:
		e.ID = a.be32()
		e.Has |= flow.HasID
	case ctaExpectFlags:
		e.Flags = a.be32()
		e.Has |= flow.HasFlags
	case ctaExpectClass:
		e.Class = a.be32()
		e.Has |= flow.HasClass
	case ctaExpectHelpName:
		if decodeName(a.data, e.Helper[:]) {
			e.Has |= flow.HasHelper
		}
	case ctaExpectFn:
		if decodeName(a.data, e.Fn[:]) {
			e.Has |= flow.HasFn
		}
	}
}

// decodeExpectNAT reads what the expected connection is translated to: an address and port, as the source of a tuple,
// and the direction of the master whose packets caused it.
func decodeExpectNAT(b []byte, e *flow.Expectation) bool {
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case ctaExpectNatDir:
			e.NATDir = a.be32()
		case ctaExpectNatTuple:
			a.check(decodeTuple(a.data, &e.NAT))
			e.Has |= flow.HasNAT
		}
	}
	if !e.Has.Is(flow.HasNAT) {
		e.NATDir = 0 // the kernel sends none without the other
	}
	return !a.bad
}

// sameFamily reports whether all tuples of e are of one family.
func sameFamily(e *flow.Expectation) bool {
	f := e.Expect.Family
	return f != 0 && e.Master.Family == f &&
		(!e.Has.Is(flow.HasMask) || e.Mask.Family == f) && (!e.Has.Is(flow.HasNAT) || e.NAT.Family == f)
}

// decodeName copies a name, with or without its NUL, that leaves room for one.
func decodeName(b, dst []byte) bool {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	if len(b) == 0 || len(b) >= len(dst) {
		return false
	}
	clear(dst)
	copy(dst, b)
	return true
}
