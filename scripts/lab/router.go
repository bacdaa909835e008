package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Addresses of the lab, those of scripts/keepalived.conf.example.
const (
	WANAddress    = "203.0.113.1" // virtual, the source NAT address of the clients
	LANAddress    = "10.10.0.1"   // virtual, the clients' gateway
	ServerAddress = "203.0.113.100"
	clientAddress = "10.10.0.100"
	SyncGroup     = "syncgrp"
	SyncInterface = "eth2"
)

// Router is one router of a pair. Its interfaces are eth0 (WAN), eth1 (LAN) and eth2, the link to the other router.
type Router struct {
	NS     NS
	Name   string
	ID     int // 1 or 2
	Daemon Daemon
	VRRP   *Process // keepalived, once started
}

// SyncAddress returns the address of the router on the link between the two.
func (r *Router) SyncAddress() string { return fmt.Sprintf("198.51.100.%d", r.ID) }

// peer returns a router with the other ID of the pair, for its addresses.
func (r *Router) peer() *Router { return &Router{ID: 3 - r.ID} }

// Pair makes two routers and the link between them. Nothing runs on them yet.
func (l *Lab) Pair() ([2]*Router, error) {
	var pair [2]*Router
	for i := range pair {
		r := &Router{ID: i + 1, Name: fmt.Sprintf("router%d", i+1)}
		var err error
		if r.NS, err = l.Namespace(fmt.Sprintf("r%d", r.ID)); err != nil {
			return pair, err
		}
		pair[i] = r
	}
	if err := l.Link(pair[0].NS, SyncInterface, pair[1].NS, SyncInterface); err != nil {
		return pair, err
	}
	for _, r := range pair {
		if err := r.NS.IP("addr", "add", r.SyncAddress()+"/24", "dev", SyncInterface); err != nil {
			return pair, err
		}
	}
	return pair, nil
}

// firewall is the ruleset of the routers: connections begin inside and are translated to the virtual address. Packets
// that belong to no flow neither pass nor reach the router itself.
var firewall = strings.NewReplacer("@WAN@", WANAddress, "@SYNC@", SyncInterface).Replace(`
table ip lab {
	chain input {
		type filter hook input priority filter; policy drop;
		iifname { "lo", "@SYNC@" } accept
		ip protocol vrrp accept
		ct state established,related accept
		icmp type echo-request accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iifname "eth1" oifname "eth0" ct state new accept
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		iifname "eth1" oifname "eth0" snat to @WAN@
	}
}
`)

// serve connects the router to the two bridges of the switch, and sets its addresses, firewall and forwarding.
func (l *Lab) serve(r *Router, sw NS) error {
	for _, side := range []struct{ iface, bridge, address string }{
		{"eth0", "wan", fmt.Sprintf("203.0.113.%d/24", r.ID+1)},
		{"eth1", "lan", fmt.Sprintf("10.10.0.%d/24", r.ID+1)},
	} {
		if err := l.plug(sw, side.bridge, r.NS, r.Name, side.iface, side.address); err != nil {
			return err
		}
	}
	if err := r.NS.Firewall(firewall); err != nil {
		return err
	}
	// tcp_loose=0: a packet in the middle of an unknown connection is invalid and begins no new flow.
	return r.NS.Sysctl("net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
		"net.netfilter.nf_conntrack_tcp_loose=0")
}

// PowerOff kills keepalived and takes every link of the router down.
func (r *Router) PowerOff() error {
	r.VRRP.Kill()
	return errors.Join(r.NS.IP("link", "set", "eth0", "down"), r.NS.IP("link", "set", "eth1", "down"),
		r.NS.IP("link", "set", SyncInterface, "down"))
}

// PowerOn brings the links back and starts keepalived again. It removes the virtual addresses first, because a real
// router would have lost them.
func (l *Lab) PowerOn(r *Router) error {
	for iface, address := range map[string]string{"eth0": WANAddress, "eth1": LANAddress} {
		if err := r.NS.IP("addr", "del", address+"/24", "dev", iface); err != nil {
			return err
		}
	}
	for _, iface := range []string{"eth0", "eth1", SyncInterface} {
		if err := r.NS.IP("link", "set", iface, "up"); err != nil {
			return err
		}
	}
	return l.StartVRRP(r)
}

// keepalivedExample is the shipped configuration that both routers run; installedNotify is the script that it calls.
const (
	keepalivedExample = "scripts/keepalived.conf.example"
	installedNotify   = "/usr/libexec/ctsync/ctsync-notify"
)

// StartVRRP starts keepalived with the shipped example. Only the path of the notify script and, on the second router,
// the priority differ.
func (l *Lab) StartVRRP(r *Router) error {
	example, err := os.ReadFile(keepalivedExample)
	if err != nil {
		return err
	}
	script, env := r.Daemon.Script()
	text := strings.ReplaceAll(string(example), installedNotify, script)
	if r.ID == 2 {
		text = strings.ReplaceAll(text, "priority 150", "priority 100")
	}
	conf, err := l.Write(r.Name+"-keepalived.conf", 0o600, text)
	if err != nil {
		return err
	}
	r.VRRP, err = l.Start(r.NS, r.Name+"-keepalived", env, "keepalived", "--dont-fork", "--log-console", "--log-detail",
		"--use-file="+conf, "--pid="+l.Path(r.Name+"-keepalived.pid"), "--vrrp_pid="+l.Path(r.Name+"-vrrp.pid"))
	return err
}

// Master reports whether the router holds the virtual address of the WAN.
func (r *Router) Master() bool {
	out, err := command("ip", "-n", string(r.NS), "-4", "-o", "addr", "show", "dev", "eth0")
	return err == nil && strings.Contains(out, " "+WANAddress+"/")
}
