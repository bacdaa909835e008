package config

import (
	"net/netip"

	"github.com/pelletier/go-toml/v2/unstable"
)

// address reads the node's string as an address. The zone of a link-local one must be the interface of the link; it is
// checked in relations, when the interface is known, and taken off there.
func (p *parser) address(n *node, key string) (netip.Addr, bool) {
	if n.kind != unstable.String {
		p.problem(n.valueAt, "%s wants an address in quotes, not %s", key, n)
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(n.text)
	switch {
	case err != nil:
		if prefix, err := netip.ParsePrefix(n.text); err == nil {
			p.problem(n.valueAt, "%s = %s is a network, not an address; did you mean %q?", key, quote(n.text), prefix.Addr())
			break
		}
		p.problem(n.valueAt, "%s = %s is not an IPv4 or IPv6 address", key, quote(n.text))
	case a.Is4In6():
		p.problem(n.valueAt, "%s = %s is an IPv4 address as IPv6: write %q", key, quote(n.text), a.Unmap())
	default:
		return a, true
	}
	return netip.Addr{}, false
}

// unicast reads the address of one router.
func (p *parser) unicast(n *node, key string) (netip.Addr, bool) {
	a, ok := p.address(n, key)
	switch {
	case !ok:
		return a, false
	case a.IsMulticast():
		p.problem(n.valueAt, "%s = %s is a multicast group, not the address of a router; a group stands in mcast-group", key, quote(n.text))
	case a.IsUnspecified():
		p.problem(n.valueAt, "%s = %s is no address of a router: leave %s out", key, quote(n.text), key)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		p.problem(n.valueAt, "%s = %s is the broadcast address, not that of a router", key, quote(n.text))
	default:
		return a, true
	}
	return a, false
}

func (p *parser) peer(n *node) {
	if a, ok := p.unicast(n, "peer"); ok {
		p.cfg.Interface.Peer = a
	}
}

func (p *parser) mcastGroup(n *node) {
	a, ok := p.address(n, "mcast-group")
	switch {
	case !ok:
	case !a.IsMulticast():
		p.problem(n.valueAt, "mcast-group = %s is not a multicast group (224.0.0.0/4 or ff00::/8); a unicast address stands in peer of %s", quote(n.text), interfaceTable)
	case a.Is6() && a.As16()[1]&0xf < 2:
		p.problem(n.valueAt, "mcast-group = %s never leaves this router: take one of link-local scope, such as \"ff02::50\"", quote(n.text))
	case a.Zone() != "":
		p.problem(n.valueAt, "mcast-group = %s has a zone: write %q, the interface is that of %s", quote(n.text), a.WithZone(""), interfaceTable)
	default:
		p.cfg.McastGroup = a
	}
}

// listenAddress reads a list with at most one address of each family: one for a link of either kind.
func (p *parser) listenAddress(n *node) {
	items, ok := p.list(n, "198.51.100.1")
	if !ok {
		return
	}
	var list []netip.Addr
	for _, item := range items {
		a, ok := p.unicast(item, "listen-address")
		if !ok {
			continue
		}
		for _, other := range list {
			if other.Is4() == a.Is4() {
				p.problem(item.valueAt, "listen-address has two addresses of one family, %s and %s: the link has one", other, a)
				break
			}
		}
		list = append(list, a)
	}
	p.cfg.ListenAddress = list
}

// relations checks what takes more than one key, and that nothing required is missing.
func (p *parser) relations() {
	p.required()
	p.metricsRelations()
	c, link := p.cfg, &p.cfg.Interface
	for i := range c.ListenAddress {
		c.ListenAddress[i] = p.zone(c.ListenAddress[i], "listen-address")
	}
	link.Peer = p.zone(link.Peer, "peer")

	if group, peer := p.given["mcast-group"], p.given["peer"]; peer != nil {
		if group != nil {
			p.problem(group.at, "mcast-group and peer exclude each other: %s has the peer %s (line %d), which makes the link unicast; remove one of the two",
				link.table(), link.Peer, peer.at.line)
		}
		c.McastGroup = netip.Addr{}
	}
	if p.given["listen-address"] == nil || len(c.ListenAddress) == 0 {
		return
	}
	at := p.given["listen-address"].at
	switch local := c.Listen(); {
	case !local.IsValid():
		p.problem(at, "listen-address has no address of the link's family: the link sends to %s", c.remote())
	case local == link.Peer:
		p.problem(at, "listen-address and peer are both %s: peer is the address of the other router", local)
	}
}

// required reports the two tables that a file must have.
func (p *parser) required() {
	if p.given["failover-mechanism"] == nil {
		p.problem(position{}, "%s with its sync-group is missing: it names the vrrp_sync_group of keepalived.conf", vrrpTable)
	}
	if p.given["interface"] == nil {
		p.problem(position{}, "%s is missing: it names the dedicated link to the peer, such as [interface.eth0]", interfaceTable)
	}
}

// zone takes the zone off a link-local address after checking that it is the interface of the link.
func (p *parser) zone(a netip.Addr, key string) netip.Addr {
	if a.Zone() == "" || p.given[key] == nil {
		return a
	}
	if name := p.cfg.Interface.Name; name != "" && a.Zone() != name {
		p.problem(p.given[key].at, "%s = %q is on interface %s, the link is on %s", key, a, a.Zone(), name)
	}
	return a.WithZone("")
}
