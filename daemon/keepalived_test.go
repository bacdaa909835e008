package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// syncGroup is keepalived's configuration of the sync group that the routers of the tests follow.
const syncGroup = `vrrp_sync_group syncgrp {
  group {
    V1
  }
  notify /bin/true
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

// TestSyncGroupMissing starts a daemon for a group that keepalived does not have, and mends it on either side.
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
	b.eventually(20*time.Second, "sees the mended file", func() bool { return warned() == "" })

	other := filepath.Join(b.dir, "other.conf")
	writeText(t, other, "vrrp_sync_group syncgrp {\n group {\n  V1\n }\n}\n")
	b.writeConfig(options{extra: fmt.Sprintf("keepalived-config = %q\n", other)})
	b.eventually(20*time.Second, "looks at another file", func() bool {
		return strings.Contains(warned(), "runs no notify script")
	})
	b.writeConfig(options{extra: fmt.Sprintf("keepalived-config = %q\n", filepath.Join(b.dir, "none"))})
	b.eventually(20*time.Second, "says nothing of a file that is not there", func() bool { return warned() == "" })
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
