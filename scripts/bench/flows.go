package main

import (
	"net/netip"

	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// tcpEstablished is TCP_CONNTRACK_ESTABLISHED.
const tcpEstablished = 3

var (
	server     = flow.AddrFrom(netip.MustParseAddr(lab.ServerAddress))
	translated = flow.AddrFrom(netip.MustParseAddr(lab.WANAddress))
)

// flows returns n different established TCP flows as a router's kernel holds them; each fourth is source-NATed.
func flows(n int) []flow.Flow {
	all := make([]flow.Flow, n)
	for i := range all {
		f := &all[i]
		f.Orig = flow.Tuple{
			Src: flow.Addr{10, 64 + byte(i>>16), byte(i >> 8), byte(i)}, Dst: server,
			SrcPort: uint16(1024 + i%60000), DstPort: 443,
			Family: flow.IPv4, Proto: flow.TCP,
		}
		f.Reply = f.Orig.Inverse()
		f.Status = flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed
		if i%4 == 0 {
			// One port per translated flow: their replies differ in nothing else.
			f.Reply.Dst, f.Reply.DstPort = translated, uint16(1024+i/4%60000)
			f.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone | flow.StatusDstNATDone
		}
		f.Timeout = 86400
		f.TCPState = tcpEstablished
		f.TCPWScale = [2]uint8{7, 7}
		f.TCPFlags = [2]uint8{flow.TCPFlagWindowScale | flow.TCPFlagSackPerm, flow.TCPFlagWindowScale | flow.TCPFlagSackPerm}
		f.Has = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags
	}
	return all
}
