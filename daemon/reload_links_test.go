package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
)

// reload gives r's running daemon a file with these top-level lines and links.
func (r *router) reload(top, links string) {
	r.t.Helper()
	text := fmt.Sprintf("socket = %q\nstate-directory = %q\n%s\n[failover-mechanism.vrrp]\nsync-group = \"syncgrp\"\n%s", r.socket(), r.dir, top, links)
	path := filepath.Join(r.dir, "ctsync.toml")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
}

// TestReloadLinks changes everything about the links and the event socket in the files of two running daemons. No cache
// loses a flow, no restart is asked for, and where the peer stays the same the conversation goes on.
func TestReloadLinks(t *testing.T) {
	const n = 300
	a, b := newTwoLinks(t)
	a.start(options{multicast: true})
	b.start(options{multicast: true})
	serial := 0
	create := func() {
		a.create(testFlows(serial + n)[serial:])
		serial += n
	}
	create()
	inStep(t, a, b, 20*time.Second)
	restarts := a.statistics().Session.PeerRestarts
	const one, two = "[interface.sync0]\n", "[interface.sync0]\n[interface.sync1]\nport = 3781\n"
	devices := func(s control.Statistics) (list []string) {
		for _, l := range s.Links {
			list = append(list, l.Device)
		}
		return list
	}
	for _, step := range []struct {
		name, top, links string
		done             func(control.Statistics) bool // in both
		sessions         uint64                        // that the step starts
	}{
		{"a link more", "", two, func(s control.Statistics) bool {
			return slices.Equal(devices(s), []string{"sync0", "sync1"}) && s.Links[1].State == "RUNNING" &&
				s.ActiveLink().Device == "sync0"
		}, 0},
		{"port", "", strings.Replace(two, "3781", "4781", 1), func(s control.Statistics) bool { return len(s.Links) == 2 }, 0},
		{"order", "", "[interface.sync1]\nport = 4781\n[interface.sync0]\n", func(s control.Statistics) bool {
			return slices.Equal(devices(s), []string{"sync1", "sync0"}) && s.ActiveLink().Device == "sync0"
		}, 0},
		{"the active link removed", "", "[interface.sync1]\nport = 4781\n", func(s control.Statistics) bool {
			return slices.Equal(devices(s), []string{"sync1"}) && s.ActiveLink().Device == "sync1" &&
				s.ActiveLink().State == "RUNNING"
		}, 0},
		{"port of the only link", "", "[interface.sync1]\nport = 5000\n", func(s control.Statistics) bool { return s.ActiveLink().State == "RUNNING" }, 0},
		{"queue of the link", "sync-queue-size = 3", "[interface.sync1]\nport = 5000\n", func(s control.Statistics) bool {
			return s.ActiveLink().SendBuffer.Asked == 3<<20 && s.ActiveLink().ReceiveBuffer.Asked == 3<<20
		}, 0},
		{"queue and pace of events", "event-listen-queue-size = 2\ncoalesce = '3ms'", "[interface.sync1]\nport = 5000\n", func(s control.Statistics) bool {
			return s.Kernel.BufferLimit == 2<<20 && s.Kernel.BufferBytes == 2<<20 &&
				s.Kernel.Coalesce == control.Duration(3*time.Millisecond)
		}, 0},
		{"group", "mcast-group = '225.0.0.51'", "[interface.sync1]\nport = 5000\n", func(s control.Statistics) bool { return s.ActiveLink().State == "RUNNING" }, 0},
		{"back", "", one, func(s control.Statistics) bool { return slices.Equal(devices(s), []string{"sync0"}) }, 0},
		{"IPv6 group", "mcast-group = 'ff02::50'", one, func(s control.Statistics) bool { return s.ActiveLink().State == "RUNNING" }, 1},
	} {
		for _, r := range []*router{a, b} {
			r.reload(step.top, step.links)
		}
		for _, r := range []*router{a, b} {
			r.eventually(20*time.Second, "takes up: "+step.name, func() bool {
				s := r.statistics()
				if r == b && s.External.Active < uint64(serial) {
					t.Fatalf("%s: the external cache has %d flows of %d", step.name, s.External.Active, serial)
				}
				return step.done(s)
			})
			if s := r.status(); len(s.NeedRestart) != 0 {
				t.Errorf("%s: a restart is asked for: %v", step.name, s.NeedRestart)
			}
		}
		create()
		inStep(t, a, b, 40*time.Second)
		if now := a.statistics().Session.PeerRestarts; step.sessions == 0 && now != restarts {
			t.Errorf("%s: %d sessions, were %d", step.name, now, restarts)
		} else {
			restarts = now
		}
	}
	reloadPeers(t, a, b)
	create()
	inStep(t, a, b, 40*time.Second)
}

// reloadPeers makes the link of two daemons unicast, and then has one of them listen where it has no address.
func reloadPeers(t *testing.T, a, b *router) {
	t.Helper()
	unicast := func(r *router, top string) { r.reload(top, fmt.Sprintf("[interface.sync0]\npeer = %q\n", r.peer)) }
	unicast(a, "")
	unicast(b, "")
	for _, r := range []*router{a, b} {
		r.eventually(40*time.Second, "speaks unicast", func() bool {
			s := r.status()
			return s.Transport == control.TransportUDP && s.InStep
		})
	}
	const bad = "listen-address 10.255.0.77: no interface of this router has it, add the address or correct the file"
	unicast(a, "listen-address = ['10.255.0.77']")
	a.eventually(10*time.Second, "complains of the address", func() bool {
		s := a.status()
		return slices.Contains(s.Warnings, bad) && strings.Contains(strings.Join(s.Why, "\n"), "10.255.0.77") &&
			strings.Contains(a.log.String(), bad)
	})
	a.ns.Run(t, "ip", "address", "add", "10.255.0.77/24", "dev", "sync0")
	b.reload("", "[interface.sync0]\npeer = '10.255.0.77'\n")
	a.eventually(40*time.Second, "is in step from the other address", func() bool {
		return a.status().InStep && b.status().InStep
	})
	if w := withoutKeepalived(a.status().Warnings); len(w) != 0 {
		t.Errorf("warnings stay: %v", w)
	}
}
