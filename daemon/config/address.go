package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// address reads the string of a node as an address. The zone of a link-local address must be the interface of a link:
// relations checks it, when the interfaces are known.
func (p *parser) address(n *node, key string) (netip.Addr, bool) {
	if n.kind != unstable.String {
		p.problem(n.valueAt, "%s wants an address in quotes, not %s", key, n)
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(n.text)
	switch {
	case err != nil:
		if prefix, err := netip.ParsePrefix(n.text); err == nil {
			p.problem(n.valueAt, "%s = %s is a network, not an address; did you mean %q?", key, quote(n.text),
				prefix.Addr())
			break
		}
		p.problem(n.valueAt, "%s = %s is not an IPv4 or IPv6 address", key, quote(n.text))
	case a.Is4In6():
		p.problem(n.valueAt, "%s = %s is an IPv4 address written as IPv6: write %q", key, quote(n.text), a.Unmap())
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
		p.problem(n.valueAt,
			"%s = %s is a multicast group, not the address of a router; a group belongs in mcast-group", key,
			quote(n.text))
	case a.IsUnspecified():
		p.problem(n.valueAt, "%s = %s is not the address of a router: leave %s out", key, quote(n.text), key)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		p.problem(n.valueAt, "%s = %s is the broadcast address, not that of a router", key, quote(n.text))
	default:
		return a, true
	}
	return a, false
}

func (p *parser) peer(n *node) {
	if a, ok := p.unicast(n, "peer"); ok {
		p.link().Peer = a
		p.links[len(p.links)-1].peer = n.at
	}
}

func (p *parser) mcastPeer(n *node) {
	if a, ok := p.unicast(n, "mcast-peer"); ok {
		p.link().McastPeer = a
		p.links[len(p.links)-1].mcastPeer = n.at
	}
}

func (p *parser) mcastGroup(n *node) {
	a, ok := p.address(n, "mcast-group")
	switch {
	case !ok:
	case !a.IsMulticast():
		p.problem(n.valueAt,
			"mcast-group = %s is not a multicast group (224.0.0.0/4 or ff00::/8); a unicast address belongs in peer "+
				"of %s",
			quote(n.text), interfaceTable)
	case a.Is6() && a.As16()[1]&0xf < 2:
		p.problem(n.valueAt,
			"mcast-group = %s never leaves this router: use one of link-local scope, such as \"ff02::50\"",
			quote(n.text))
	case a.Zone() != "":
		p.problem(n.valueAt, "mcast-group = %s has a zone: write %q, the interface is the one of each %s",
			quote(n.text), a.WithZone(""), interfaceTable)
	default:
		p.cfg.McastGroup = a
	}
}

// listenAddress reads a list of addresses. Each link will use the one that its interface has.
func (p *parser) listenAddress(n *node) {
	items, ok := p.list(n, "198.51.100.1")
	if !ok {
		return
	}
	var list []netip.Addr
	for _, item := range items {
		a, ok := p.unicast(item, "listen-address")
		switch {
		case !ok:
		case slices.Contains(list, a):
			p.problem(item.valueAt, "listen-address has %s twice", a)
		default:
			list = append(list, a)
		}
	}
	p.cfg.ListenAddress = list
}

// relations checks what concerns more than one key, and that nothing required is missing.
func (p *parser) relations() {
	p.required()
	p.filterRelations()
	for i := range p.cfg.Interfaces {
		l := &p.cfg.Interfaces[i]
		p.peerZone(l, &l.Peer, "peer", p.links[i].peer)
		p.peerZone(l, &l.McastPeer, "mcast-peer", p.links[i].mcastPeer)
	}
	p.mcastPeers()
	p.kinds()
	p.samePeer()
	if p.given["listen-address"] != nil && len(p.cfg.ListenAddress) > 0 {
		p.listening(p.given["listen-address"].at)
	}
}

// mcastPeers checks that mcast-peer belongs to a multicast link, and that all links name the peer if one does.
func (p *parser) mcastPeers() {
	c := p.cfg
	first := slices.IndexFunc(c.Interfaces, func(l Interface) bool { return l.McastPeer.IsValid() })
	for i := range c.Interfaces {
		l, at := &c.Interfaces[i], p.links[i].mcastPeer
		switch {
		case first < 0:
		case l.McastPeer.IsValid() && l.Peer.IsValid():
			p.problem(at, "peer and mcast-peer exclude each other: %s has the peer %s, which makes the link unicast", l.table(), l.Peer)
		case l.McastPeer.IsValid() && l.McastPeer.Is4() != c.McastGroup.Is4():
			p.problem(at, "mcast-peer = %q is not of the family of mcast-group, %s", l.McastPeer, c.McastGroup)
		case !l.McastPeer.IsValid():
			p.problem(p.links[i].at, "%s has no mcast-peer and %s has one (line %d): name the other router on every link, or "+
				"on none", l.table(), c.Interfaces[first].table(), p.links[first].mcastPeer.line)
		}
	}
}

// kinds checks that all links are multicast or all are unicast. It refuses a group together with a peer, even the
// default group.
func (p *parser) kinds() {
	c := p.cfg
	first := slices.IndexFunc(c.Interfaces, func(l Interface) bool { return l.Peer.IsValid() })
	if first < 0 {
		return
	}
	if group := p.given["mcast-group"]; group != nil {
		p.problem(group.at,
			"mcast-group and peer exclude each other: %s has the peer %s (line %d), which makes the link unicast; "+
				"remove one of the two",
			c.Interfaces[first].table(), c.Interfaces[first].Peer, p.links[first].peer.line)
	}
	c.McastGroup = netip.Addr{}
	for i := range c.Interfaces {
		if l := &c.Interfaces[i]; !l.Peer.IsValid() {
			p.problem(p.links[i].at,
				"%s has no peer, which makes it multicast, and %s has one (line %d), which makes it unicast: give "+
					"every link a peer, or none",
				l.table(), c.Interfaces[first].table(), p.links[first].peer.line)
		}
	}
}

// samePeer refuses two links with the same peer and port: nothing would distinguish them. A link-local peer is another
// router on each interface.
func (p *parser) samePeer() {
	for i, l := range p.cfg.Interfaces {
		for j, other := range p.cfg.Interfaces[:i] {
			if l.Peer.IsValid() && !l.Peer.IsLinkLocalUnicast() && l.Peer == other.Peer && l.Port == other.Port {
				p.problem(p.links[i].peer,
					"%s and %s (line %d) have the same peer %s and port %d: give this link the address that the "+
						"other router has on it",
					l.table(), other.table(), p.links[j].at.line, l.Peer, l.Port)
				break
			}
		}
	}
}

// listening checks that every link finds an address of its own in listen-address, whose place is at.
func (p *parser) listening(at position) {
	c := p.cfg
	for _, a := range c.ListenAddress {
		onLink := slices.ContainsFunc(c.Interfaces, func(l Interface) bool { return l.Name == a.Zone() })
		if a.Zone() != "" && !onLink && len(c.Interfaces) > 0 {
			p.problem(at, "listen-address = %q is on interface %s, %s", a, a.Zone(), c.linksAre())
		}
		if i := slices.IndexFunc(c.Interfaces, func(l Interface) bool {
			return l.Peer == a.WithZone("") || l.McastPeer == a.WithZone("")
		}); i >= 0 {
			p.problem(at, "listen-address and peer are both %s: peer is the address of the other router", a)
		}
	}
	shared := map[bool][]string{} // links that need an address of a family, by whether that is IPv4
	for i := range c.Interfaces {
		l := &c.Interfaces[i]
		candidates := c.Listen(l)
		if len(candidates) == 0 {
			if len(c.Interfaces) == 1 {
				p.problem(at, "listen-address has no address of the link's family: the link sends to %s", c.Remote(l))
			} else {
				p.problem(at, "listen-address has no address for %s: the link sends to %s", l.table(), c.Remote(l))
			}
		} else if !slices.ContainsFunc(candidates, netip.Addr.IsLinkLocalUnicast) { // which may be on every link
			four := c.Remote(l).Is4()
			shared[four] = append(shared[four], l.Name)
			if n := len(shared[four]); n == len(candidates)+1 {
				p.problem(at,
					"listen-address has too few addresses for the links %s: each sends from an address of its own "+
						"interface",
					strings.Join(shared[four], ", "))
			}
		}
	}
}

// linksAre says on which interfaces the links are.
func (c *Config) linksAre() string {
	if len(c.Interfaces) == 1 {
		return "the link is on " + c.Interfaces[0].Name
	}
	return "the links are on " + strings.Join(c.names(), ", ")
}

// names returns the names of the interfaces in the order of the file.
func (c *Config) names() []string {
	var names []string
	for _, l := range c.Interfaces {
		names = append(names, l.Name)
	}
	return names
}

// required reports the two tables that a file must have, and one key too many of those that make the role.
func (p *parser) required() {
	if group, instance := p.given["sync-group"], p.given["instance"]; group != nil && instance != nil {
		p.problem(instance.at, "instance and sync-group (line %d) exclude each other: keepalived moves the members of a "+
			"group together, so the group alone makes the role; remove one of the two", group.at.line)
	}
	if p.given["failover-mechanism"] == nil {
		p.problem(position{}, "%s with its sync-group is missing: it names the vrrp_sync_group of keepalived.conf",
			vrrpTable)
	}
	if p.given["interface"] == nil {
		p.problem(position{}, "%s is missing: it names the dedicated link to the peer, such as [interface.eth0]",
			interfaceTable)
	}
}

// peerZone checks that the zone of a link-local address of the peer, given by a key at a place, is the interface of its
// link, and takes it off.
func (p *parser) peerZone(l *Interface, a *netip.Addr, key string, at position) {
	if zone := a.Zone(); zone != "" && zone != l.Name {
		p.problem(at, "%s = %q is on interface %s, the link is on %s", key, *a, zone, l.Name)
	}
	*a = a.WithZone("")
}
