package lab

import (
	"fmt"
)

// Network is a pair of routers between a client and a server.
type Network struct {
	*Lab
	Router         [2]*Router
	Client, Server NS
	sw             NS
}

// Network makes a pair with a switch on either side of it, a client inside and a server outside.
//
//	client ── lan ──┬── router1 ──┬── wan ── server
//	                │      │sync  │
//	                └── router2 ──┘
func (l *Lab) Network() (*Network, error) {
	n := &Network{Lab: l}
	var err error
	if n.Router, err = l.Pair(); err != nil {
		return nil, err
	}
	for _, space := range []struct {
		short string
		ns    *NS
	}{{"sw", &n.sw}, {"client", &n.Client}, {"server", &n.Server}} {
		if *space.ns, err = l.Namespace(space.short); err != nil {
			return nil, err
		}
	}
	for _, bridge := range []string{"wan", "lan"} {
		err := n.sw.IP("link", "add", bridge, "up", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
		if err != nil {
			return nil, err
		}
	}
	if err := l.plug(n.sw, "wan", n.Server, "server", "eth0", ServerAddress+"/24"); err != nil {
		return nil, err
	}
	if err := l.plug(n.sw, "lan", n.Client, "client", "eth0", clientAddress+"/24"); err != nil {
		return nil, err
	}
	if err := n.Client.IP("route", "add", "default", "via", LANAddress); err != nil {
		return nil, err
	}
	for _, r := range n.Router {
		if err := l.serve(r, n.sw); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return n, nil
}

// plug connects an interface of ns to a bridge of the switch and gives it an address.
func (l *Lab) plug(sw NS, bridge string, ns NS, owner, iface, address string) error {
	port := bridge + "-" + owner
	if err := l.Link(ns, iface, sw, port); err != nil {
		return err
	}
	if err := sw.IP("link", "set", port, "master", bridge); err != nil {
		return err
	}
	return ns.IP("addr", "add", address, "dev", iface)
}
