package transport

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// addresses makes a list as the kernel would give it.
func addresses(flags uint32, cidrs ...string) []rtnetlink.Address {
	var list []rtnetlink.Address
	for _, c := range cidrs {
		p := netip.MustParsePrefix(c)
		list = append(list, rtnetlink.Address{IP: p.Addr(), Prefix: p.Masked(), Flags: flags})
	}
	return list
}

func TestJudge(t *testing.T) {
	list := addresses(0, "10.1.0.1/24", "10.2.0.1/30", "2001:db8::1/64", "fe80::1/64")
	for _, tt := range []struct {
		name, peer, src string
		index           int
		want            Refusal
		from            string
	}{
		{"peer", "10.1.0.2", "10.1.0.2", 7, allowed, ""},
		{"neighbour of the peer", "10.1.0.2", "10.1.0.3", 7, WrongSource, ""},
		{"peer by another interface", "10.1.0.2", "10.1.0.2", 8, WrongInterface, ""},
		{"peer, interface unknown", "10.1.0.2", "10.1.0.2", 0, WrongInterface, ""},
		{"IPv6 peer", "2001:db8::2", "2001:db8::2", 7, allowed, ""},
		{"IPv6 neighbour", "2001:db8::2", "fe80::2", 7, WrongSource, ""},
		{"mapped peer", "10.1.0.2", "::ffff:10.1.0.2", 7, WrongSource, ""},
		{"on link", "", "10.1.0.77", 7, allowed, ""},
		{"on the second link prefix", "", "10.2.0.2", 7, allowed, ""},
		{"past the second link prefix", "", "10.2.0.4", 7, WrongSource, ""},
		{"off link", "", "192.0.2.1", 7, WrongSource, ""},
		{"on link by another interface", "", "10.1.0.77", 8, WrongInterface, ""},
		{"ourselves", "", "10.1.0.1", 7, Looped, ""},
		{"ourselves by another interface", "", "10.1.0.1", 8, WrongInterface, ""},
		{"IPv6 on link", "", "2001:db8::2", 7, allowed, ""},
		{"IPv6 off link", "", "2001:db8:1::2", 7, WrongSource, ""},
		{"IPv6 link-local", "", "fe80::2", 7, allowed, ""},
		{"IPv6 link-local ourselves", "", "fe80::1", 7, Looped, ""},
		{"IPv4 link-local without such a prefix", "", "169.254.0.1", 7, WrongSource, ""},
		{"named on the group", "", "10.1.0.77", 7, allowed, "10.1.0.77"},
		{"another one on the group", "", "10.1.0.78", 7, WrongSource, "10.1.0.77"},
		{"named, in no network of the interface", "", "192.0.2.1", 7, allowed, "192.0.2.1"},
		{"ourselves, with another one named", "", "10.1.0.1", 7, Looped, "10.1.0.77"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &Config{Peer: addr(tt.peer), From: addr(tt.from)}
			if got := newSources(7, cfg, list).judge(addr(tt.src), tt.index); got != tt.want {
				t.Errorf("verdict %d, want %d", got, tt.want)
			}
		})
	}
}

func TestBestLocal(t *testing.T) {
	join := func(lists ...[]rtnetlink.Address) (all []rtnetlink.Address) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for _, tt := range []struct {
		name, remote, want string
		list               []rtnetlink.Address
	}{
		{"none", "10.0.0.2", "", nil},
		{"other family only", "10.0.0.2", "", addresses(0, "2001:db8::1/64")},
		{"connected prefix first", "10.2.0.2", "10.2.0.1", addresses(0, "10.1.0.1/24", "10.2.0.1/24")},
		{"routed peer", "192.0.2.9", "10.1.0.1", addresses(0, "10.1.0.1/24", "10.2.0.1/24")},
		{"virtual address is not chosen", "192.0.2.9", "10.1.0.1", addresses(0, "10.1.0.100/32", "10.1.0.1/24")},
		{
			"secondary address is not chosen", "10.1.0.2", "10.1.0.1",
			join(addresses(unix.IFA_F_SECONDARY, "10.1.0.100/24"), addresses(0, "10.1.0.1/24")),
		},
		{
			"connected secondary before a primary elsewhere", "10.1.0.2", "10.1.0.1",
			join(addresses(0, "10.9.0.1/24"), addresses(unix.IFA_F_SECONDARY, "10.1.0.1/24")),
		},
		{
			"a known virtual address before the own one", "10.1.0.2", "10.1.0.1",
			join(addresses(0, "10.1.0.77/24"), addresses(unix.IFA_F_SECONDARY, "10.1.0.1/24")),
		},
		{
			"the same for a group", "225.0.0.50", "10.1.0.1",
			join(addresses(0, "10.1.0.77/24"), addresses(unix.IFA_F_SECONDARY, "10.1.0.1/24")),
		},
		{"a known virtual address in IPv6", "2001:db8::2", "2001:db8::1", addresses(0, "2001:db8::77/64", "2001:db8::1/64")},
		{"a known virtual address that alone reaches the peer", "10.1.0.2", "10.1.0.77", addresses(0, "10.9.0.1/24", "10.1.0.77/24")},
		{"virtual address better than none", "192.0.2.9", "10.1.0.100", addresses(0, "10.1.0.100/32")},
		{"global peer", "2001:db8::2", "2001:db8::1", addresses(0, "fe80::1/64", "2001:db8::1/64")},
		{"link-local peer", "fe80::2", "fe80::1", addresses(0, "2001:db8::1/64", "fe80::1/64")},
		{"link-local does not serve a global peer", "2001:db8::2", "", addresses(0, "fe80::1/64")},
		{"tentative is of no use yet", "2001:db8::2", "", addresses(unix.IFA_F_TENTATIVE, "2001:db8::1/64")},
		{"duplicate is of no use", "2001:db8::2", "", addresses(unix.IFA_F_DADFAILED, "2001:db8::1/64")},
		{"point to point", "10.0.0.2", "10.0.0.1", []rtnetlink.Address{
			{IP: addr("10.5.0.1"), Prefix: netip.MustParsePrefix("10.5.0.0/24")},
			{IP: addr("10.0.0.1"), Prefix: netip.MustParsePrefix("10.0.0.2/32")},
		}},
		{"group", "225.0.0.50", "10.1.0.1", addresses(0, "10.1.0.100/32", "10.1.0.1/24")},
		{"link-local group", "ff02::c7", "fe80::1", addresses(0, "2001:db8::1/64", "fe80::1/64")},
		{"link-local group, no link-local address", "ff02::c7", "2001:db8::1", addresses(0, "2001:db8::1/64")},
		{"wider group", "ff15::c7", "2001:db8::1", addresses(0, "fe80::1/64", "2001:db8::1/128")},
		{"wider group, link-local address only", "ff15::c7", "fe80::1", addresses(0, "fe80::1/64")},
		{"group of the other family", "225.0.0.50", "", addresses(0, "fe80::1/64")},
		{"group, tentative address", "ff02::c7", "", addresses(unix.IFA_F_TENTATIVE, "fe80::1/64")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual := []netip.Addr{addr("10.1.0.77"), addr("2001:db8::77")}
			if got := bestLocal(tt.list, addr(tt.remote), virtual); got != addr(tt.want) {
				t.Errorf("chose %v, want %q", got, tt.want)
			}
		})
	}
}
