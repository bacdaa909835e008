package keepalived

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseFiles parses the first of files (name, text, name, text, ...); a name that ends in "!" cannot be read.
func parseFiles(files ...string) *Config {
	read := func(path string) (string, error) {
		for i := 0; i < len(files); i += 2 {
			if files[i] == path {
				return files[i+1], nil
			}
		}
		return "", errors.New("permission denied")
	}
	match := func(pattern string) (paths []string, err error) {
		for i := 0; i < len(files); i += 2 {
			name := strings.TrimSuffix(files[i], "!")
			ok, err := filepath.Match(pattern, name)
			if err != nil {
				return nil, err
			}
			if ok {
				paths = append(paths, name)
			}
		}
		return paths, nil
	}
	return parse(files[0], files[1], read, match)
}

const usualGroup = `vrrp_sync_group syncgrp {
  group {
    V1
  }
  notify_master "/usr/libexec/ctsync/ctsync-notify master syncgrp"
  notify_backup "/usr/libexec/ctsync/ctsync-notify backup syncgrp"
  notify_fault  "/usr/libexec/ctsync/ctsync-notify fault syncgrp"
  notify_stop   "/usr/libexec/ctsync/ctsync-notify stop syncgrp"
}
`

func TestGroups(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		names string // in the order of the file, those in doubt with a ?
		doubt bool   // there may be more
	}{
		"usual":             {usualGroup, "syncgrp", false},
		"none":              {"vrrp_instance V1 {\n interface eth0\n}\n", "", false},
		"one line":          {`vrrp_sync_group G { group { A B } notify "/bin/true" }`, "G", false},
		"brace below":       {"vrrp_sync_group \"my group\"\n{\n group {\n  A\n }\n}\n", "my group", false},
		"brace attached":    {"vrrp_sync_group G{\n group{\n A\n }}\nvrrp_sync_group H {\n}\n", "G H", false},
		"comments":          {"! vrrp_sync_group A {\n# vrrp_sync_group B {\nvrrp_sync_group C { # }\n}!{\n", "C", false},
		"quoted marks":      {"vrrp_sync_group \"a#b!c{d}\" {\n}\n", "a#b!c{d}", false},
		"escaped":           {`vrrp_sync_group a\#b {` + "\n}\n", "a#b", false},
		"continued":         {"vrrp_sync_group \\\n G \\\n {\n}\n", "G", false},
		"carriage returns":  {"vrrp_sync_group G {\r\n group {\r\n A\r\n }\r\n}\r\n", "G", false},
		"member, no group":  {"vrrp_sync_group G {\n group {\n vrrp_sync_group\n }\n}\n", "G", false},
		"no name":           {"vrrp_sync_group {\n}\nvrrp_sync_group G {\n}\n", "G", false},
		"quoted keyword":    {"global_defs {\n router_id \"vrrp_sync_group\"\n}\n", "", false},
		"condition":         {"@main vrrp_sync_group M {\n@main group {\n@main A\n@main }\n@main }\nvrrp_sync_group G {\n}\n", "M? G", false},
		"alternatives":      {"@main vrrp_sync_group M {\n@^main vrrp_sync_group B {\n group {\n A\n }\n}\nvrrp_sync_group G {\n}\n", "M? B? G", false},
		"other alternative": {"@main vrrp_instance M {\n@^main vrrp_instance B {\n interface eth0\n}\n" + usualGroup, "syncgrp", false},
		"inner condition":   {"vrrp_sync_group G {\n@main notify \"/bin/true\"\n}\n", "G?", false},
		"definition":        {"$N=1\nvrrp_instance V {\n virtual_router_id $N\n}\n" + usualGroup, "syncgrp", false},
		"defined name":      {"$N=1\nvrrp_sync_group G$N {\n}\n", "G$N", true},
		"quoted definition": {"vrrp_sync_group \"G${N}\" {\n}\n", "G${N}", true},
		"defined block":     {"$B=vrrp_sync_group G \\\n{ \\\n}\n$B\n", "", true},
		"used block":        {"$B\n", "", true},
		"repeated":          {"~SEQ(i, 1, 2) vrrp_sync_group G$i {\n}\n", "", true},
		"open":              {"vrrp_instance A {\n" + usualGroup, "", true},
		"closed twice":      {"}\n" + usualGroup, "syncgrp", true},
	} {
		k := parseFiles("/k.conf", c.text)
		var names []string
		for _, g := range k.Groups {
			if g.Doubt {
				g.Name += "?"
			}
			names = append(names, g.Name)
		}
		if got := strings.Join(names, " "); got != c.names || k.Doubt != "" != c.doubt {
			t.Errorf("%s: groups %q, doubt %q; want %q, doubt %v", name, got, k.Doubt, c.names, c.doubt)
		}
	}
}

func TestIncludes(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
		doubt bool
	}{
		"relative":      {[]string{"/etc/k/k.conf", "include sub/*.conf\n", "/etc/k/sub/a.conf", usualGroup, "/etc/k/a.conf", "vrrp_sync_group wrong {\n}\n"}, "syncgrp", false},
		"of an include": {[]string{"/etc/k/k.conf", "include sub/a.conf\n", "/etc/k/sub/a.conf", "include \"b.conf\"\n", "/etc/k/sub/b.conf", usualGroup}, "syncgrp", false},
		"absolute":      {[]string{"/k.conf", "includer /etc/[ab].conf # both\n", "/etc/a.conf", "vrrp_sync_group A {\n}\n", "/etc/b.conf", "vrrp_sync_group B {\n}\n"}, "A B", false},
		"inside":        {[]string{"/k.conf", "vrrp_sync_group G {\n include /n.conf\n}\n", "/n.conf", "notify /x\n"}, "G", false},
		"none":          {[]string{"/k.conf", "include /none/*.conf\n"}, "", false},
		"unreadable":    {[]string{"/k.conf", "include /secret.conf\n", "/secret.conf!", ""}, "", true},
		"itself":        {[]string{"/k.conf", "include /k.conf\ninclude /k.conf\n"}, "", true},
		"braces":        {[]string{"/k.conf", "include \"/{a,b}.conf\"\n"}, "", true},
		"bad pattern":   {[]string{"/k.conf", "include /[.conf\n"}, "", true},
	} {
		k := parseFiles(c.files...)
		var names []string
		for _, g := range k.Groups {
			names = append(names, g.Name)
		}
		if got := strings.Join(names, " "); got != c.want || k.Doubt != "" != c.doubt {
			t.Errorf("%s: groups %q, doubt %q; want %q, doubt %v", name, got, k.Doubt, c.want, c.doubt)
		}
	}
}

func TestComplaints(t *testing.T) {
	silent := "vrrp_sync_group syncgrp {\n group {\n A\n }\n}\n"
	for name, c := range map[string]struct{ text, group, want string }{
		"well":            {usualGroup, "syncgrp", ""},
		"generic":         {"vrrp_sync_group G {\n notify /x\n}\n", "G", ""},
		"missing":         {usualGroup, "VG1", `/k.conf has no vrrp_sync_group "VG1", which sync-group names: it has "syncgrp"`},
		"near":            {usualGroup, "syncgroup", `/k.conf has no vrrp_sync_group "syncgroup", which sync-group names: it has "syncgrp"; did you mean "syncgrp"?`},
		"case":            {usualGroup, "SYNCGRP", `/k.conf has no vrrp_sync_group "SYNCGRP", which sync-group names: it has "syncgrp"; did you mean "syncgrp"?`},
		"none at all":     {"", "G", `/k.conf has no vrrp_sync_group "G", which sync-group names: it has no sync group`},
		"missing, doubt":  {"$B\n", "G", ""},
		"no script":       {silent, "syncgrp", `vrrp_sync_group "syncgrp" in /k.conf runs no notify script: ctsync does not hear of its transitions, see keepalived.conf.example`},
		"some scripts":    {strings.Replace(usualGroup, "notify_stop", "#", 1), "syncgrp", `vrrp_sync_group "syncgrp" in /k.conf has no notify_stop: ctsync does not hear of these transitions`},
		"FIFO":            {"global_defs {\n vrrp_notify_fifo /run/f\n}\n" + silent, "syncgrp", ""},
		"D-Bus":           {silent + "global_defs {\n enable_dbus\n}\n", "syncgrp", ""},
		"hidden FIFO":     {"$B\n" + silent, "syncgrp", ""},
		"condition":       {"@main " + silent, "syncgrp", ""},
		"member's script": {silent + "vrrp_instance A {\n notify /x\n}\n", "syncgrp", `vrrp_sync_group "syncgrp" in /k.conf runs no notify script: ctsync does not hear of its transitions, see keepalived.conf.example`},
		"script included": {"vrrp_sync_group G {\n include none\n}\n", "G", `vrrp_sync_group "G" in /k.conf runs no notify script: ctsync does not hear of its transitions, see keepalived.conf.example`},
	} {
		got := strings.Join(parseFiles("/k.conf", c.text).Complaints(c.group), "\n")
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	many := ""
	for _, g := range strings.Fields("a b c d e f g h i j") {
		many += "vrrp_sync_group " + g + " {\n}\n"
	}
	got := parseFiles("/k.conf", many).Complaints("x")[0]
	if !strings.HasSuffix(got, `it has "a", "b", "c", "d", "e", "f", "g", "h", 2 more`) {
		t.Errorf("many groups: %s", got)
	}
}

// write writes a file with the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k.conf")
	if _, err := Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(dir); err == nil {
		t.Error("a directory was read")
	}
	write(t, path, "include *.inc\n")
	write(t, filepath.Join(dir, "g.inc"), usualGroup)
	c, err := Read(path)
	if err != nil || len(c.Groups) != 1 || c.Path != path || c.Doubt != "" || len(c.Complaints("syncgrp")) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// Whatever the file holds, reading it ends, a complaint is one line, and no group that exists is said to be missing.
func FuzzRead(f *testing.F) {
	f.Add(usualGroup, "syncgrp")
	f.Add("@a vrrp_sync_group A {\n@b vrrp_sync_group B {\n}\ninclude /k.conf\n$X=${Y}\\\n~SEQ(i,1,2)\n", "B")
	f.Add("vrrp_sync_group \"\\\"{\" { } } ! \\", "\"{")
	f.Fuzz(func(t *testing.T, text, group string) {
		k := parseFiles("/k.conf", text)
		for _, c := range k.Complaints(group) {
			if strings.ContainsAny(c, "\n\r") {
				t.Errorf("more than a line: %q", c)
			}
		}
		for _, g := range k.Groups {
			for _, c := range k.Complaints(g.Name) {
				if strings.Contains(c, "has no vrrp_sync_group") {
					t.Errorf("%q is there and is said to be missing", g.Name)
				}
			}
		}
	})
}
