package wire

import "encoding/binary"

// Version is the only version of the protocol.
const Version = 1

// Sizes of a header in bytes: of every message, and of a control message that carries a range.
const (
	HeaderSize  = 8
	ControlSize = 16
)

// Type is the low nibble of the first byte of a message.
type Type uint8

// Message types. The values 6 to 9 and 11 to 15 are undefined.
const (
	CTNew      Type = 0
	CTUpdate   Type = 1
	CTDestroy  Type = 2
	ExpNew     Type = 3
	ExpUpdate  Type = 4
	ExpDestroy Type = 5
	Control    Type = 10
)

// IsFlow reports whether the body of a message of type t describes a flow.
func (t Type) IsFlow() bool { return t <= CTDestroy }

// Flags is the second byte of a message.
type Flags uint8

// Message flags.
const (
	Resync    Flags = 0x02 // control: send me your whole internal cache
	Nack      Flags = 0x04 // control: send the range again
	Ack       Flags = 0x08 // control: I have the range
	Alive     Flags = 0x10 // control: nothing to say
	Hello     Flags = 0x20 // any type: I started, forget what you know of my numbers
	HelloBack Flags = 0x40 // any type: I heard your Hello

	ranged = Resync | Nack | Ack
)

// Header is what stands before the attributes of a message. From and To are 0 unless the message is a control message
// with Ack, Nack or Resync.
type Header struct {
	Type          Type
	Flags         Flags
	Len           uint16 // bytes of the whole message
	Seq, From, To uint32
}

// Malformed says why a message was refused. The kinds are those that `conntrackd -s network` counts.
type Malformed uint8

// Kinds of malformed messages. Next returns OK, BadVersion, Truncated and BadSize. Its caller, who knows the mode and
// reads the body, finds the other three.
const (
	OK         Malformed = iota
	BadVersion           // version is not 1
	BadHeader            // type and flags do not go together, or a range runs backwards
	BadPayload           // an attribute is malformed
	BadType              // type is not a state message
	Truncated            // the datagram ends inside a header
	BadSize              // the length field is impossible

	NumMalformed = int(iota) // kinds, OK included: the length of an array of counters
)

// Next takes the first message off a datagram. body holds its attributes and rest the messages behind it; both are
// parts of b. After BadVersion skip only this message: rest continues behind it. After Truncated and BadSize nothing
// more can be read: rest is nil. The checks and their order are conntrackd's, so that both count the same.
//
// Call it while bytes are left; an empty b is Truncated.
func Next(b []byte) (h Header, body, rest []byte, bad Malformed) {
	if len(b) < HeaderSize {
		return Header{}, nil, nil, Truncated
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size == 0 || size > len(b) {
		return Header{}, nil, nil, BadSize
	}
	h = Header{
		Type:  Type(b[0] & 0x0f),
		Flags: Flags(b[1]),
		Len:   uint16(size),
		Seq:   binary.BigEndian.Uint32(b[4:]),
	}
	head := HeaderSize
	if h.Type == Control && h.Flags&ranged != 0 {
		if len(b) < ControlSize {
			return Header{}, nil, nil, Truncated
		}
		head = ControlSize
	}
	if size < head {
		return Header{}, nil, nil, BadSize
	}
	if b[0]>>4 != Version {
		return Header{}, nil, b[size:], BadVersion
	}
	if head == ControlSize {
		h.From = binary.BigEndian.Uint32(b[8:])
		h.To = binary.BigEndian.Uint32(b[12:])
	}
	return h, b[head:size], b[size:], OK
}

// AppendControl appends a control message to b: 16 bytes when flags hold Ack, Nack or Resync, otherwise 8 bytes without
// from and to.
func AppendControl(b []byte, flags Flags, seq, from, to uint32) []byte {
	size := uint16(HeaderSize)
	if flags&ranged != 0 {
		size = ControlSize
	}
	b = append(b, Version<<4|byte(Control), byte(flags), byte(size>>8), byte(size))
	b = binary.BigEndian.AppendUint32(b, seq)
	if size == ControlSize {
		b = binary.BigEndian.AppendUint32(b, from)
		b = binary.BigEndian.AppendUint32(b, to)
	}
	return b
}

// begin appends the header of a state message; finish fills in its length.
func begin(b []byte, typ Type, flags Flags, seq uint32) []byte {
	b = append(b, Version<<4|byte(typ)&0x0f, byte(flags), 0, 0)
	return binary.BigEndian.AppendUint32(b, seq)
}

// finish writes the length of the message that starts at b[start].
func finish(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}
