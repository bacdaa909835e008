package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args           []string
		status         int
		stdout, stderr string // their beginnings
	}{
		{[]string{"--help"}, exitDone, usage, ""},
		{[]string{"--version"}, exitDone, "ctsync-exporter unknown\n", ""},
		{[]string{"--web.listen"}, exitUsage, "", "ctsync-exporter: flag provided but not defined: -web.listen\n" + usage},
		{[]string{"x"}, exitUsage, "", "ctsync-exporter: unexpected argument \"x\"\n" + usage},
		{[]string{"--web.listen-address=9780"}, exitUsage, "", `ctsync-exporter: invalid value "9780" for flag -web.listen-address: want an address with a port, such as 127.0.0.1:9780`},
		{[]string{"--web.listen-address=localhost:9780"}, exitUsage, "", `ctsync-exporter: invalid value "localhost:9780" for flag -web.listen-address: want a numeric address`},
		{[]string{"--web.listen-address=192.0.2.1:0"}, exitUsage, "", "ctsync-exporter: invalid value"},
		{[]string{"--web.config.file=/missing.yml"}, exitFailure, "", "ctsync-exporter: read web configuration /missing.yml: "},
	} {
		var stdout, stderr bytes.Buffer
		status := run(tt.args, &stdout, &stderr)
		fits := strings.HasPrefix(stdout.String(), tt.stdout) && strings.HasPrefix(stderr.String(), tt.stderr)
		silent := (tt.stdout != "" || stdout.Len() == 0) && (tt.stderr != "" || stderr.Len() == 0)
		if status != tt.status || !fits || !silent {
			t.Errorf("%q: status %d, %q, %q", tt.args, status, stdout.String(), stderr.String())
		}
	}
	opt, err := parseFlags([]string{"--web.listen-address", ":1", "--web.listen-address=[2001:db8::1]:2"})
	if err != nil || strings.Join(opt.addresses, " ") != ":1 [2001:db8::1]:2" {
		t.Errorf("%+v, %v", opt, err)
	}
	if opt, err := parseFlags(nil); err != nil || strings.Join(opt.addresses, " ") != defaultAddress {
		t.Errorf("%+v, %v", opt, err)
	}
}

// TestCompletion: the scripts of the shells have every flag, and no other.
func TestCompletion(t *testing.T) {
	flags := regexp.MustCompile(`(?m)^  --([a-z.-]+)`).FindAllStringSubmatch(usage, -1)
	for name, one := range map[string]string{
		"ctsync-exporter.bash": `--([a-z.-]+)`, "_ctsync-exporter": `'\*?--([a-z.-]+)`,
		"ctsync-exporter.fish": ` -l ([a-z.-]+)`,
	} {
		script, err := os.ReadFile(filepath.Join("completion", name))
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(one).FindAllSubmatch(script, -1) {
			found[string(m[1])] = true
		}
		for _, f := range flags {
			if !found[f[1]] {
				t.Errorf("%s does not have --%s", name, f[1])
			}
			delete(found, f[1])
		}
		delete(found, "help")
		if len(found) > 0 || len(flags) < 4 {
			t.Errorf("%s has also %v; %d flags", name, found, len(flags))
		}
	}
}
