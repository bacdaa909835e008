package keepalived

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// complains matches what keepalived says when it will not run a script, or drops a group or a member.
var complains = regexp.MustCompile(`removing|ignoring|disabling|doesn't exist|must have a name|already defined`)

// generated are configurations made of all combinations of what decides whether keepalived runs a script.
func generated(dir string) map[string]string {
	all := map[string]string{}
	for _, security := range []string{"", "enable_script_security\n"} {
		for _, user := range []string{"", "script_user root\n", "script_user nobody\n", "script_user nobodyknows\n"} {
			for _, members := range []string{"A B", "LAN WAN", "A WAN"} {
				for _, script := range []string{"ctsync-notify", "none", "plain", "open/ctsync-notify", "link/ctsync-notify"} {
					for _, line := range []string{`"BIN/%s"`, `BIN/%s nobody`, `BIN/%s master syncgrp`, `'BIN/%s'`} {
						text := "global_defs {\n" + security + user + "}\n" + both + "vrrp_sync_group syncgrp {\n group { " +
							members + " }\n notify " + fmt.Sprintf(line, script) + "\n}\n"
						all[text] = strings.ReplaceAll(text, "BIN", dir)
					}
				}
			}
		}
	}
	return all
}

// TestAgrees compares our judgement with what the real keepalived says of the same file.
func TestAgrees(t *testing.T) {
	nstest.RequireCommand(t, "keepalived", "keepalived")
	dir, ns, peer := lab(t), nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "sync0", nil, peer, "sync0", nil)
	write(t, filepath.Join(dir, "open", "ctsync-notify"), "#!/bin/sh\n", 0o755)
	if err := os.Chmod(filepath.Join(dir, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("open", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	texts := generated(dir)
	keys := slices.Sorted(maps.Keys(texts))
	path := filepath.Join(dir, "generated.conf")
	for _, key := range keys {
		write(t, path, texts[key], 0o644)
		out, _ := ns.Exec(t.Context(), "keepalived", "-t", "-f", path).CombinedOutput()
		v := Read(path).Judge(group, Access{}, nil)
		if complains.Match(out) != (len(v.Wrong) > 0) || len(v.Doubt) > 0 {
			t.Errorf("we say %+v, keepalived %s of\n%s", v, out, texts[key])
		}
	}
	t.Logf("%d configurations", len(keys))
}

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
			nstest.Veth(t, ns, "sync0", nil, peer, "sync0", nil)
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
