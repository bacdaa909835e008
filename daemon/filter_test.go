package daemon

import (
	"net/netip"
	"testing"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
)

// between is the tuple of a flow between two "address:port".
func between(proto flow.Proto, src, dst string) flow.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	t := flow.Tuple{
		Family: flow.IPv4, Proto: proto, Src: flow.AddrFrom(s.Addr()), Dst: flow.AddrFrom(d.Addr()),
		SrcPort: s.Port(), DstPort: d.Port(),
	}
	if s.Addr().Is6() {
		t.Family = flow.IPv6
	}
	return t
}

func TestNewFilter(t *testing.T) {
	unicast := config.Default()
	unicast.McastGroup = netip.Addr{}
	unicast.Interfaces = []config.Interface{
		{Name: "sync0", Port: 3780, Peer: netip.MustParseAddr("10.255.0.2")},
		{Name: "sync1", Port: 3781, Peer: netip.MustParseAddr("10.254.0.2")},
	}
	unicast.IgnoreAddress = []flow.Place{
		{Net: netip.MustParsePrefix("192.0.2.0/24"), Sides: flow.OrigSides},
		{Net: netip.MustParsePrefix("2001:db8::1/128"), Sides: flow.OrigSides},
	}
	protocols := config.Default()
	protocols.Interfaces = []config.Interface{{Name: "sync0", Port: 3780}, {Name: "sync1", Port: 3781}}
	protocols.AcceptProtocol = []flow.Proto{flow.TCP, flow.ICMPv6}
	local := map[string]netip.Addr{
		"sync0": netip.MustParseAddr("10.255.0.1"), "sync1": netip.MustParseAddr("10.254.0.1"),
		"gone0": netip.MustParseAddr("10.253.0.1"),
	}
	own := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::2")}
	for _, tt := range []struct {
		name     string
		cfg      *config.Config
		proto    flow.Proto
		src, dst string
		want     bool
	}{
		{"sync channel to the peer", unicast, flow.UDP, "10.255.0.1:5", "10.255.0.2:3780", false},
		{"sync channel to us", unicast, flow.UDP, "10.255.0.2:5", "10.255.0.1:3780", false},
		{"second link to the peer", unicast, flow.UDP, "10.254.0.1:5", "10.254.0.2:3781", false},
		{"second link to us", unicast, flow.UDP, "10.254.0.2:5", "10.254.0.1:3781", false},
		{"second link, port of the first", unicast, flow.UDP, "10.254.0.1:5", "10.254.0.2:3780", true},
		{"link that is no longer configured", unicast, flow.UDP, "10.253.0.2:5", "10.253.0.1:3780", true},
		{"second link to the group", protocols, flow.UDP, "10.254.0.1:5", "225.0.0.50:3781", false},
		{"sync channel's port elsewhere", unicast, flow.UDP, "10.255.0.1:5", "10.255.0.3:3780", true},
		{"sync channel, other protocol", unicast, flow.TCP, "10.255.0.1:5", "10.255.0.2:3780", true},
		{"sync channel to the group", protocols, flow.UDP, "10.255.0.1:5", "225.0.0.50:3780", false},
		{"loopback", unicast, flow.TCP, "127.0.0.1:5", "127.0.0.1:80", false},
		{"loopback v6", unicast, flow.TCP, "[::1]:5", "[::1]:80", false},
		{"beside it", unicast, flow.TCP, "[fd00::1]:5", "[::2]:80", true},
		{"ignored source", unicast, flow.TCP, "192.0.2.9:5", "10.0.0.1:80", false},
		{"ignored destination", unicast, flow.TCP, "[fd00::1]:5", "[2001:db8::1]:80", false},
		{"own destination", unicast, flow.TCP, "10.0.0.1:5", "203.0.113.1:80", false},
		{"own source v6", unicast, flow.TCP, "[2001:db8::2]:5", "[fd00::1]:80", false},
		{"protocol", protocols, flow.TCP, "10.0.0.1:5", "10.0.0.2:80", true},
		{"other protocol", protocols, flow.SCTP, "10.0.0.1:5", "10.0.0.2:80", false},
	} {
		f := newFilter(tt.cfg, local, own)
		orig := between(tt.proto, tt.src, tt.dst)
		if got := f.PassOrig(&orig); got != tt.want {
			t.Errorf("%s: Pass = %v, want %v", tt.name, got, tt.want)
		}
	}
}
