package ctnetlink

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// ErrMalformed is what decoding returns for bytes that no kernel sends: a length that does not fit, an attribute too
// short for its type, a flow without an original tuple.
var ErrMalformed = errors.New("malformed ctnetlink message")

const (
	nlHeaderLen = unix.SizeofNlMsghdr // struct nlmsghdr: len u32, type u16, flags u16, seq u32, pid u32
	headerLen   = nlHeaderLen + 4     // and struct nfgenmsg: family u8, version u8, res_id be16
	attrLen     = 4                   // struct nlattr: len u16, type u16
	attrType    = 0x3fff              // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

func align(n int) int { return (n + 3) &^ 3 }

// header is a struct nlmsghdr.
type header struct {
	Len         int
	Type, Flags uint16
	Seq, PID    uint32
}

// nextMessage splits the first netlink message off b. ok is false when b holds no whole message.
func nextMessage(b []byte) (h header, msg, rest []byte, ok bool) {
	if len(b) < nlHeaderLen {
		return h, nil, nil, false
	}
	n := binary.NativeEndian.Uint32(b)
	if n < nlHeaderLen || uint64(n) > uint64(len(b)) {
		return h, nil, nil, false
	}
	h = header{
		Len:   int(n),
		Type:  binary.NativeEndian.Uint16(b[4:]),
		Flags: binary.NativeEndian.Uint16(b[6:]),
		Seq:   binary.NativeEndian.Uint32(b[8:]),
		PID:   binary.NativeEndian.Uint32(b[12:]),
	}
	return h, b[:n], b[min(align(int(n)), len(b)):], true
}

// attrs walks a row of netlink attributes. The value getters return zero and set bad when the current payload is too
// short, so that a parser checks once, at its end. A payload longer than needed is accepted, as the kernel itself
// accepts it: attributes may grow.
type attrs struct {
	rest []byte // attributes still to come
	data []byte // payload of the current one
	typ  uint16
	bad  bool
}

// next steps to the next attribute. It returns false at the end, and when a length does not fit, which also sets bad.
func (a *attrs) next() bool {
	b := a.rest
	if len(b) < attrLen {
		a.bad = a.bad || len(b) > 0
		return false
	}
	n := int(binary.NativeEndian.Uint16(b))
	end := align(n) // the kernel pads the last one as well
	if n < attrLen || end > len(b) {
		a.bad = true
		return false
	}
	a.typ = binary.NativeEndian.Uint16(b[2:]) & attrType
	a.data = b[attrLen:n]
	a.rest = b[end:]
	return true
}

func (a *attrs) u8() uint8 {
	if len(a.data) < 1 {
		a.bad = true
		return 0
	}
	return a.data[0]
}

func (a *attrs) be16() uint16 {
	if len(a.data) < 2 {
		a.bad = true
		return 0
	}
	return binary.BigEndian.Uint16(a.data)
}

func (a *attrs) be32() uint32 {
	if len(a.data) < 4 {
		a.bad = true
		return 0
	}
	return binary.BigEndian.Uint32(a.data)
}

func (a *attrs) be64() uint64 {
	if len(a.data) < 8 {
		a.bad = true
		return 0
	}
	return binary.BigEndian.Uint64(a.data)
}

// copy fills dst from the payload.
func (a *attrs) copy(dst []byte) {
	if len(a.data) < len(dst) {
		a.bad = true
		return
	}
	copy(dst, a.data)
}

// check records the outcome of parsing the current attribute's nested set.
func (a *attrs) check(ok bool) { a.bad = a.bad || !ok }

func appendU8(b []byte, typ uint16, v uint8) []byte {
	b = appendAttrHeader(b, typ, 1)
	return append(b, v, 0, 0, 0)
}

func appendBE16(b []byte, typ, v uint16) []byte {
	b = appendAttrHeader(b, typ, 2)
	return append(b, byte(v>>8), byte(v), 0, 0)
}

func appendBE32(b []byte, typ uint16, v uint32) []byte {
	b = appendAttrHeader(b, typ, 4)
	return binary.BigEndian.AppendUint32(b, v)
}

func appendBytes(b []byte, typ uint16, v []byte) []byte {
	b = appendAttrHeader(b, typ, len(v))
	b = append(b, v...)
	for len(b)%4 != 0 { // messages and attributes begin at multiples of 4
		b = append(b, 0)
	}
	return b
}

func appendAttrHeader(b []byte, typ uint16, payload int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrLen+payload))
	return binary.NativeEndian.AppendUint16(b, typ)
}

// openNest begins a nested attribute; closeNest(b, at) ends it, at being the offset that openNest returned.
func openNest(b []byte, typ uint16) (_ []byte, at int) {
	at = len(b)
	return appendAttrHeader(b, typ|unix.NLA_F_NESTED, 0), at
}

func closeNest(b []byte, at int) {
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
}

// openMessage begins a request; closeMessage(b, at) ends it. The sequence number is 0 until setSeq.
func openMessage(b []byte, typ, flags uint16, family uint8) (_ []byte, at int) {
	at = len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, subsysCtnetlink<<8|typ)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, family, unix.NFNETLINK_V0, 0, 0), at
}

func closeMessage(b []byte, at int) {
	binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
}

// setSubsystem turns the message that begins at b[0] into one of another subsystem of nfnetlink than ctnetlink's.
func setSubsystem(b []byte, subsys uint8) {
	typ := binary.NativeEndian.Uint16(b[4:])
	binary.NativeEndian.PutUint16(b[4:], uint16(subsys)<<8|typ&0xff)
}

// setSeq numbers the message that begins at b[0].
func setSeq(b []byte, seq uint32) { binary.NativeEndian.PutUint32(b[8:], seq) }

// setAck asks for an answer to the message that begins at b[0] even if it succeeds.
func setAck(b []byte) {
	binary.NativeEndian.PutUint16(b[6:], binary.NativeEndian.Uint16(b[6:])|unix.NLM_F_ACK)
}
