package flow

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func origTuple(p Proto, src, dst string) Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	t := Tuple{
		Family: IPv4, Proto: p, Src: AddrFrom(s.Addr()), Dst: AddrFrom(d.Addr()), SrcPort: s.Port(), DstPort: d.Port(),
	}
	if s.Addr().Is6() {
		t.Family = IPv6
	}
	return t
}

func TestFilter(t *testing.T) {
	endpoints := []Endpoint{
		{UDP, netip.MustParseAddrPort("198.51.100.2:3780")}, {UDP, netip.MustParseAddrPort("[fe80::2%eth0]:3780")},
		{ICMP, netip.MustParseAddrPort("198.51.100.2:2048")},
	}
	for _, tc := range []struct {
		name     string
		rules    Rules
		proto    Proto
		src, dst string
		pass     bool
	}{
		{"nothing filtered", Rules{}, 253, "10.0.0.1:0", "10.0.0.2:0", true},
		{"protocol accepted", Rules{Accept: []Proto{TCP, UDP}}, UDP, "10.0.0.1:1", "10.0.0.2:2", true},
		{"protocol accepted v6", Rules{Accept: []Proto{TCP, UDP}}, TCP, "[fd00::1]:1", "[fd00::2]:2", true},
		{"protocol not accepted", Rules{Accept: []Proto{TCP, UDP}}, ICMP, "10.0.0.1:1", "10.0.0.2:2", false},
		{"icmp is not icmp6", Rules{Accept: []Proto{ICMP}}, ICMPv6, "[fd00::1]:1", "[fd00::2]:2", false},
		{"highest protocol", Rules{Accept: []Proto{255}}, 255, "10.0.0.1:0", "10.0.0.2:0", true},
		{"protocol 0", Rules{Accept: []Proto{TCP}}, 0, "10.0.0.1:0", "10.0.0.2:0", false},
		{"source", Rules{Ignore: prefixes("192.0.2.1/32")}, TCP, "192.0.2.1:1", "10.0.0.2:2", false},
		{"destination", Rules{Ignore: prefixes("192.0.2.1/32")}, TCP, "10.0.0.2:1", "192.0.2.1:2", false},
		{"neighbours below", Rules{Ignore: prefixes("192.0.2.1/32")}, TCP, "192.0.2.0:1", "192.0.2.0:2", true},
		{"neighbours above", Rules{Ignore: prefixes("192.0.2.1/32")}, TCP, "192.0.2.2:1", "192.0.2.2:2", true},
		{"first of a network", Rules{Ignore: prefixes("192.0.2.0/24")}, TCP, "192.0.2.0:1", "10.0.0.2:2", false},
		{"last of a network", Rules{Ignore: prefixes("192.0.2.0/24")}, TCP, "192.0.2.255:1", "10.0.0.2:2", false},
		{"behind a network", Rules{Ignore: prefixes("192.0.2.0/24")}, TCP, "192.0.3.0:1", "10.0.0.2:2", true},
		{"host bits in a network", Rules{Ignore: prefixes("192.0.2.99/24")}, TCP, "192.0.2.0:1", "10.0.0.2:2", false},
		{"all of IPv4", Rules{Ignore: prefixes("0.0.0.0/0")}, TCP, "255.255.255.255:1", "10.0.0.2:2", false},
		{"all of IPv4, an IPv6 flow", Rules{Ignore: prefixes("0.0.0.0/0")}, TCP, "[::]:1", "[fd00::2]:2", true},
		{"all of IPv6", Rules{Ignore: prefixes("::/0")}, TCP, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1", "[fd00::2]:2", false},
		{"all of IPv6, an IPv4 flow", Rules{Ignore: prefixes("::/0")}, TCP, "0.0.0.0:1", "10.0.0.2:2", true},
		{"IPv6 address", Rules{Ignore: prefixes("2001:db8::1/128")}, TCP, "[2001:db8::1]:1", "[fd00::2]:2", false},
		{"IPv6 network", Rules{Ignore: prefixes("2001:db8:0:8000::/49")}, TCP, "[fd00::1]:1", "[2001:db8:0:ffff:ffff:ffff:ffff:ffff]:2", false},
		{"beside an IPv6 network", Rules{Ignore: prefixes("2001:db8:0:8000::/49")}, TCP, "[fd00::1]:1", "[2001:db8:0:7fff:ffff:ffff:ffff:ffff]:2", true},
		{"IPv6 with the bytes of an IPv4 address", Rules{Ignore: prefixes("32.1.13.184/32")}, TCP, "[2001:db8::]:1", "[fd00::2]:2", true},
		{"IPv4-mapped network", Rules{Ignore: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)}}, TCP, "192.0.2.1:1", "10.0.0.2:2", true},
		{"zero prefix", Rules{Ignore: make([]netip.Prefix, 1)}, TCP, "0.0.0.0:1", "10.0.0.2:2", true},
		{"endpoint", Rules{Endpoints: endpoints}, UDP, "198.51.100.1:3780", "198.51.100.2:3780", false},
		{"endpoint with a zone", Rules{Endpoints: endpoints}, UDP, "[fe80::1]:9", "[fe80::2]:3780", false},
		{"endpoint, other port", Rules{Endpoints: endpoints}, UDP, "198.51.100.1:3780", "198.51.100.2:3781", true},
		{"endpoint, other protocol", Rules{Endpoints: endpoints}, TCP, "198.51.100.1:3780", "198.51.100.2:3780", true},
		{"endpoint as source", Rules{Endpoints: endpoints}, UDP, "198.51.100.2:3780", "198.51.100.1:3780", true},
		{"endpoint without ports", Rules{Endpoints: endpoints}, ICMP, "198.51.100.1:1", "198.51.100.2:2048", true},
	} {
		f := NewFilter(tc.rules)
		orig := origTuple(tc.proto, tc.src, tc.dst)
		if got := f.PassOrig(&orig); got != tc.pass {
			t.Errorf("%s: Pass = %v, want %v", tc.name, got, tc.pass)
		}
	}
}

// Prefixes that overlap, touch or come twice are one range; those that do not stay apart.
func TestFilterRanges(t *testing.T) {
	f := NewFilter(Rules{Ignore: prefixes("10.0.0.128/25", "10.0.0.0/25", "10.0.0.7/32", "10.0.1.0/32", "10.0.1.2/32",
		"255.255.255.255/32", "0.0.0.0/32", "::/64", "0:0:0:1::/64", "fd00::1/128", "fd00::1/128")})
	text := func(family Family) (list []string) {
		for _, r := range f.Ignored(family, OrigDst) {
			list = append(list, fmt.Sprintf("%v-%v", r.First().IP(family), r.Last().IP(family)))
		}
		return list
	}
	want := []string{"0.0.0.0-0.0.0.0", "10.0.0.0-10.0.1.0", "10.0.1.2-10.0.1.2", "255.255.255.255-255.255.255.255"}
	if diff := cmp.Diff(want, text(IPv4)); diff != "" {
		t.Errorf("IPv4 (-want +got)\n%s", diff)
	}
	want = []string{"::-::1:ffff:ffff:ffff:ffff", "fd00::1-fd00::1"}
	if diff := cmp.Diff(want, text(IPv6)); diff != "" {
		t.Errorf("IPv6 (-want +got)\n%s", diff)
	}
}

func TestFilterEqual(t *testing.T) {
	a := NewFilter(Rules{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8")})
	same := NewFilter(Rules{
		Accept: []Proto{UDP, TCP, TCP}, Ignore: prefixes("fd00::/8", "10.0.0.0/25", "10.0.0.128/25"),
	})
	if !a.Equal(&same) {
		t.Error("the same filter, said otherwise, is another")
	}
	for _, r := range []Rules{
		{},
		{Accept: []Proto{TCP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8")},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/9")},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8"), Status: StatusAssured},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8"), TCPStates: []uint8{TCPClose}},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8"), AcceptAt: []Place{{prefixes("10.1.0.0/16")[0], OrigSrc}}},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8"), IgnoreAt: []Place{{prefixes("10.1.0.0/16")[0], ReplySrc}}},
		{Accept: []Proto{TCP, UDP}, Ignore: prefixes("10.0.0.0/24", "fd00::/8"), Endpoints: []Endpoint{{UDP, netip.MustParseAddrPort("10.0.0.1:1")}}},
	} {
		if b := NewFilter(r); a.Equal(&b) {
			t.Errorf("%+v is equal", r)
		}
	}
	protocols := NewFilter(Rules{Accept: []Proto{TCP, UDP}})
	if p := a.WithoutAddresses(); !p.Equal(&protocols) {
		t.Errorf("without addresses: %+v", p)
	}
}

// TestFilterProperty compares a filter with the plain reading of its rules. Few bits vary, so that prefixes overlap and
// flows hit them.
func TestFilterProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := func(label string) netip.Addr {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0x7f, 0x80, 0xff}), 16, 16).Draw(t, label)
			if rapid.Bool().Draw(t, label+" is IPv4") {
				return netip.AddrFrom4([4]byte(b))
			}
			return netip.AddrFrom16([16]byte(b))
		}
		protocols := []Proto{0, ICMP, TCP, UDP, ICMPv6, SCTP, 255}
		r := Rules{Accept: rapid.SliceOfN(rapid.SampledFrom(protocols), 0, 3).Draw(t, "accept")}
		for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
			a := addr("prefix")
			r.Ignore = append(r.Ignore, netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")))
		}
		f := NewFilter(r)
		src, dst := addr("src"), addr("dst")
		if src.BitLen() != dst.BitLen() {
			dst = src
		}
		if len(r.Ignore) > 0 && rapid.Bool().Draw(t, "hit") {
			if p := r.Ignore[0]; p.Addr().BitLen() == src.BitLen() {
				src = p.Masked().Addr()
			}
		}
		orig := Tuple{
			Family: IPv4, Proto: rapid.SampledFrom(protocols).Draw(t, "proto"), Src: AddrFrom(src), Dst: AddrFrom(dst),
		}
		if src.Is6() {
			orig.Family = IPv6
		}
		want := len(r.Accept) == 0
		for _, p := range r.Accept {
			want = want || p == orig.Proto
		}
		for _, p := range r.Ignore {
			want = want && !p.Contains(src) && !p.Contains(dst)
		}
		if got := f.PassOrig(&orig); got != want {
			t.Fatalf("Pass = %v, want %v: %+v, %v > %v", got, want, r, src, dst)
		}
	})
}

// dozens is what a large configuration has: a few dozen prefixes of each family.
func dozens() Filter {
	r := Rules{
		Accept:    []Proto{TCP, UDP, ICMP, ICMPv6},
		Endpoints: []Endpoint{{UDP, netip.MustParseAddrPort("198.51.100.2:3780")}},
	}
	for i := range 48 {
		r.Ignore = append(r.Ignore,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(2 * i), 0}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(2 * i)}), 48))
	}
	return NewFilter(r)
}

// passing is a TCP flow as the kernel reports it.
func passing(src, dst string) Flow {
	f := Flow{
		Orig: origTuple(TCP, src, dst), Has: HasReply | HasStatus | HasTCPState, TCPState: TCPEstablished,
		Status: StatusSeenReply | StatusAssured | StatusConfirmed,
	}
	f.Reply = f.Orig.Inverse()
	return f
}

// TestFilterSides: an address counts on the sides that a rule names.
func TestFilterSides(t *testing.T) {
	f := passing("10.0.0.1:1", "203.0.113.1:80") // by destination NAT to 10.9.0.1, by source NAT from 198.51.100.1
	f.Reply.Src, f.Reply.Dst = AddrFrom(netip.MustParseAddr("10.9.0.1")), AddrFrom(netip.MustParseAddr("198.51.100.1"))
	bare := f
	bare.Has &^= HasReply
	bare.Reply = Tuple{}
	for _, tt := range []struct {
		addr    string
		sides   Sides
		matches bool
	}{
		{"10.0.0.1/32", OrigSrc, true},
		{"10.0.0.1/32", OrigDst | ReplySides, false},
		{"203.0.113.1/32", OrigDst, true},
		{"203.0.113.1/32", OrigSides, true},
		{"203.0.113.1/32", OrigSrc | ReplySides, false},
		{"10.9.0.0/16", ReplySrc, true},
		{"10.9.0.0/16", OrigSides | ReplyDst, false},
		{"198.51.100.0/24", ReplyDst, true},
		{"198.51.100.0/24", OrigSides | ReplySrc, false},
		{"fd00::/8", OrigSides | ReplySides, false},
	} {
		place := []Place{{netip.MustParsePrefix(tt.addr), tt.sides}}
		ignore, accept := NewFilter(Rules{IgnoreAt: place}), NewFilter(Rules{AcceptAt: place})
		if got := ignore.Pass(&f); got == tt.matches {
			t.Errorf("ignore %s at %b: passes %v", tt.addr, tt.sides, got)
		}
		if got := accept.Pass(&f); got != tt.matches {
			t.Errorf("accept %s at %b: passes %v", tt.addr, tt.sides, got)
		}
		// What a flow does not say does not count against it.
		if !ignore.Pass(&bare) && tt.sides&OrigSides == 0 {
			t.Errorf("ignore %s at %b: a flow without a reply tuple does not pass", tt.addr, tt.sides)
		}
		if got := accept.Pass(&bare); got != (tt.matches || tt.sides&ReplySides != 0) {
			t.Errorf("accept %s at %b: a flow without a reply tuple passes: %v", tt.addr, tt.sides, got)
		}
	}
	six := passing("[fd00::1]:1", "[fd00::2]:2")
	if four := NewFilter(Rules{AcceptAt: []Place{{netip.MustParsePrefix("0.0.0.0/0"), OrigSides}}}); four.Pass(&six) {
		t.Error("an IPv6 flow has an accepted IPv4 address")
	}
}

// TestFilterStates: TCP state and status decide about a flow as it is now, and not about what says nothing of them.
func TestFilterStates(t *testing.T) {
	tcp, udp := passing("10.0.0.1:1", "10.0.0.2:2"), passing("10.0.0.1:1", "10.0.0.2:2")
	udp.Orig.Proto, udp.Reply.Proto, udp.Has = UDP, UDP, udp.Has&^HasTCPState
	halfOpen, silent := tcp, tcp
	halfOpen.TCPState, halfOpen.Status = TCPSynRecv, StatusSeenReply|StatusConfirmed
	silent.Has &^= HasTCPState | HasStatus
	for _, tt := range []struct {
		name      string
		rules     Rules
		f         Flow
		pass      bool
		tuples    bool
		judges    bool
		notVaries bool
	}{
		{"no rules", Rules{}, silent, true, true, true, true},
		{"state", Rules{TCPStates: []uint8{TCPEstablished, TCPClose}}, tcp, true, true, true, false},
		{"other state", Rules{TCPStates: []uint8{TCPEstablished}}, halfOpen, false, true, true, false},
		{"no state known", Rules{TCPStates: []uint8{TCPEstablished}}, silent, true, true, false, false},
		{"a state that no kernel has", Rules{TCPStates: []uint8{TCPEstablished}}, Flow{Orig: tcp.Orig, Has: HasTCPState, TCPState: 200}, false, true, true, false},
		{"state of UDP", Rules{TCPStates: []uint8{TCPEstablished}}, udp, true, true, true, false},
		{"assured", Rules{Status: StatusAssured}, tcp, true, true, true, false},
		{"not assured", Rules{Status: StatusAssured}, halfOpen, false, true, true, false},
		{"replied", Rules{Status: StatusSeenReply}, halfOpen, true, true, true, false},
		{"replied and assured", Rules{Status: StatusSeenReply | StatusAssured}, halfOpen, false, true, true, false},
		{"no status known", Rules{Status: StatusAssured}, silent, true, true, false, false},
		{"ignored protocol", Rules{IgnoreProto: []Proto{TCP}}, tcp, false, false, true, true},
		{"other ignored protocol", Rules{IgnoreProto: []Proto{IGMP, VRRP, 255}}, tcp, true, true, true, true},
	} {
		f := NewFilter(tt.rules)
		if got := f.Pass(&tt.f); got != tt.pass {
			t.Errorf("%s: Pass = %v", tt.name, got)
		}
		if got := f.PassTuples(&tt.f); got != tt.tuples {
			t.Errorf("%s: PassTuples = %v", tt.name, got)
		}
		if got := f.Judges(&tt.f); got != tt.judges {
			t.Errorf("%s: Judges = %v", tt.name, got)
		}
		if got := f.Varies(); got == tt.notVaries {
			t.Errorf("%s: Varies = %v", tt.name, got)
		}
	}
}

// whole is a filter with everything that a configuration can ask for.
func whole() Filter {
	return NewFilter(Rules{
		IgnoreProto: []Proto{IGMP, VRRP}, Ignore: prefixes("172.16.0.0/24", "2001:db8::/48"), Status: StatusAssured,
		TCPStates: []uint8{TCPEstablished, TCPCloseWait},
		IgnoreAt:  []Place{{netip.MustParsePrefix("192.0.2.0/24"), ReplySides}},
		AcceptAt:  []Place{{netip.MustParsePrefix("10.0.0.0/8"), OrigSides}, {netip.MustParsePrefix("fd00::/8"), ReplySrc}},
	})
}

func TestFilterDoesNotAllocate(t *testing.T) {
	v4, v6 := passing("10.0.0.1:1", "198.51.100.3:3780"), passing("[fd00::1]:1", "[2001:db8::1]:2")
	for _, f := range []Filter{dozens(), whole()} {
		if n := testing.AllocsPerRun(100, func() {
			if !f.Pass(&v4) || f.Pass(&v6) {
				t.Fatal("wrong answer")
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	dozens, whole := dozens(), whole()
	for _, tc := range []struct {
		name   string
		filter *Filter
		f      Flow
	}{
		{"ipv4", &dozens, passing("10.1.0.1:1", "10.2.0.1:443")},
		{"ipv6", &dozens, passing("[fd01::1]:1", "[fd02::1]:443")},
		{"whole", &whole, passing("10.1.0.1:1", "10.2.0.1:443")},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !tc.filter.Pass(&tc.f) {
					b.Fatal("does not pass")
				}
			}
		})
	}
}
