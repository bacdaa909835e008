package wire

import (
	"encoding/binary"
	"errors"

	"ctsync/daemon/flow"
)

// Reasons why ParseFlow and ParseExpectation refuse a body; test with errors.Is. The first three come wrapped in an
// AttributeError that names the attribute.
var (
	ErrLength = errors.New("length field is less than 4 or beyond the end of the message")
	ErrSize   = errors.New("payload has the wrong size")
	ErrLong   = errors.New("payload is too long")

	ErrNoAddress  = errors.New("no address")
	ErrNoProtocol = errors.New("no layer 4 protocol")
	ErrNoPort     = errors.New("no ports in a flow whose protocol has them")
	ErrNoICMP     = errors.New("no type in an ICMP flow")
	ErrFamily     = errors.New("tuples of different address families")
	ErrState      = errors.New("state or window scale that no kernel has")

	// ErrDCCP refuses a DCCP flow without state: conntrackd 1.4.7 fills its ports with whatever was in memory when the
	// kernel has no DCCP tracker, so such a flow has a random key.
	ErrDCCP = errors.New("DCCP flow without state has random ports")
)

// AttributeError says which attribute was refused and why.
type AttributeError struct {
	Name string // as in the package comment, "unknown attribute" for an id that is not in the tables
	Err  error  // ErrLength, ErrSize or ErrLong
}

func (e *AttributeError) Error() string { return "attribute " + e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *AttributeError) Unwrap() error { return e.Err }

// attribute describes one attribute id: its payload has exactly size bytes, or 0 to size when variable. Its errors are
// made beforehand, so that a peer that sends rubbish does not cost an allocation for each message.
type attribute struct {
	name     string
	size     uint16
	variable bool
	has      flow.Attr // what this attribute makes present by itself

	length, wrong, long *AttributeError
}

// table fills in the errors of attributes.
func table(attributes []attribute) []attribute {
	for i := range attributes {
		a := &attributes[i]
		a.length = &AttributeError{a.name, ErrLength}
		a.wrong = &AttributeError{a.name, ErrSize}
		a.long = &AttributeError{a.name, ErrLong}
	}
	return attributes
}

var unknownLength = &AttributeError{"unknown attribute", ErrLength}

// nextAttribute takes the first attribute off b, which holds more than 4 bytes. known is false for an id behind the end
// of the table: the attribute can only be skipped.
func nextAttribute(b []byte, attributes []attribute) (id int, payload, rest []byte, known bool, err error) {
	size := int(binary.BigEndian.Uint16(b))
	id = int(binary.BigEndian.Uint16(b[2:]))
	known = id < len(attributes)
	if size < 4 || size > len(b) {
		if !known {
			return 0, nil, nil, false, unknownLength
		}
		return 0, nil, nil, false, attributes[id].length
	}
	payload = b[4:size]
	rest = b[min((size+3)&^3, len(b)):]
	if !known {
		return id, payload, rest, false, nil
	}
	a := &attributes[id]
	if a.variable {
		if len(payload) > int(a.size) {
			return 0, nil, nil, true, a.long
		}
		return id, payload, rest, true, nil
	}
	if len(payload) != int(a.size) {
		return 0, nil, nil, true, a.wrong
	}
	return id, payload, rest, true, nil
}

func append8(b []byte, id uint16, v uint8) []byte {
	return append(b, 0, 5, byte(id>>8), byte(id), v, 0, 0, 0)
}

// append16 writes v big-endian; appendSwapped16 is for the ids with the wrong byte order.
func append16(b []byte, id, v uint16) []byte {
	return append(b, 0, 6, byte(id>>8), byte(id), byte(v>>8), byte(v), 0, 0)
}

func appendSwapped16(b []byte, id, v uint16) []byte {
	return append(b, 0, 6, byte(id>>8), byte(id), byte(v), byte(v>>8), 0, 0)
}

func append32(b []byte, id uint16, v uint32) []byte {
	return append(b, 0, 8, byte(id>>8), byte(id), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendHead(b []byte, id uint16, payload int) []byte {
	return append(b, 0, byte(4+payload), byte(id>>8), byte(id))
}

func appendPorts(b []byte, id uint16, t *flow.Tuple) []byte {
	return append32(b, id, uint32(t.SrcPort)<<16|uint32(t.DstPort))
}

// appendAddresses writes both addresses of t under the id of its family.
func appendAddresses(b []byte, id4, id6 uint16, t *flow.Tuple) []byte {
	if t.Family == flow.IPv4 {
		b = appendHead(b, id4, 8)
		b = append(b, t.Src[:4]...)
		return append(b, t.Dst[:4]...)
	}
	b = appendHead(b, id6, 32)
	b = append(b, t.Src[:]...)
	return append(b, t.Dst[:]...)
}

// appendName writes a name with its NUL. It writes nothing when the name is empty, or when that makes more than limit
// bytes: for one name too long the peer would refuse the whole message.
func appendName(b []byte, id uint16, name []byte, limit int) []byte {
	n := nameLen(name)
	if n == 0 || n+1 > limit {
		return b
	}
	b = appendHead(b, id, n+1)
	b = append(b, name[:n]...)
	for b = append(b, 0); n&3 != 3; n++ {
		b = append(b, 0)
	}
	return b
}

func nameLen(name []byte) int {
	for i, c := range name {
		if c == 0 {
			return i
		}
	}
	return len(name)
}

// setName copies the name in payload, which ends before its NUL if it has one, and reports whether it is not empty. dst
// stays terminated.
func setName(dst, payload []byte) bool {
	clear(dst)
	n := min(nameLen(payload), len(dst)-1)
	copy(dst, payload[:n])
	return n > 0
}

// setAddresses reads both addresses of a tuple; 8 bytes are IPv4 and 32 are IPv6.
func setAddresses(t *flow.Tuple, payload []byte) {
	if len(payload) == 8 {
		t.Family, t.Src, t.Dst = flow.IPv4, flow.Addr{}, flow.Addr{}
		copy(t.Src[:4], payload[:4])
		copy(t.Dst[:4], payload[4:])
		return
	}
	t.Family, t.Src, t.Dst = flow.IPv6, flow.Addr(payload[:16]), flow.Addr(payload[16:])
}

func setPorts(t *flow.Tuple, payload []byte) {
	t.SrcPort = binary.BigEndian.Uint16(payload)
	t.DstPort = binary.BigEndian.Uint16(payload[2:])
}

// carriesPorts reports whether flows of p have a PORT attribute. UDP-Lite has ports, but conntrackd never sends them.
func carriesPorts(p flow.Proto) bool {
	return p == flow.TCP || p == flow.UDP || p == flow.DCCP || p == flow.SCTP
}
