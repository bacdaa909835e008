package cache

import (
	"encoding/binary"

	"ctsync/daemon/flow"
)

// key4 is an IPv4 tuple: source, destination, source port, destination port, zone, protocol, 0.
type key4 [16]byte

// key6 is an IPv6 tuple: source, destination, source port, destination port, zone, protocol, 0.
type key6 [40]byte

func pack4(t *flow.Tuple) (k key4) {
	copy(k[0:4], t.Src[:4])
	copy(k[4:8], t.Dst[:4])
	packPorts(k[8:], t)
	return k
}

func (k *key4) unpack(t *flow.Tuple) {
	*t = flow.Tuple{Family: flow.IPv4}
	copy(t.Src[:4], k[0:4])
	copy(t.Dst[:4], k[4:8])
	unpackPorts(k[8:], t)
}

func pack6(t *flow.Tuple) (k key6) {
	copy(k[0:16], t.Src[:])
	copy(k[16:32], t.Dst[:])
	packPorts(k[32:], t)
	return k
}

func (k *key6) unpack(t *flow.Tuple) {
	*t = flow.Tuple{Family: flow.IPv6}
	copy(t.Src[:], k[0:16])
	copy(t.Dst[:], k[16:32])
	unpackPorts(k[32:], t)
}

func packPorts(b []byte, t *flow.Tuple) {
	_ = b[7]
	binary.LittleEndian.PutUint16(b[0:], t.SrcPort)
	binary.LittleEndian.PutUint16(b[2:], t.DstPort)
	binary.LittleEndian.PutUint16(b[4:], t.Zone)
	b[6] = uint8(t.Proto)
}

func unpackPorts(b []byte, t *flow.Tuple) {
	_ = b[7]
	t.SrcPort = binary.LittleEndian.Uint16(b[0:])
	t.DstPort = binary.LittleEndian.Uint16(b[2:])
	t.Zone = binary.LittleEndian.Uint16(b[4:])
	t.Proto = flow.Proto(b[6])
}
