package flow

import (
	"encoding/binary"
	"net/netip"
)

// Family is the layer-3 protocol of a tuple, numbered as AF_* in <linux/socket.h>.
type Family uint8

// The families of conntrack.
const (
	IPv4 Family = 2  // AF_INET
	IPv6 Family = 10 // AF_INET6
)

// Proto is a layer-4 protocol number (IANA protocol numbers).
type Proto uint8

// Protocols whose tuples carry more than two addresses.
const (
	ICMP    Proto = 1
	TCP     Proto = 6
	UDP     Proto = 17
	DCCP    Proto = 33
	GRE     Proto = 47
	ICMPv6  Proto = 58
	SCTP    Proto = 132
	UDPLite Proto = 136
)

// HasPorts reports whether both port fields of a tuple of this protocol are transport ports.
func (p Proto) HasPorts() bool {
	switch p {
	case TCP, UDP, DCCP, SCTP, UDPLite:
		return true
	}
	return false
}

// IsICMP reports whether tuples of this protocol carry an ICMP id, type and code.
func (p Proto) IsICMP() bool { return p == ICMP || p == ICMPv6 }

// Addr is an address of either family in network byte order. An IPv4 address is in the first four bytes and the others
// are zero, so that equal addresses are equal arrays.
type Addr [16]byte

// AddrFrom returns the 4 or 16 bytes of ip. An IPv4-mapped IPv6 address keeps its 16 bytes.
func AddrFrom(ip netip.Addr) Addr {
	var a Addr
	copy(a[:], ip.AsSlice())
	return a
}

// IP returns the address as a netip.Addr of family f.
func (a Addr) IP(f Family) netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(a)
}

// Tuple is one direction of a flow. It is pointer-free, 40 bytes, comparable and usable as a map key.
//
// The two port fields are in host byte order. What they hold depends on Proto:
//
//	TCP, UDP, UDP-Lite, SCTP, DCCP   source and destination port
//	ICMP, ICMPv6                     SrcPort = id, DstPort = type<<8 | code
//	GRE                              source and destination key
//	anything else                    0
//
// Zone is the conntrack zone in which the kernel looks up this direction. A zone of the whole flow is in both tuples. A
// zone of one direction is in one of them, and the other has 0, the default zone.
type Tuple struct {
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Family           Family
	Proto            Proto
	Zone             uint16
}

// ICMPType returns the ICMP or ICMPv6 type of t.
func (t *Tuple) ICMPType() uint8 { return uint8(t.DstPort >> 8) }

// ICMPCode returns the ICMP or ICMPv6 code of t.
func (t *Tuple) ICMPCode() uint8 { return uint8(t.DstPort) }

// Inverse returns the tuple of a reply to t without NAT, in the same zone. The type of an ICMP request becomes that of
// its reply, as in nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c. A type that has no reply stays.
func (t *Tuple) Inverse() Tuple {
	var r Tuple
	t.Invert(&r)
	return r
}

// Invert is Inverse, written into r, which must not be t. It saves a copy: to copy a struct that was just written field
// by field stalls the processor.
func (t *Tuple) Invert(r *Tuple) {
	r.Src, r.Dst = t.Dst, t.Src
	r.SrcPort, r.DstPort = t.inversePorts()
	r.Family, r.Proto, r.Zone = t.Family, t.Proto, t.Zone
}

// Mirrors reports whether r is the inverse of t.
func (t *Tuple) Mirrors(r *Tuple) bool {
	sport, dport := t.inversePorts()
	return r.SrcPort == sport && r.DstPort == dport && r.Family == t.Family && r.Proto == t.Proto && r.Zone == t.Zone &&
		r.Src == t.Dst && r.Dst == t.Src
}

func (t *Tuple) inversePorts() (src, dst uint16) {
	if t.Proto.IsICMP() {
		return t.SrcPort, uint16(inverseICMP(t.Proto, t.ICMPType()))<<8 | t.DstPort&0xff
	}
	return t.DstPort, t.SrcPort
}

func inverseICMP(p Proto, typ uint8) uint8 {
	if p == ICMP {
		switch typ {
		case 8: // echo request
			return 0
		case 0:
			return 8
		case 13, 15, 17: // timestamp, information, address mask request
			return typ + 1
		case 14, 16, 18:
			return typ - 1
		}
		return typ
	}
	switch typ {
	case 128, 139: // echo request, node information query
		return typ + 1
	case 129, 140:
		return typ - 1
	}
	return typ
}

// Source returns the source address and port. The port is 0 if the protocol has no ports.
func (t *Tuple) Source() netip.AddrPort {
	return netip.AddrPortFrom(t.Src.IP(t.Family), t.port(t.SrcPort))
}

// Destination returns the destination address and port. The port is 0 if the protocol has no ports.
func (t *Tuple) Destination() netip.AddrPort {
	return netip.AddrPortFrom(t.Dst.IP(t.Family), t.port(t.DstPort))
}

func (t *Tuple) port(p uint16) uint16 {
	if t.Proto.HasPorts() {
		return p
	}
	return 0
}

// words returns an address as two 64-bit words, for comparing.
func (a *Addr) words() (hi, lo uint64) {
	return binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
}

// Compare orders tuples by family, protocol, source, destination, ports and zone, and returns -1, 0 or 1.
func (t *Tuple) Compare(u *Tuple) int {
	th, tl := t.Src.words()
	uh, ul := u.Src.words()
	td, tm := t.Dst.words()
	ud, um := u.Dst.words()
	a := [...]uint64{
		uint64(t.Family), uint64(t.Proto), th, tl, td, tm, uint64(t.SrcPort), uint64(t.DstPort), uint64(t.Zone),
	}
	b := [...]uint64{
		uint64(u.Family), uint64(u.Proto), uh, ul, ud, um, uint64(u.SrcPort), uint64(u.DstPort), uint64(u.Zone),
	}
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}
