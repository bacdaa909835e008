package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"ctsync/daemon/flow"
)

// acceptable are the protocols of accept-protocol under VyOS's names. The first name of a protocol is the one to show.
var acceptable = []struct {
	name  string
	proto flow.Proto
}{
	{"tcp", flow.TCP}, {"udp", flow.UDP}, {"icmp", flow.ICMP}, {"icmp6", flow.ICMPv6}, {"ipv6-icmp", flow.ICMPv6},
	{"sctp", flow.SCTP}, {"dccp", flow.DCCP},
}

// ownWord in ignore-address means the addresses of the router itself.
const ownWord = "own"

func protocolName(p flow.Proto) string {
	for _, a := range acceptable {
		if a.proto == p {
			return a.name
		}
	}
	return p.String()
}

func (p *parser) acceptProtocol(n *node) {
	items, _ := p.list(n, "tcp")
	var list []flow.Proto
	for _, item := range items {
		if item.kind != unstable.String {
			p.problem(item.valueAt, "accept-protocol wants the name of a protocol in quotes, not %s", item)
			continue
		}
		known := false
		for _, a := range acceptable {
			if known = a.name == item.text; known {
				list = append(list, a.proto)
				break
			}
		}
		if !known {
			p.problem(item.valueAt, "accept-protocol = %s is none of %s", quote(item.text), acceptableNames())
		}
	}
	slices.Sort(list)
	p.cfg.AcceptProtocol = slices.Compact(list)
}

func acceptableNames() string {
	var names []string
	for _, a := range acceptable {
		names = append(names, a.name)
	}
	return strings.Join(names, ", ")
}

func (p *parser) ignoreAddress(n *node) {
	items, _ := p.list(n, "192.0.2.0/24")
	for _, item := range items {
		switch {
		case item.kind != unstable.String:
			p.problem(item.valueAt, "ignore-address wants addresses, networks and %q in quotes, not %s", ownWord, item)
		case item.text == ownWord:
			p.cfg.IgnoreOwn = true
		default:
			if prefix, ok := p.network(item); ok {
				p.cfg.IgnoreAddress = append(p.cfg.IgnoreAddress, prefix)
			}
		}
	}
}

// network reads an address or a network.
func (p *parser) network(n *node) (netip.Prefix, bool) {
	bad := func(format string, args ...any) (netip.Prefix, bool) {
		p.problem(n.valueAt, "ignore-address = %s%s", quote(n.text), fmt.Sprintf(format, args...))
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(n.text)
	if err != nil {
		a, err := netip.ParseAddr(n.text)
		switch {
		case err != nil:
			return bad(" is not an IPv4 or IPv6 address or network, nor %q", ownWord)
		case a.Zone() != "":
			return bad(" has a zone, which flows do not have: write %q", a.WithZone(""))
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6() && prefix.IsSingleIP():
		return bad(" is an IPv4 address written as IPv6: write %q", prefix.Addr().Unmap())
	case prefix.Addr().Is4In6() && prefix.Bits() >= 96:
		return bad(" is an IPv4 network written as IPv6: write %q",
			netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96).Masked())
	case prefix != prefix.Masked():
		return bad(" has host bits set: write %q for the network or %q for the address", prefix.Masked(), prefix.Addr())
	}
	return prefix, true
}
