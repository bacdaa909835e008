package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/nstest"
)

// newVLAN makes routers that share one network by sync0: a bridge in a namespace of its own. The n-th one has address
// 10.255.0.n, and each two of them are meant to be a pair.
func newVLAN(t *testing.T, names ...string) []*router {
	t.Helper()
	vlan := nstest.New(t)
	vlan.Run(t, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	vlan.Run(t, "ip", "link", "set", "br0", "up")
	var list []*router
	for i, name := range names {
		ns, port := nstest.New(t), fmt.Sprintf("port%d", i)
		addr := func(n int) string { return fmt.Sprintf("10.255.0.%d", n+1) }
		nstest.Veth(t, ns, "sync0", []string{addr(i) + "/24"}, vlan, port, nil)
		vlan.Run(t, "ip", "link", "set", port, "master", "br0")
		list = append(list, newRouter(t, ns, name, addr(i), addr(i^1)))
	}
	return list
}

// because reports whether r is not in step for a reason with these words.
func (r *router) because(words string) bool {
	return slices.ContainsFunc(r.status().Why, func(w string) bool { return strings.Contains(w, words) })
}

// inStep waits until r is.
func (r *router) inStep(within time.Duration) {
	r.t.Helper()
	r.eventually(within, "is in step", func() bool { return r.status().InStep })
}

// TestThirdHost: the standby dies, and a third host on the same network says hello. It stands in for the standby, but
// takes nothing away from it; the standby is taken again when it returns, and who stood in is refused and named.
func TestThirdHost(t *testing.T) {
	const n = 100
	routers := newVLAN(t, "a", "b", "c")
	a, b, c := routers[0], routers[1], routers[2]
	o := options{multicast: true}
	a.start(o)
	b.start(o)
	b.create(testFlows(n))
	same(t, b, a, n, 20*time.Second)
	a.inStep(20 * time.Second)

	b.stop(syscall.SIGKILL)
	c.start(o)
	c.create(testFlows(n + 20)[n:])
	a.eventually(30*time.Second, "takes c in place of b", func() bool {
		return a.because("10.255.0.3 speaks in place of the peer 10.255.0.2") && a.status().External == n+20
	})
	time.Sleep(3 * time.Second) // c's table has come, and has been compared
	if s := a.status(); s.External != n+20 || s.InStep {
		t.Errorf("%d flows of %d, in step %v: %q", s.External, n+20, s.InStep, s.Why)
	}

	b.start(o)
	a.eventually(20*time.Second, "takes b again, and names c", func() bool {
		s := a.status()
		named := slices.ContainsFunc(s.Senders, func(o control.Sender) bool {
			return o.Address == "10.255.0.3" && o.Seems == control.SeemsRouter
		})
		return named && s.Peer == "10.255.0.2" && s.External == n && s.Established &&
			a.because("another router speaks on sync0")
	})
	same(t, b, a, n, 20*time.Second)
	if text := a.ctsync("show", "status"); !strings.Contains(text, "another sender        : 10.255.0.3 on sync0 seems to be a router") {
		t.Errorf("status:\n%s", text)
	}
	if page := a.ns.Run(t, "curl", "-s", "--unix-socket", a.socket(), "http://ctsync/metrics"); !strings.Contains(page, `ctsync_other_sender_datagrams{address="10.255.0.3",device="sync0"`) {
		t.Error("no metric names c")
	}
	c.stop(syscall.SIGTERM)
	a.inStep(30 * time.Second)
	b.inStep(30 * time.Second)
}

// TestSecondPairOnTheNetwork: all four routers of two pairs with the same group and port say that they hear others, and
// the first pair goes on. A router that starts among three says so too. When the others are gone all is well.
func TestSecondPairOnTheNetwork(t *testing.T) {
	routers := newVLAN(t, "a", "b", "d", "e")
	a, b, d, e := routers[0], routers[1], routers[2], routers[3]
	o := options{multicast: true}
	a.start(o)
	b.start(o)
	a.inStep(20 * time.Second)
	d.start(o)
	e.start(o)
	for _, r := range routers {
		r.eventually(20*time.Second, "names two others", func() bool {
			s := r.status()
			return !s.InStep && len(s.Senders) == 2 && r.because("another router speaks on sync0 and is ignored, a pair has two members: ")
		})
	}
	if pa, pb := a.status().Peer, b.status().Peer; pa != "10.255.0.2" || pb != "10.255.0.1" {
		t.Errorf("the pair is torn apart: a speaks with %s, b with %s", pa, pb)
	}
	d.stop(syscall.SIGTERM)
	e.stop(syscall.SIGTERM)
	a.inStep(30 * time.Second)
	b.inStep(30 * time.Second)
}

// TestNamedPeerOnTheGroup: with mcast-peer nobody else is ever taken for the peer, and who else speaks is named.
func TestNamedPeerOnTheGroup(t *testing.T) {
	const n = 50
	routers := newVLAN(t, "a", "b", "c")
	a, b, c := routers[0], routers[1], routers[2]
	o := options{multicast: true, named: true}
	c.start(options{multicast: true})
	a.start(o)
	a.eventually(20*time.Second, "hears c only, and does not take it", func() bool {
		s := a.status()
		return s.Peer == "10.255.0.2" && s.PeerHeard.IsZero() && a.because("come from 10.255.0.3, not from the peer 10.255.0.2")
	})
	b.start(o)
	b.create(testFlows(n))
	same(t, b, a, n, 20*time.Second)
	b.stop(syscall.SIGKILL)
	time.Sleep(15 * time.Second)
	if s := a.status(); s.Peer != "10.255.0.2" || s.External != n || !a.because("the peer has been silent for") {
		t.Errorf("a after 15 s: peer %s, %d flows, %q", s.Peer, s.External, s.Why)
	}
	c.stop(syscall.SIGTERM)
	b.start(o)
	a.inStep(30 * time.Second)
	same(t, b, a, n, 20*time.Second)
}

// TestVirtualAddressFirst: a virtual address stands before the own one on the sync interface, so the kernel calls the
// own one secondary. What the peer drops for it is named on both routers, with what to do. Where keepalived's
// configuration says that the address is virtual, the own one is taken.
func TestVirtualAddressFirst(t *testing.T) {
	a, b := newPair(t)
	a.ns.Run(t, "ip", "addr", "flush", "dev", "sync0")
	a.ns.Run(t, "ip", "addr", "add", "10.255.0.100/24", "dev", "sync0")
	a.ns.Run(t, "ip", "addr", "add", "10.255.0.1/24", "dev", "sync0")
	a.start(options{})
	b.start(options{})
	b.eventually(20*time.Second, "names the virtual address", func() bool {
		return b.because("datagrams on sync0 come from 10.255.0.100, not from the peer 10.255.0.1: if it is the other router, set listen-address there")
	})
	a.eventually(20*time.Second, "doubts its own address", func() bool {
		return a.because("this router sends from 10.255.0.100, and sync0 also has 10.255.0.1: name the right one as listen-address")
	})
	file := filepath.Join(a.dir, "keepalived.conf")
	text := "vrrp_sync_group syncgrp { group { I } }\nvrrp_instance I { virtual_ipaddress { 10.255.0.100/24 dev sync0 } }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{`listen-address = ["10.255.0.1"]`, fmt.Sprintf("keepalived-config = %q", file)} {
		a.stop(syscall.SIGTERM)
		a.start(options{extra: extra + "\n"})
		a.inStep(30 * time.Second)
		b.inStep(30 * time.Second)
	}
}

// TestWhyNothingIsSent: what the kernel of this router refuses to send is a reason while it happens.
func TestWhyNothingIsSent(t *testing.T) {
	nstest.RequireCommand(t, "nft", "nftables")
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.inStep(20 * time.Second)
	a.ns.Run(t, "nft", "add table inet w; add chain inet w out { type filter hook output priority 0; }; add rule inet w out udp dport 3780 drop")
	a.eventually(10*time.Second, "says that its firewall is in the way", func() bool {
		return a.because("the firewall of this router drops what is sent to 10.255.0.2: let UDP port 3780 out by sync0")
	})
	a.ns.Run(t, "nft", "delete", "table", "inet", "w")
	a.inStep(30 * time.Second)
	b.ns.Run(t, "ip", "link", "set", "sync0", "down")
	a.eventually(10*time.Second, "says that the cable is out", func() bool {
		return a.because("the sync link on sync0 is not usable: sync0 is NO-CARRIER (check the cable and the other end)")
	})
	b.ns.Run(t, "ip", "link", "set", "sync0", "up")
	a.inStep(30 * time.Second)
	b.inStep(30 * time.Second)
}
