package wire

import (
	"testing"

	"ctsync/daemon/flow"
)

// between returns a flow of a protocol between two addresses, and its tuple with ports.
func between(family flow.Family, proto flow.Proto, zone uint16, sport, dport uint16) flow.Flow {
	f := flow.Flow{Has: flow.HasReply}
	f.Orig = flow.Tuple{Family: family, Proto: proto, Zone: zone, SrcPort: sport, DstPort: dport}
	f.Orig.Src[0], f.Orig.Dst[0] = 1, 2
	f.Orig.Invert(&f.Reply)
	return f
}

func TestFlowLack(t *testing.T) {
	oneWay := between(flow.IPv4, flow.TCP, 3, 1000, 80)
	oneWay.Reply.Zone = 0
	oneWayGRE := between(flow.IPv4, flow.GRE, 3, 1, 2)
	oneWayGRE.Reply.Zone = 0
	for _, tt := range []struct {
		name    string
		f       flow.Flow
		want    Lack
		lacking bool
	}{
		{"TCP", between(flow.IPv4, flow.TCP, 0, 1000, 80), 0, false},
		{"in a zone", between(flow.IPv4, flow.TCP, 3, 1000, 80), 0, false},
		{"in a zone for one direction", oneWay, LackZone, true},
		{"GRE", between(flow.IPv4, flow.GRE, 0, 0, 7), LackGRE, true},
		{"the zone comes first, for it forbids sending", oneWayGRE, LackZone, true},
		{"UDP-Lite", between(flow.IPv6, flow.UDPLite, 0, 1000, 80), LackUDPLite, true},
	} {
		if l, lacking := FlowLack(&tt.f); l != tt.want || lacking != tt.lacking {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, l, lacking, tt.want, tt.lacking)
		}
	}
}

func TestExpectationLack(t *testing.T) {
	expect := func(family flow.Family, zone uint16, nat flow.Tuple) flow.Expectation {
		e := flow.Expectation{Expect: flow.Tuple{Family: family, Proto: flow.TCP, Zone: zone}}
		if nat.Family != 0 {
			e.NAT, e.Has = nat, flow.HasNAT
		}
		return e
	}
	for _, tt := range []struct {
		name    string
		e       flow.Expectation
		want    Lack
		lacking bool
	}{
		{"plain", expect(flow.IPv6, 0, flow.Tuple{}), 0, false},
		{"in a zone", expect(flow.IPv4, 1, flow.Tuple{}), LackExpectZone, true},
		{"IPv4 address", expect(flow.IPv4, 0, flow.Tuple{Family: flow.IPv4, Src: flow.Addr{10}}), 0, false},
		{"IPv6 port alone", expect(flow.IPv6, 0, flow.Tuple{Family: flow.IPv6, SrcPort: 9}), 0, false},
		{"IPv6 source", expect(flow.IPv6, 0, flow.Tuple{Family: flow.IPv6, Src: flow.Addr{0xfd}}), LackExpectNAT, true},
		{"IPv6 destination", expect(flow.IPv6, 0, flow.Tuple{Family: flow.IPv6, Dst: flow.Addr{0xfd}}),
			LackExpectNAT, true},
	} {
		if l, lacking := ExpectationLack(&tt.e); l != tt.want || lacking != tt.lacking {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, l, lacking, tt.want, tt.lacking)
		}
	}
}

// What the sender counts as lost beyond repair, the receiver finds out from what arrives.
func TestUncarriedArrives(t *testing.T) {
	for _, tt := range []struct {
		f    flow.Flow
		want string
	}{
		{between(flow.IPv4, flow.TCP, 0, 1000, 80), ""},
		{between(flow.IPv4, flow.GRE, 0, 3, 7), "GRE keys not carried by protocol v1"},
		{between(flow.IPv6, flow.UDPLite, 0, 1000, 80), "UDP-Lite ports not carried by protocol v1"},
	} {
		if why := Uncarried(&tt.f); why != "" {
			t.Errorf("%v as the kernel has it: %q", tt.f.Orig.Proto, why)
		}
		_, body, _, _ := Next(AppendFlow(nil, CTNew, 0, 1, &tt.f))
		var f flow.Flow
		if _, err := ParseFlow(body, &f); err != nil {
			t.Fatal(err)
		}
		if why := Uncarried(&f); why != tt.want {
			t.Errorf("%v as it arrives: %q, want %q", tt.f.Orig.Proto, why, tt.want)
		}
	}
}

func TestExpectUncarried(t *testing.T) {
	named := func(has flow.Attr, family flow.Family, helper string, dir uint32) flow.Expectation {
		e := flow.Expectation{Has: has, Expect: flow.Tuple{Family: family}, NATDir: dir}
		copy(e.Helper[:], helper)
		return e
	}
	const masked, translated = flow.HasMask, flow.HasMask | flow.HasNAT
	for _, tt := range []struct {
		name string
		e    flow.Expectation
		want string
	}{
		{"plain", named(masked, flow.IPv6, "sip", 0), ""},
		{"FTP over IPv6 translates ports", named(translated, flow.IPv6, "ftp", 1), ""},
		{"SIP over IPv4", named(translated, flow.IPv4, "sip-5060", 1), ""},
		{"SIP over IPv6", named(translated, flow.IPv6, "sip-5060", 1),
			"address translation of IPv6 expectations not carried by protocol v1"},
		{"no such direction", named(translated, flow.IPv4, "ftp", 2),
			"direction of the translation is neither original nor reply"},
		{"no translation, no direction", named(masked, flow.IPv4, "ftp", 2), ""},
		{"no mask", named(0, flow.IPv4, "ftp", 0), "no mask"},
	} {
		if got := ExpectUncarried(&tt.e); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLackNames(t *testing.T) {
	seen := map[string]bool{}
	for l := range Lack(NumLacks) {
		if seen[l.String()] || l.String() == "unknown" {
			t.Errorf("%d is called %q", l, l)
		}
		seen[l.String()] = true
	}
	if Lack(NumLacks).String() != "unknown" {
		t.Errorf("%d is called %q", NumLacks, Lack(NumLacks))
	}
}
