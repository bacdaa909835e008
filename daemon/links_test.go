package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// newTwoLinks is newPair with a second dedicated link, sync1.
func newTwoLinks(t *testing.T) (a, b *router) {
	t.Helper()
	a, b = newPair(t)
	nstest.Veth(t, a.ns, "sync1", []string{"10.254.0.1/24", "fd00:fe::1/64"}, b.ns, "sync1",
		[]string{"10.254.0.2/24", "fd00:fe::2/64"})
	for _, r := range []*router{a, b} { // until the kernel calls them RUNNING, which may take it a second
		r.eventually(10*time.Second, "has carriers", func() bool {
			return strings.Count(r.ns.Run(t, "ip", "-o", "link", "show", "up"), "state UP") == 2
		})
	}
	return a, b
}

// active is the device by which either program sends.
func (r *router) active() string {
	r.t.Helper()
	if !r.isConntrackd() {
		return r.activeLink().Device
	}
	for line := range strings.Lines(r.conntrackd("-s", "link")) {
		if strings.Contains(line, "role=ACTIVE") {
			_, device, _ := strings.Cut(line, "device=")
			return strings.Fields(device)[0]
		}
	}
	return ""
}

// set changes an interface of r.
func (r *router) set(dev, state string) {
	r.t.Helper()
	r.ns.Run(r.t, "ip", "link", "set", dev, state)
	if state == "up" { // an interface that is down keeps no IPv6 address
		third := map[string]string{"sync0": "ff", "sync1": "fe"}[dev]
		r.ns.Run(r.t, "ip", "addr", "replace", fmt.Sprintf("fd00:%s::%d/64", third, r.addr.As4()[3]), "dev", dev, "nodad")
	}
}

// deaf makes r lose what arrives by the link, while its carrier stays; hearing ends that.
func (r *router) deaf(link int) {
	r.t.Helper()
	r.ns.Run(r.t, "nft", fmt.Sprintf("add table inet deaf; add chain inet deaf in { type filter hook input priority -400; }; add rule inet deaf in udp dport %d drop", 3780+link))
}

func (r *router) hearing() {
	r.t.Helper()
	r.ns.Run(r.t, "nft", "delete", "table", "inet", "deaf")
}

// unworried waits until r warns of nothing.
func (r *router) unworried(what string) {
	r.t.Helper()
	r.eventually(10*time.Second, what, func() bool { return len(withoutKeepalived(r.status().Warnings)) == 0 })
}

// linkTest is a pair whose links fail one after another, while the flows on both change.
type linkTest struct {
	t      *testing.T
	a, b   *router
	serial int // flows that each has made
}

// meet waits until both send by dev, makes flows on both and wants each to end up with the other's.
func (l *linkTest) meet(dev, when string) {
	l.t.Helper()
	for _, r := range []*router{l.a, l.b} {
		r.eventually(60*time.Second, "sends by "+dev+": "+when, func() bool { return r.active() == dev })
	}
	l.change()
	l.same(when)
}

// change makes 50 flows on each router; the two number theirs differently.
func (l *linkTest) change() {
	l.t.Helper()
	for i, r := range []*router{l.a, l.b} {
		flows := make([]flow.Flow, 50)
		for k := range flows {
			flows[k] = testFlow(30000*i + l.serial + k)
		}
		r.create(flows)
	}
	l.serial += 50
}

func (l *linkTest) same(when string) {
	l.t.Helper()
	began := time.Now()
	same(l.t, l.a, l.b, l.serial, 60*time.Second)
	same(l.t, l.b, l.a, l.serial, 60*time.Second)
	l.t.Logf("%s: equal after %v", when, time.Since(began).Round(10*time.Millisecond))
}

// TestTwoLinks lets two daemons lose their links in each case: seen by one end, by the other, by none, in one
// direction, with the interface itself; and come back.
func TestTwoLinks(t *testing.T) {
	for _, tr := range []struct {
		name string
		o    options
	}{{"multicast", options{multicast: true, links: 2}}, {"unicast6", options{ipv6: true, links: 2}}} {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := newTwoLinks(t)
			a.start(tr.o)
			b.start(tr.o)
			l := &linkTest{t: t, a: a, b: b}
			l.meet("sync0", "the first is active")
			if s := a.statistics(); len(s.Links) != 2 || s.Links[1].Device != "sync1" ||
				s.Links[1].Role != control.LinkBackup || s.Links[1].State != "RUNNING" || s.Links[1].PacketsSent != 0 {
				t.Errorf("links: %+v", s.Links)
			}
			restarts := a.statistics().Session.PeerRestarts + b.statistics().Session.PeerRestarts

			a.set("sync0", "down")
			l.change() // what leaves by the old link of b is lost
			l.meet("sync1", "down here")
			s := a.status()
			s.Warnings = withoutKeepalived(s.Warnings)
			if !s.InStep || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "sync0 is DOWN") ||
				s.Interface != "sync0, sync1" || s.ActiveLink == nil || s.ActiveLink.Changes != 1 {
				t.Errorf("status: %+v", s)
			}
			a.set("sync0", "up")
			b.unworried("sees its link again")
			l.meet("sync1", "no fail-back")
			b.set("sync1", "down")
			l.change()
			l.meet("sync0", "down there")
			b.set("sync1", "up")
			a.unworried("sees its link again")

			a.deaf(0)
			b.deaf(0)
			l.change()
			l.meet("sync1", "dead with a carrier")
			a.hearing()
			b.hearing()
			b.deaf(1)
			l.change()
			l.meet("sync0", "dead in one direction")
			b.hearing()
			l.remade()
			if n := a.statistics().Session.PeerRestarts + b.statistics().Session.PeerRestarts; n != restarts {
				t.Errorf("%d sessions started with the changes of the link", n-restarts)
			}
		})
	}
}

// remade takes the active interface away, then both, and makes new ones.
func (l *linkTest) remade() {
	l.t.Helper()
	before := l.a.statistics().Links
	l.a.ns.Run(l.t, "ip", "link", "del", "sync0")
	l.meet("sync1", "interface gone")
	addLink(l.t, l.a, l.b)
	l.a.unworried("opens the new interface")
	after := l.a.statistics().Links
	for i := range before {
		if after[i].PacketsSent < before[i].PacketsSent || after[i].BytesReceived < before[i].BytesReceived {
			l.t.Errorf("counters of a link run backwards: %+v, were %+v", after[i], before[i])
		}
	}
	l.b.set("sync0", "down")
	l.b.set("sync1", "down")
	for _, r := range []*router{l.a, l.b} {
		r.eventually(10*time.Second, "says that no link is left", func() bool {
			return slices.ContainsFunc(r.status().Why, func(s string) bool { return strings.Contains(s, "the sync link on sync0, sync1 is not usable") })
		})
	}
	l.change()
	l.b.set("sync0", "up")
	l.meet("sync0", "one is back")
}

// TestTwoLinksWithConntrackd is the same with conntrackd at the other end, which looks at the state of its interfaces
// and follows what it hears, and nothing else.
func TestTwoLinksWithConntrackd(t *testing.T) {
	t.Parallel()
	a, b := newTwoLinks(t)
	o := options{multicast: true, links: 2}
	b.startConntrackd(o)
	a.start(o)
	l := &linkTest{t: t, a: a, b: b}
	l.meet("sync0", "the first is active")
	a.set("sync0", "down")
	l.change()
	l.meet("sync1", "down at ctsyncd")
	a.set("sync0", "up")
	a.unworried("sees its link again")
	b.set("sync1", "down")
	l.change()
	l.meet("sync0", "down at conntrackd")
	b.set("sync1", "up")
	a.unworried("sees its link again")
	a.deaf(0)
	b.deaf(0)
	l.change()
	l.meet("sync1", "dead with a carrier")
	a.hearing()
	b.hearing()
	b.deaf(1) // conntrackd hears nothing, which does not trouble it; what it says is heard
	for range 20 {
		l.change()
	}
	l.meet("sync0", "dead towards conntrackd")
	if n := a.statistics().Session.PeerRestarts; n != 1 {
		t.Errorf("%d conversations", n)
	}
}
