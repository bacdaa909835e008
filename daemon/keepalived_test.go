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
	"ctsync/daemon/flow"
	"ctsync/notify"
)

// syncGroup is keepalived's configuration of the sync group that the routers of the tests follow.
const syncGroup = `vrrp_instance V1 {
  virtual_ipaddress {
    192.0.2.99/32
  }
}
vrrp_sync_group syncgrp {
  group {
    V1
  }
  notify /bin/true # a program: what it says is not known
}
`

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withoutKeepalived leaves out what is said because a router of the tests has no keepalived.
func withoutKeepalived(warnings []string) []string {
	return slices.DeleteFunc(slices.Clone(warnings), func(w string) bool {
		return strings.HasPrefix(w, "keepalived has told nothing yet") || strings.Contains(w, "keepalived is not checked")
	})
}

// TestSyncGroupMissing starts a daemon for a group that keepalived does not have, and mends it on either side. What
// keepalived then says ends the warnings.
func TestSyncGroupMissing(t *testing.T) {
	_, b := newPair(t)
	path := filepath.Join(b.dir, "keepalived.conf")
	o := options{extra: fmt.Sprintf("keepalived-config = %q\n", path)}
	writeText(t, path, strings.ReplaceAll(syncGroup, "vrrp_sync_group syncgrp", "vrrp_sync_group syncgroup"))
	warned := func() string { return strings.Join(b.status().Warnings, "\n") }

	b.start(o)
	const missing = `has no vrrp_sync_group "syncgrp"`
	if w := warned(); !strings.Contains(w, missing) || !strings.Contains(w, `did you mean "syncgroup"?`) {
		t.Errorf("warnings: %s", w)
	}
	if !strings.Contains(b.ctsync("show", "status"), missing) ||
		!strings.Contains(b.log.String(), "has no vrrp_sync_group") {
		t.Error("the text of show status, or the log, does not say it")
	}
	writeText(t, path, syncGroup)
	b.eventually(20*time.Second, "sees the mended file", func() bool {
		return strings.Contains(warned(), "the word ctsync does not occur") && strings.Contains(warned(), "192.0.2.99): ")
	})
	b.ns.Run(t, "ip", "address", "add", "192.0.2.99/32", "dev", "lo")
	b.eventually(20*time.Second, "sees the virtual address", func() bool {
		return strings.Contains(warned(), "this router has the virtual address 192.0.2.99: run `ctsync notify master`")
	})
	b.notify("master", "syncgrp")
	if w := warned(); strings.Contains(w, "told nothing") || !strings.Contains(w, "the word ctsync does not occur") {
		t.Errorf("after a notification by hand: %s", w)
	}
	said := control.Notification{
		Type: control.TypeGroup, Name: "syncgrp", State: control.StateBackup, At: time.Now(), Source: notify.SourceKeepalived,
	}
	if _, err := b.client().Notify(t.Context(), said); err != nil {
		t.Fatal(err)
	}
	if w := warned(); w != "" || !strings.Contains(b.log.String(), "this does not count any more") {
		t.Errorf("after a notification of keepalived: %s", w)
	}

	none := filepath.Join(b.dir, "none")
	b.writeConfig(options{extra: fmt.Sprintf("keepalived-config = %q\n", none)})
	b.eventually(20*time.Second, "says nothing of a file that it need not read", func() bool { return warned() == "" })
	if n := strings.Count(b.log.String(), "has no vrrp_sync_group"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestRestoreLabels commits labelled flows with restore-labels off, and again after it was turned on in the running
// daemon.
func TestRestoreLabels(t *testing.T) {
	a, b := newPair(t)
	off, on := options{extra: "restore-labels = false\n"}, options{extra: "restore-labels = true\n"}
	for _, r := range []*router{a, b} {
		r.useLabels()
	}
	a.start(options{})
	b.start(off)
	f := testFlow(1)
	f.Labels, f.Has = [16]byte{1: 0x10, 15: 0x80}, f.Has|flow.HasLabels
	a.create([]flow.Flow{f})
	labels := func(r *router) [16]byte { return r.kernelFlows(isTestFlow)[f.Orig].Labels }
	b.eventually(20*time.Second, "has the flow", func() bool { return b.statistics().External.Active == 1 })
	if labels(a) != f.Labels {
		t.Fatalf("the kernel took labels %x", labels(a))
	}
	b.ctsync("commit")
	if _, there := b.kernelFlows(isTestFlow)[f.Orig]; !there || labels(b) != [16]byte{} {
		t.Errorf("restore-labels = false: there %v, labels %x", there, labels(b))
	}
	b.writeConfig(on)
	b.eventually(20*time.Second, "restores labels", func() bool {
		b.ctsync("commit")
		return labels(b) == f.Labels
	})
	if s := b.status(); len(s.NeedRestart) != 0 {
		t.Errorf("a restart is asked for: %v", s.NeedRestart)
	}
}
