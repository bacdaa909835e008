package keepalived

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// TestCalled compares what we say that scripts report with what a running keepalived has them report.
func TestCalled(t *testing.T) {
	nstest.RequireCommand(t, "keepalived", "keepalived")
	for name, text := range map[string]string{
		"four":              both + head + four("syncgrp") + "}\n",
		"generic":           both + head + " notify BIN/ctsync-notify\n}\n",
		"members":           instanceA + four("syncgrp") + "}\n" + instanceB + four("syncgrp") + "}\n" + head + "}\n",
		"instance":          instanceA + four("syncgrp") + "}\n",
		"group removed":     both + "vrrp_sync_group syncgrp {\n group { LAN }\n" + four("syncgrp") + "}\n",
		"security":          "global_defs {\n enable_script_security\n}\n" + both + head + four("syncgrp") + "}\n",
		"two of one script": both + head + " notify_stop BIN/none\n" + four("syncgrp") + "}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ns, peer := lab(t), nstest.New(t), nstest.New(t)
			nstest.Veth(t, ns, "sync0", []string{"192.0.2.11/24"}, peer, "sync0", nil)
			path := file(t, dir, "k", text)
			run := []string{"keepalived", "-n", "-l", "-f", path}
			for _, f := range []string{"-p", "-c", "-r"} {
				run = append(run, f, filepath.Join(dir, "pid"+f))
			}
			cmd := ns.Exec(t.Context(), run[0], run[1:]...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Second) // BACKUP, then MASTER after 3.6 s
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
			q := question{model: Read(path).models[0], sys: newSystem(), path: path, follow: group}
			tellers, heard := q.tellers(), reports(t, dir)
			for _, s := range []string{"MASTER", "BACKUP", "STOP"} {
				says := slices.ContainsFunc(tellers, func(t teller) bool { return string(t.state) == s })
				if did := strings.Contains(heard, s); did != says {
					t.Errorf("%s is reported: %v; we say %v:\n%s", s, did, says, heard)
				}
			}
		})
	}
}

// reports returns what the scripts of a lab were called with, in upper case.
func reports(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "ctsync-notify.*"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return strings.ToUpper(b.String())
}
