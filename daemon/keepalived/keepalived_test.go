package keepalived

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctsync/daemon/control"
)

var group = control.Followed{Type: control.TypeGroup, Name: "syncgrp"}

// write writes a file with the directories above it.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// lab is a folder with scripts. In the text of a configuration, BIN stands for it.
func lab(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "ctsync-notify"), "#!/bin/sh\necho \"$*\" >> $0.$$\n", 0o755)
	write(t, filepath.Join(dir, "primary-backup.sh"), "#!/bin/sh\nconntrackd -c\n", 0o755)
	write(t, filepath.Join(dir, "own.sh"), "#!/bin/sh\nctsync notify \"$@\"\n", 0o755)
	write(t, filepath.Join(dir, "log.sh"), "#!/bin/sh\nlogger \"$@\"\n", 0o755)
	write(t, filepath.Join(dir, "plain"), "#!/bin/sh\n", 0o644)
	return dir
}

// four are the four scripts as README has them, for a name.
func four(name string) string {
	var b strings.Builder
	for _, s := range states {
		b.WriteString(" " + s.keyword + ` "BIN/ctsync-notify ` + strings.ToLower(string(s.state)) + " " + name + "\"\n")
	}
	return b.String()
}

const (
	instanceA = "vrrp_instance A {\n interface sync0\n virtual_router_id 1\n" +
		" virtual_ipaddress {\n  192.0.2.1/24 dev sync0\n }\n"
	instanceB = "vrrp_instance B {\n interface sync0\n virtual_router_id 2\n" +
		" virtual_ipaddress_excluded { 192.0.2.9 }\n virtual_ipaddress { 192.0.2.2 }\n"
	both = instanceA + "}\n" + instanceB + "}\n"
	head = "vrrp_sync_group syncgrp {\n group { A B }\n"
)

// cases are configurations and what is said of them: "" that they are in order, "?" before a doubt. The files inc/...
// of a case are written beside the configuration.
var cases = []struct {
	name, text, says string
	instance         bool // instance = "A" is followed
}{
	{name: "four", text: both + head + four("syncgrp") + "}\n"},
	{name: "generic", text: both + head + " notify BIN/ctsync-notify\n}\n"},
	{name: "one line", text: both + `vrrp_sync_group "syncgrp"{group{A B}notify "BIN/ctsync-notify"}` + "\n"},
	{name: "brace below", text: both + "vrrp_sync_group syncgrp\n{\n group\n {\n A\n B\n }\n notify 'BIN/ctsync-notify'\n}\n"},
	{name: "comments", text: both + "! vrrp_sync_group no {\n" + head + "# notify_master x\n" + four("syncgrp") + "} # }\n"},
	{name: "no script", text: both + head + "}\n", says: "runs no notify script"},
	{name: "no stop", text: both + head + strings.Replace(four("syncgrp"), "notify_stop", "#", 1) + "}\n", says: "has no notify_stop"},
	{name: "no group", text: both, says: `has no vrrp_sync_group "syncgrp", which ctsync.toml names: it has none, but "A", "B"`},
	{name: "near", text: both + "vrrp_sync_group syncgroup {\n group { A B }\n}\n", says: `did you mean "syncgroup"?`},
	{name: "name with blanks", text: both + "vrrp_sync_group my syncgrp {\n group { A B }\n" + four("syncgrp") + "}\n", says: "has no vrrp_sync_group"},
	{name: "misspelt members", text: both + "vrrp_sync_group syncgrp {\n group { LAN WAN }\n" + four("syncgrp") + "}\n", says: `removes vrrp_sync_group "syncgrp"`},
	{name: "one misspelt member", text: both + "vrrp_sync_group syncgrp {\n group { A WAN }\n" + four("syncgrp") + "}\n", says: `no vrrp_instance is called "WAN"`},
	{name: "no members", text: both + "vrrp_sync_group syncgrp {\n" + four("syncgrp") + "}\n", says: "it has no members"},
	{name: "taken members", text: both + "vrrp_sync_group other {\n group { A B }\n}\n" + head + four("syncgrp") + "}\n", says: `"A" is in vrrp_sync_group "other" already`},
	{name: "second of a name", text: both + head + "}\n" + head + four("syncgrp") + "}\n", says: "runs no notify script"},
	{name: "instance tells", text: instanceA + four("syncgrp") + "}\n"},
	{name: "both instances tell", text: instanceA + four("syncgrp") + "}\n" + instanceB + four("syncgrp") + "}\n", says: "does not move the two together"},
	{name: "members tell", text: instanceA + four("syncgrp") + "}\n" + instanceB + four("syncgrp") + "}\n" + head + "}\n"},
	{name: "generic of an instance", text: instanceA + " notify BIN/ctsync-notify\n}\n", says: "has no vrrp_sync_group"},
	{name: "group is an instance", text: strings.Replace(instanceA, "A {", "syncgrp {", 1) + " notify BIN/ctsync-notify\n}\n", says: `write instance = "syncgrp"`},
	{name: "conntrackd", text: both + head + ` notify_master "BIN/primary-backup.sh primary"` + "\n}\n", says: "tells conntrackd and not ctsync"},
	{name: "another name", text: both + head + four("syncgroup") + "}\n", says: `reports "syncgroup", and ctsync.toml names sync-group syncgrp`},
	{name: "another state", text: both + head + strings.Replace(four("syncgrp"), "notify stop", "notify master", 1) + "}\n", says: "notify_stop of vrrp_sync_group \"syncgrp\": ctsync does not hear of it: it says MASTER"},
	{name: "redirection", text: both + head + strings.ReplaceAll(four("syncgrp"), " syncgrp\"", " syncgrp > /dev/null 2>&1\"") + "}\n", says: "keepalived runs no shell"},
	{name: "unquoted", text: both + head + strings.ReplaceAll(four("syncgrp"), `"`, "") + "}\n", says: "put the command with all its arguments into double quotes"},
	{name: "missing script", text: both + head + strings.ReplaceAll(four("syncgrp"), "ctsync-notify", "none") + "}\n", says: "none does not exist"},
	{name: "not executable", text: both + head + strings.ReplaceAll(four("syncgrp"), "ctsync-notify", "plain") + "}\n", says: "is not executable for user root"},
	{name: "own script", text: both + head + ` notify "BIN/own.sh"` + "\n}\n", says: "?mentions ctsync"},
	{name: "other script", text: both + head + ` notify "BIN/log.sh"` + "\n}\n", says: "?the word ctsync does not occur"},
	{name: "security", text: "global_defs {\n enable_script_security\n}\n" + both + head + four("syncgrp") + "}\n", says: "write script_user root"},
	{name: "security, root", text: "global_defs {\n enable_script_security\n script_user root\n}\n" + both + head + four("syncgrp") + "}\n"},
	{name: "unknown user", text: "global_defs {\n script_user nobodyknows\n}\n" + both + head + four("syncgrp") + "}\n", says: `there is no user "nobodyknows"`},
	{name: "user who may not act", text: "global_defs {\n script_user nobody\n}\n" + both + head + four("syncgrp") + "}\n", says: "who may not act on ctsyncd"},
	{name: "FIFO", text: "global_defs {\n vrrp_notify_fifo /run/f\n}\n" + both + head + "}\n", says: "?the reader of vrrp_notify_fifo"},
	{name: "include", text: "include inc/both\nincludea inc/g*p\n"},
	{name: "braces", text: "includer inc/{both,none,group}\n"},
	{name: "unknown include", text: both + head + four("syncgrp") + "}\nincludez inc/both\n", says: "?may include files"},
	{name: "executable include", text: "include inc/both\ninclude inc/run\n", says: "has no vrrp_sync_group"},
	{name: "definition", text: both + "$G=syncgrp\n$S=BIN/ctsync-notify\nvrrp_sync_group ${G} {\n group { A B }\n notify \"$S\"\n notify_stop \"${S} stop ${G}\"\n}\n", says: "?depends on where keepalived was started"},
	{name: "braced definition", text: both + "$G=syncgrp\n$S=BIN/ctsync-notify\nvrrp_sync_group $G {\n group { A B }\n notify \"${S}\"\n}\n"},
	{name: "several lines", text: both + "$B= \\\n vrrp_sync_group ${N} { \\\n group { A B } \\\n notify BIN/ctsync-notify \\\n }\n\n$N=syncgrp\n$B\n"},
	{name: "sequence", text: "~SEQ(n, 1, 2) vrrp_instance V${n} { interface sync0\n virtual_router_id 7\n", says: "?braces do not match"},
	{name: "list of names", text: both + "~LST(g, other, syncgrp) vrrp_sync_group ${g} { group { A B } notify BIN/ctsync-notify }\n", says: "already"},
	{name: "condition of no matter", text: both + head + "@main notify BIN/ctsync-notify\n@^main notify BIN/ctsync-notify\n}\n"},
	{name: "condition", text: both + head + "@main notify BIN/ctsync-notify\n}\n", says: "?depends on the config-id"},
	{name: "instance, generic", text: instanceA + " notify BIN/ctsync-notify\n}\n", instance: true},
	{name: "instance, four", text: instanceA + four("A") + "}\n", instance: true},
	{name: "instance, its group alone", text: both + head + " notify BIN/ctsync-notify\n}\n", instance: true, says: "runs no notify script"},
}

// file writes the configuration of a case with what it includes, and returns its path.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	text = strings.ReplaceAll(text, "BIN", dir)
	whole := strings.ReplaceAll(head+four("syncgrp")+"}\n", "BIN", dir)
	write(t, filepath.Join(dir, "inc", "both"), both, 0o644)
	write(t, filepath.Join(dir, "inc", "group"), whole, 0o644)
	write(t, filepath.Join(dir, "inc", "run"), whole, 0o755)
	path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".conf")
	write(t, path, text, 0o644)
	return path
}

func TestJudge(t *testing.T) {
	dir := lab(t)
	for _, c := range cases {
		follow := group
		if c.instance {
			follow = control.Followed{Type: control.TypeInstance, Name: "A"}
		}
		r := Read(file(t, dir, c.name, c.text))
		v := r.Judge(follow, Access{Known: true, UID: 77, ConnectGID: 77, ActGID: 77}, nil)
		want, doubt := strings.CutPrefix(c.says, "?")
		all := strings.Join(append(v.Wrong, v.Doubt...), "\n")
		if !strings.Contains(all, want) || (want == "") != (all == "") || doubt != (len(v.Doubt) > 0) {
			t.Errorf("%s: wrong %q, doubt %q, want %q", c.name, v.Wrong, v.Doubt, c.says)
		}
		// What keepalived has said of everything needs no reading.
		heard := Heard{"MASTER": true, "BACKUP": true, "FAULT": true, "STOP": true}
		if v := r.Judge(follow, Access{}, heard); len(v.Doubt) > 0 || len(v.Wrong) > 0 && c.name != "both instances tell" {
			t.Errorf("%s: heard all, and still %+v", c.name, v)
		}
	}
}

// What cannot be read is not in order.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		if v := Read(path).Judge(group, Access{}, nil); len(v.Wrong) > 0 || len(v.Doubt) != 1 {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

// FuzzRead: whatever the file holds, reading it ends, and an answer is one line.
func FuzzRead(f *testing.F) {
	for _, c := range cases {
		f.Add(c.text)
	}
	f.Add("$A=$A\n$A\n$B= \\\n $B \\\n $B\n\n$B\n~SEQ(i,1,9) ~SEQ(j,1,9) x\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := newReader(&system{host: "h"}, "h")
		r.text("/k.conf", strings.ReplaceAll(text, "include", ""))
		m := newModel(r)
		q := question{model: m, sys: r.sys, path: "/k.conf", follow: group}
		v := q.judge()
		for _, line := range append(v.Wrong, v.Doubt...) {
			if strings.ContainsAny(line, "\n\r") {
				t.Errorf("more than a line: %q", line)
			}
		}
	})
}
