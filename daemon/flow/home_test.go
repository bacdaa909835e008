package flow

import (
	"net/netip"
	"testing"
)

func TestForeign(t *testing.T) {
	prefix := netip.MustParsePrefix
	h := NewHome(
		[]netip.Prefix{
			prefix("203.0.113.3/32"), prefix("203.0.113.1/32"), prefix("203.0.113.16/28"), prefix("2001:db8::3/128"), {},
		},
		[]Network{{prefix("203.0.113.0/24"), "wan0"}, {prefix("203.0.113.128/25"), "wan1"}, {prefix("2001:db8::/64"), "wan0"},
			{prefix("192.0.2.2/32"), "ppp0"}},
	)
	for _, c := range []struct{ from, to, device string }{
		{"10.0.0.1", "203.0.113.1", ""},     // virtual
		{"10.0.0.1", "203.0.113.3", ""},     // own
		{"10.0.0.1", "203.0.113.20", ""},    // a route of type local, or proxied
		{"10.0.0.1", "203.0.113.2", "wan0"}, // the other router's
		{"10.0.0.1", "203.0.113.200", "wan1"},
		{"10.0.0.1", "198.51.100.2", ""},       // of a network that is not here
		{"10.0.0.1", "192.0.2.2", ""},          // a network of one address
		{"203.0.113.50", "203.0.113.50", ""},   // not translated
		{"fd00::1", "2001:db8::2", "wan0"},     // IPv6
		{"fd00::1", "2001:db8::3", ""},         // its own
		{"fd00::1", "2001:db8:0:1::2", ""},     // elsewhere
		{"2001:db8::2", "2001:db8::2", ""},     // not translated
		{"10.0.0.1", "203.0.113.255", "wan1"},  // the last one
		{"10.0.0.1", "203.0.113.127", "wan0"},  // before wan1's
		{"10.0.0.1", "203.0.113.32", "wan0"},   // behind the range
		{"10.0.0.1", "203.0.113.15", "wan0"},   // before it
		{"203.0.113.9", "203.0.113.2", "wan0"}, // hairpin
	} {
		src, dst := netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)
		f := Flow{Orig: Tuple{Family: IPv4, Proto: UDP, Src: AddrFrom(src), SrcPort: 1, DstPort: 53}, Has: HasReply}
		if src.Is6() {
			f.Orig.Family = IPv6
		}
		f.Reply = f.Orig.Inverse()
		f.Reply.Dst = AddrFrom(dst)
		at, device, foreign := h.Foreign(&f)
		if device != c.device || foreign != (device != "") || foreign && at != AddrFrom(dst) {
			t.Errorf("%s to %s: %v %q %v, want %q", c.from, c.to, at, device, foreign, c.device)
		}
		if _, _, foreign := new(Home).Foreign(&f); foreign {
			t.Errorf("%s to %s: foreign to a router that knows no network", c.from, c.to)
		}
		f.Has = 0
		if _, _, foreign := h.Foreign(&f); foreign {
			t.Errorf("%s to %s: foreign without a reply tuple", c.from, c.to)
		}
	}
}
