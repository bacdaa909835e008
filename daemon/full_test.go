package daemon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// tableMax bounds the kernel's tables. It does so for all network namespaces, and can be set in the first one alone.
func tableMax(t *testing.T, n string) {
	t.Helper()
	const path = "/proc/sys/net/netfilter/nf_conntrack_max"
	before, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(n), 0)
	}
	if err != nil {
		t.Skipf("nf_conntrack_max cannot be set: %v", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, before, 0); err != nil {
			t.Error(err)
		}
	})
}

// TestFullTable takes over 21 000 flows where the kernel has room for 7 000: that is said before the day, no flow is
// lost, and all are restored when there is room, the most valuable first.
func TestFullTable(t *testing.T) {
	const n, room = 21000, 7000
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	a.create(testFlows(n))
	b.eventually(30*time.Second, "has all flows", func() bool { return b.statistics().External.Active == n })
	tableMax(t, fmt.Sprint(room))
	warned := func(what string) func() bool {
		return func() bool { return strings.Contains(strings.Join(b.status().Warnings, "\n"), what) }
	}
	b.eventually(30*time.Second, "says that the table does not fit", warned("21000 flows of the peer and 0 of this router"))

	tr := b.notify("master", "syncgrp")
	left := uint64(0)
	if c := tr.Commit; c != nil {
		left = c.NoRoom
	}
	if left < n-room-100 || left > n-room+100 || tr.Outcome != fmt.Sprintf("incomplete: %d flows wait for room in the kernel's table", left) ||
		tr.Commit.Failed != 0 || tr.Commit.Total != n {
		t.Fatalf("takeover: %+v, %+v", tr, tr.Commit)
	}
	translated := 0
	for _, f := range b.kernelFlows(isTestFlow) {
		if f.SNAT() {
			translated++
		}
	}
	if translated != n/4 {
		t.Errorf("%d of %d translated flows are restored, which are worth most", translated, n/4)
	}
	if s := b.status(); s.InStep || !strings.Contains(strings.Join(s.Why, "\n"), fmt.Sprintf("%d flows of the peer are not in the kernel", left)) {
		t.Errorf("in step %v: %q", s.InStep, s.Why)
	}
	b.eventually(30*time.Second, "says that its table is full", warned("the kernel's conntrack table is nearly full"))
	if s := b.statistics(); s.Commit.NoRoom != left || s.External.Active != left {
		t.Errorf("%d flows wait, %d are in the external cache, want %d", s.Commit.NoRoom, s.External.Active, left)
	}
	if !strings.Contains(b.log.String(), "level=ERROR msg=\"the kernel's table is full") {
		t.Error("the log does not say that the table is full")
	}
	tableMax(t, "262144")
	b.eventually(40*time.Second, "has restored all", func() bool {
		ts := b.transitions()
		last := ts[len(ts)-1]
		return last.Outcome == control.OutcomeDone && last.Commit.Created == n && last.Commit.NoRoom == 0
	})
	if got := len(b.kernelFlows(isTestFlow)); got != n {
		t.Errorf("%d of %d flows are in the kernel", got, n)
	}
}

// TestForeignNAT: flows that are translated to an address of the other router are named before the day, and in the
// transition.
func TestForeignNAT(t *testing.T) {
	a, b := newPair(t)
	keepalived := "vrrp_instance W {\n virtual_ipaddress {\n  203.0.113.1/24 dev wan0\n }\n}\n" +
		"vrrp_sync_group syncgrp {\n group {\n  W\n }\n notify \"/x\"\n}\n"
	path := b.dir + "/keepalived.conf"
	if err := os.WriteFile(path, []byte(keepalived), 0o600); err != nil {
		t.Fatal(err)
	}
	b.ns.Run(t, "ip", "link", "add", "wan0", "type", "veth", "peer", "name", "isp0")
	b.ns.Run(t, "ip", "link", "set", "wan0", "up")
	b.ns.Run(t, "ip", "address", "add", "203.0.113.3/24", "dev", "wan0")
	b.start(options{extra: fmt.Sprintf("keepalived-config = %q\nrestore-foreign-nat = false\n", path)})
	a.start(options{})
	var flows []flow.Flow
	for i := range 30 {
		f := testFlow(4 * i)
		f.Reply.Dst = flow.Addr{203, 0, 113, byte(1 + i%3)} // virtual, the other router's, b's own
		flows = append(flows, f)
	}
	a.create(flows)
	b.eventually(30*time.Second, "has all flows", func() bool { return b.statistics().External.Active == 30 })
	const where = "203.0.113.2, which is in wan0's network but is no address of this router"
	b.eventually(30*time.Second, "names the flows", func() bool {
		return strings.Contains(strings.Join(b.status().Warnings, "\n"), "10 flows are translated to "+where)
	})
	if s := b.statistics(); s.Kernel.ForeignNAT != 10 {
		t.Errorf("%d flows are counted", s.Kernel.ForeignNAT)
	}
	list, counts := b.differences("external")
	if len(list) != 30 || counts.Found[control.WouldStray] != 10 || counts.Found[control.WouldCreate] != 20 ||
		counts.ForeignNAT[where] != 10 {
		t.Errorf("%d differences, %+v", len(list), counts)
	}
	if out := b.ctsync("show", "diff", "external"); !strings.Contains(out, "10 flows are translated to "+where) {
		t.Errorf("show diff external:\n%s", out)
	}
	if !strings.Contains(b.log.String(), where) {
		t.Errorf("the log does not say it")
	}
	tr := b.notify("master", "syncgrp")
	if c := tr.Commit; c == nil || c.Created != 20 || c.LeftOut != 10 || c.ForeignNAT[where] != 10 {
		t.Errorf("takeover: %+v", tr.Commit)
	}
	if out := b.ctsync("show", "transitions"); !strings.Contains(out, "10 flows are translated to "+where) {
		t.Errorf("show transitions:\n%s", out)
	}
}
