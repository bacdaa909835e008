package main

import (
	"net/netip"
	"time"

	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

var server = flow.AddrFrom(netip.MustParseAddr(lab.ServerAddress))

// portsPerAddress is how many flows are translated to the same address.
const portsPerAddress = 60000

// maker makes the i-th of many flows that differ in both tuples.
type maker func(i int) flow.Flow

// translated returns established TCP flows, as in the kernel of a router with source NAT for everything.
func translated(i int) flow.Flow {
	f := established(flow.Tuple{
		Src: flow.Addr{10, 64 + byte(i>>16), byte(i >> 8), byte(i)}, Dst: server,
		SrcPort: uint16(1024 + i%portsPerAddress), DstPort: 443, Family: flow.IPv4, Proto: flow.TCP,
	})
	pool := i / portsPerAddress
	f.Reply.Dst, f.Reply.DstPort = flow.Addr{100, 64, byte(pool >> 8), byte(pool)}, uint16(1024+i%portsPerAddress)
	f.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone | flow.StatusDstNATDone
	return f
}

// plain6 returns established TCP flows over IPv6, without NAT.
func plain6(i int) flow.Flow {
	return established(flow.Tuple{
		Src: flow.Addr{0x20, 0x01, 0x0d, 0xb8, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)},
		Dst: flow.Addr{0x20, 0x01, 0x0d, 0xb8, 1, 15: 1}, SrcPort: uint16(1024 + i%portsPerAddress), DstPort: 443,
		Family: flow.IPv6, Proto: flow.TCP,
	})
}

// probePort is the destination port of probes. It distinguishes them from other flows.
const probePort = 9

// probe returns UDP flows. They are few, and each is tracked separately.
func probe(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{Src: flow.Addr{10, 9, byte(i >> 8), byte(i)}, Dst: server, SrcPort: 9, DstPort: probePort,
			Family: flow.IPv4, Proto: flow.UDP},
		Status: flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed, Timeout: 3600,
		Has: flow.HasReply | flow.HasStatus | flow.HasTimeout,
	}
	f.Reply = f.Orig.Inverse()
	return f
}

func established(orig flow.Tuple) flow.Flow {
	const both = flow.TCPFlagWindowScale | flow.TCPFlagSackPerm
	return flow.Flow{
		Orig: orig, Reply: orig.Inverse(),
		Status:  flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed,
		Timeout: uint32((24 * time.Hour).Seconds()), TCPState: flow.TCPEstablished,
		TCPWScale: [2]uint8{7, 7}, TCPFlags: [2]uint8{both, both},
		Has: flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags,
	}
}
