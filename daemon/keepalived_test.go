package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// acceptedKeepalived are configurations as people write them. The real keepalived takes each without a word.
var acceptedKeepalived = map[string]string{
	"plain": keepalivedInstances + `
vrrp_sync_group syncgrp {
  group {
    V1
    "V 2"
  }
  notify_master "/bin/true master syncgrp" # comment {
  notify_backup "/bin/true backup syncgrp"
  notify_fault  "/bin/true fault syncgrp"
  notify_stop   "/bin/true stop syncgrp"
}
`,
	"terse": keepalivedInstances + `! vrrp_sync_group no {
vrrp_sync_group syncgrp{
  group{
    V1
    "V 2"
  }
  notify "/bin/true"
}
`,
	"braces below": keepalivedInstances + "vrrp_sync_group \"syncgrp\"\n{\n  group\n  {\n    V1\n    \"V 2\"\n  }\n  notify /bin/true\n}\n",
	"included":     "include parts/*.inc\n",
	"conditional": keepalivedInstances + `$NAME=syncgrp
@main vrrp_sync_group syncgrp {
@^main vrrp_sync_group syncgrp {
  group {
    V1
    "V 2"
  }
  notify /bin/true
}
`,
}

// keepalivedInstances are what a sync group has for members.
const keepalivedInstances = `global_defs {
  router_id "a#b!c"
  script_user root
  enable_script_security
}
vrrp_instance V1 {
  interface sync0
  virtual_router_id 1
  virtual_ipaddress {
    192.0.2.1
  }
}
vrrp_instance "V 2"
{
  interface sync0 ! {
  virtual_router_id 2
  virtual_ipaddress {
    192.0.2.2 # }
  }
}
`

// TestKeepalivedAccepts holds our reading of configurations against the real keepalived's.
func TestKeepalivedAccepts(t *testing.T) {
	nstest.RequireCommand(t, "keepalived", "keepalived")
	a, _ := newPair(t)
	for name, text := range acceptedKeepalived {
		path := filepath.Join(a.dir, strings.ReplaceAll(name, " ", "-")+".conf")
		writeText(t, path, text)
		if name == "included" {
			writeText(t, filepath.Join(a.dir, "parts", "1.inc"), acceptedKeepalived["plain"][:strings.Index(acceptedKeepalived["plain"], "vrrp_sync_group")])
			writeText(t, filepath.Join(a.dir, "parts", "2.inc"), "include ../group.conf\n")
			writeText(t, filepath.Join(a.dir, "group.conf"), acceptedKeepalived["plain"][strings.Index(acceptedKeepalived["plain"], "vrrp_sync_group"):])
		}
		if out, err := a.ns.Exec(t.Context(), "keepalived", "-t", "-i", "main", "-f", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: keepalived -t: %v\n%s", name, err, out)
		}
		k, err := config.ReadKeepalived(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Groups) == 0 || k.Groups[0].Name != "syncgrp" || len(k.Complaints("syncgrp")) > 0 || k.Doubt != "" {
			t.Errorf("%s: %+v, %q", name, k, k.Complaints("syncgrp"))
		}
		if len(k.Complaints("other")) != 1 {
			t.Errorf("%s: a group that is not there: %q", name, k.Complaints("other"))
		}
	}
}

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
	writeText(t, path, strings.ReplaceAll(acceptedKeepalived["plain"], "vrrp_sync_group syncgrp", "vrrp_sync_group syncgroup"))
	warned := func() string { return strings.Join(b.status().Warnings, "\n") }

	b.start(o)
	const missing = `has no vrrp_sync_group "syncgrp"`
	if w := warned(); !strings.Contains(w, missing) || !strings.Contains(w, `did you mean "syncgroup"?`) {
		t.Errorf("warnings: %s", w)
	}
	if !strings.Contains(b.ctsync("show", "status"), missing) || !strings.Contains(b.log.String(), "has no vrrp_sync_group") {
		t.Error("the text of show status, or the log, does not say it")
	}
	writeText(t, path, acceptedKeepalived["plain"])
	b.eventually(20*time.Second, "sees the mended file", func() bool { return warned() == "" })

	other := filepath.Join(b.dir, "other.conf")
	writeText(t, other, "vrrp_sync_group syncgrp {\n group {\n  V1\n }\n}\n")
	b.writeConfig(options{extra: fmt.Sprintf("keepalived-config = %q\n", other)})
	b.eventually(20*time.Second, "looks at another file", func() bool { return strings.Contains(warned(), "runs no notify script") })
	b.writeConfig(options{extra: fmt.Sprintf("keepalived-config = %q\n", filepath.Join(b.dir, "none"))})
	b.eventually(20*time.Second, "says nothing of a file that is not there", func() bool { return warned() == "" })
	if n := strings.Count(b.log.String(), "has no vrrp_sync_group"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestRestoreLabels commits labelled flows with restore-labels off, and again after it was turned on in the running daemon.
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
