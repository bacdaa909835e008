package ctnetlink

import (
	"fmt"
	"net/netip"

	"ctsync/daemon/flow"
)

// sample is a flow as the kernel gives it back after Create (not liberal), except for ID, Use and the seconds that
// passed.
type sample struct {
	name string
	f    flow.Flow
}

const (
	established = flow.StatusConfirmed | flow.StatusSeenReply | flow.StatusAssured
	natDone     = flow.StatusSrcNATDone | flow.StatusDstNATDone
)

// tuple makes a tuple of two "address:port".
func tuple(p flow.Proto, src, dst string) flow.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	t := flow.Tuple{
		Src: flow.AddrFrom(s.Addr()), Dst: flow.AddrFrom(d.Addr()), SrcPort: s.Port(), DstPort: d.Port(),
		Family: flow.IPv4, Proto: p,
	}
	if s.Addr().Is6() {
		t.Family = flow.IPv6
	}
	return t
}

// plain makes a flow without translation, as the kernel shows it.
func plain(orig flow.Tuple) flow.Flow {
	f := flow.Flow{
		Orig: orig, Reply: orig.Inverse(),
		Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark,
		Status: established, Timeout: 3000,
	}
	switch orig.Proto {
	case flow.TCP:
		f.Has |= flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags
		f.TCPState = 3
		f.TCPWScale = [2]uint8{7, 9}
		f.TCPFlags = [2]uint8{flow.TCPFlagWindowScale | flow.TCPFlagSackPerm, flow.TCPFlagWindowScale}
	case flow.SCTP:
		f.Has |= flow.HasSCTP
		f.SCTPState, f.SCTPVTag = 4, [2]uint32{0x01020304, 0xf1f2f3f4}
	}
	return f
}

// nat makes a translated flow: replies go from src to dst.
func nat(orig flow.Tuple, src, dst string) flow.Flow {
	f := plain(orig)
	reply := tuple(orig.Proto, src, dst)
	f.Reply.Src, f.Reply.Dst = reply.Src, reply.Dst
	f.Reply.SrcPort, f.Reply.DstPort = reply.SrcPort, reply.DstPort
	if orig.Proto.IsICMP() { // given as 0:type<<8|code and id
		f.Reply.SrcPort, f.Reply.DstPort = reply.DstPort, orig.Inverse().DstPort
	}
	f.Status |= natDone
	if f.SNAT() {
		f.Status |= flow.StatusSrcNAT
	}
	if f.DNAT() {
		f.Status |= flow.StatusDstNAT
	}
	return f
}

func icmp(p flow.Proto, src, dst string, id uint16, typ, code uint8) flow.Tuple {
	t := tuple(p, src, dst)
	t.SrcPort, t.DstPort = id, uint16(typ)<<8|uint16(code)
	return t
}

func with(f flow.Flow, change func(*flow.Flow)) flow.Flow {
	change(&f)
	return f
}

func zoned(f flow.Flow, orig, reply uint16) flow.Flow {
	f.Orig.Zone, f.Reply.Zone = orig, reply
	return f
}

func helped(f flow.Flow, name string) flow.Flow {
	copy(f.Helper[:], name)
	f.Has |= flow.HasHelper
	f.Status |= flow.StatusHelper // set by the kernel
	return f
}

func samples() []sample {
	s := append(natSamples(), protocolSamples()...)
	return append(s, attributeSamples()...)
}

func protocolSamples() []sample {
	return []sample{
		{"tcp", plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))},
		{"tcp v6", plain(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80"))},
		{"tcp SYN_SENT", with(plain(tuple(flow.TCP, "10.1.0.1:1002", "10.2.0.1:80")), func(f *flow.Flow) {
			f.Status, f.TCPState, f.Timeout = flow.StatusConfirmed, 1, 120
			f.TCPWScale = [2]uint8{}
			f.TCPFlags = [2]uint8{}
		})},
		{"tcp all flags that are restored", with(plain(tuple(flow.TCP, "10.1.0.1:1003", "10.2.0.1:80")), func(f *flow.Flow) {
			f.TCPFlags = [2]uint8{0x0f, 0x0b}
			f.TCPState, f.TCPWScale = 4, [2]uint8{14, 0}
		})},
		{"udp", plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:53"))},
		{"udp v6", plain(tuple(flow.UDP, "[fd01::1]:1001", "[fd02::1]:53"))},
		{"udplite", plain(tuple(flow.UDPLite, "10.1.0.1:1001", "10.2.0.1:53"))},
		{"udplite v6", plain(tuple(flow.UDPLite, "[fd01::1]:1001", "[fd02::1]:53"))},
		{"sctp", plain(tuple(flow.SCTP, "10.1.0.1:1001", "10.2.0.1:80"))},
		{"sctp v6", plain(tuple(flow.SCTP, "[fd01::1]:1001", "[fd02::1]:80"))},
		{"icmp echo", plain(icmp(flow.ICMP, "10.1.0.1:0", "10.2.0.1:0", 0x1234, 8, 0))},
		{"icmp timestamp", plain(icmp(flow.ICMP, "10.1.0.1:0", "10.2.0.1:0", 0x1235, 13, 0))},
		{"icmpv6 echo", plain(icmp(flow.ICMPv6, "[fd01::1]:0", "[fd02::1]:0", 0xfffe, 128, 0))},
		{"gre", plain(tuple(flow.GRE, "10.1.0.1:17", "10.2.0.1:18"))},
		{"gre v6", plain(tuple(flow.GRE, "[fd01::1]:17", "[fd02::1]:18"))},
		{"esp", plain(tuple(50, "10.1.0.1:0", "10.2.0.1:0"))},
		{"protocol 253 v6", plain(tuple(253, "[fd01::1]:0", "[fd02::1]:0"))},
		{"protocol 0", plain(tuple(0, "10.1.0.1:0", "10.2.0.1:0"))},
	}
}

func natSamples() []sample {
	var s []sample
	for i, p := range []flow.Proto{flow.TCP, flow.UDP, flow.SCTP, flow.UDPLite} {
		name := fmt.Sprintf("protocol %d ", p)
		v4 := func(n int) flow.Tuple { return tuple(p, fmt.Sprintf("10.1.1.1:%d", 2000+10*i+n), "10.2.1.1:80") }
		v6 := func(n int) flow.Tuple { return tuple(p, fmt.Sprintf("[fd01::1:1]:%d", 2000+10*i+n), "[fd02::1:1]:80") }
		s = append(s, []sample{
			{name + "snat", nat(v4(0), "10.2.1.1:80", fmt.Sprintf("192.0.2.1:%d", 2000+10*i))},
			{name + "snat port", nat(v4(1), "10.2.1.1:80", "192.0.2.1:40001")},
			{name + "dnat", nat(v4(2), "10.3.0.1:80", fmt.Sprintf("10.1.1.1:%d", 2002+10*i))},
			{name + "dnat port", nat(v4(3), "10.3.0.1:8080", fmt.Sprintf("10.1.1.1:%d", 2003+10*i))},
			{name + "redirect, port alone", nat(v4(4), "10.2.1.1:8081", fmt.Sprintf("10.1.1.1:%d", 2004+10*i))},
			{name + "source port alone", nat(v4(5), "10.2.1.1:80", "10.1.1.1:40005")},
			{name + "both", nat(v4(6), "10.3.0.1:8080", "192.0.2.1:40006")},
			{name + "v6 snat port", nat(v6(0), "[fd02::1:1]:80", "[2001:db8::1]:40000")},
			{name + "v6 dnat port", nat(v6(1), "[fd03::1]:8080", fmt.Sprintf("[fd01::1:1]:%d", 2001+10*i))},
			{name + "v6 both", nat(v6(2), "[fd03::1]:8080", "[2001:db8::1]:40002")},
			{name + "v6 source port alone", nat(v6(3), "[fd02::1:1]:80", "[fd01::1:1]:40003")},
		}...)
	}
	ping := func(id uint16) flow.Tuple { return icmp(flow.ICMP, "10.1.1.1:0", "10.2.1.1:0", id, 8, 0) }
	ping6 := func(id uint16) flow.Tuple { return icmp(flow.ICMPv6, "[fd01::1:1]:0", "[fd02::1:1]:0", id, 128, 0) }
	return append(s, []sample{
		{"icmp snat", nat(ping(1), "10.2.1.1:0", "192.0.2.1:1")},
		{"icmp snat id", nat(ping(2), "10.2.1.1:0", "192.0.2.1:777")},
		{"icmp id alone", nat(ping(3), "10.2.1.1:0", "10.1.1.1:778")},
		{"icmp dnat", nat(ping(4), "10.3.0.1:0", "10.1.1.1:4")},
		{"icmp both", nat(ping(5), "10.3.0.1:0", "192.0.2.1:779")},
		{"icmpv6 snat id", nat(ping6(1), "[fd02::1:1]:0", "[2001:db8::1]:777")},
		{"icmpv6 dnat", nat(ping6(2), "[fd03::1]:0", "[fd01::1:1]:2")},
		{"gre snat", nat(tuple(flow.GRE, "10.1.1.1:21", "10.2.1.1:22"), "10.2.1.1:22", "192.0.2.1:21")},
		{"gre snat key", nat(tuple(flow.GRE, "10.1.1.1:23", "10.2.1.1:24"), "10.2.1.1:24", "192.0.2.1:99")},
		{"gre dnat", nat(tuple(flow.GRE, "10.1.1.1:25", "10.2.1.1:26"), "10.3.0.1:26", "10.1.1.1:25")},
		{"esp snat", nat(tuple(50, "10.1.1.1:0", "10.2.1.1:0"), "10.2.1.1:0", "192.0.2.1:0")},
		{"protocol 253 v6 dnat", nat(tuple(253, "[fd01::1:1]:0", "[fd02::1:1]:0"), "[fd03::1]:0", "[fd01::1:1]:0")},
	}...)
}

func attributeSamples() []sample {
	tcp := func(n int) flow.Tuple { return tuple(flow.TCP, fmt.Sprintf("10.1.2.1:%d", 3000+n), "10.2.2.1:21") }
	udp := func(n int) flow.Tuple {
		return tuple(flow.UDP, fmt.Sprintf("[fd01::2:1]:%d", 3000+n), "[fd02::2:1]:69")
	}
	master := plain(tcp(20))
	child := plain(tuple(flow.TCP, "10.2.2.1:20", "10.1.2.1:3999"))
	child.Master, child.Status = master.Orig, child.Status|flow.StatusExpected
	child.Has |= flow.HasMaster
	master6 := zoned(plain(udp(20)), 9, 9)
	child6 := zoned(plain(tuple(flow.UDP, "[fd02::2:1]:20", "[fd01::2:1]:3999")), 9, 9)
	child6.Master, child6.Status = master6.Orig, child6.Status|flow.StatusExpected
	child6.Has |= flow.HasMaster
	return []sample{
		{"mark", with(plain(tcp(0)), func(f *flow.Flow) { f.Mark = 0xfedcba98 })},
		{"same tuple in a zone", zoned(plain(tcp(0)), 7, 7)},
		{"zone 65535 v6", zoned(plain(udp(0)), 65535, 65535)},
		{"zone of the original direction", zoned(plain(tcp(12)), 8, 0)},
		{"zone of the reply direction", zoned(plain(tcp(1)), 0, 8)},
		{"zone of the reply direction v6", zoned(plain(udp(1)), 0, 8)},
		{"zone and nat", zoned(nat(tcp(2), "10.3.2.1:2121", "192.0.2.2:40002"), 7, 7)},
		{"zone of one direction and nat", zoned(nat(tcp(3), "10.3.2.1:2121", "192.0.2.2:40003"), 7, 0)},
		{"labels", with(plain(tcp(4)), func(f *flow.Flow) {
			f.Has |= flow.HasLabels
			f.Labels = [16]byte{0x20, 4: 0x02, 15: 0x80} // 5, 33, 127
		})},
		{"helper", helped(plain(tcp(5)), "ftp")},
		{"helper v6", helped(plain(udp(5)), "tftp")},
		{"helper with nat", helped(nat(tcp(6), "10.2.2.1:21", "192.0.2.2:40006"), "ftp")},
		{"sequence adjustment", with(plain(tcp(7)), func(f *flow.Flow) {
			f.Has |= flow.HasSeqAdj
			f.Status |= flow.StatusSeqAdjust
			f.SeqAdj[0] = flow.SeqAdj{CorrectionPos: 1000, OffsetBefore: 0, OffsetAfter: 11}
			f.SeqAdj[1] = flow.SeqAdj{CorrectionPos: 0xfffffff0, OffsetBefore: 0xffffffff, OffsetAfter: 0x80000000}
		})},
		{"sequence adjustment of zero", with(plain(tcp(8)), func(f *flow.Flow) {
			f.Has |= flow.HasSeqAdj
			f.Status |= flow.StatusSeqAdjust
		})},
		{"synproxy", with(plain(tcp(9)), func(f *flow.Flow) {
			f.Has |= flow.HasSynproxy
			f.Synproxy = flow.Synproxy{ISN: 0x11223344, ITS: 0, TSOff: 0xa1a2a3a4}
		})},
		{"fixed timeout, not assured", with(plain(tcp(10)), func(f *flow.Flow) {
			f.Status = flow.StatusConfirmed | flow.StatusSeenReply | flow.StatusFixedTimeout
		})},
		{"longest timeout", with(plain(tcp(11)), func(f *flow.Flow) { f.Timeout = 1<<31/1000 - 1 })},
		{"master", master},
		{"expected", child},
		{"master in a zone", master6},
		{"expected in a zone", child6},
	}
}
