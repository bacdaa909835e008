package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/config"
)

// asDaemon makes the test binary behave as ctsyncd, so that tests need not build it.
const asDaemon = "CTSYNCD_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		if os.Getenv(panics) != "" {
			asked := make(chan os.Signal, 1)
			signal.Notify(asked, syscall.SIGUSR1)
			go func() {
				<-asked
				panic("for the test")
			}()
		}
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const minimal = "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.eth0]\n"

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	good, bad, missing := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "missing")
	writeFile(t, good, "keepalived-config = '"+missing+"'\n"+minimal)
	writeFile(t, bad, "cache_limit = 5\n"+minimal+"port = 0\n")
	badText := bad + `:1:1: unknown key "cache_limit"; did you mean "cache-limit"?` + "\n" +
		bad + `:5:8: port = 0 is out of range: 1 to 65535` + "\n"

	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"check good", []string{"--check", "--config", good}, 0, good + ": ok\n",
			good + ": warning: " + missing + " does not exist: keepalived is not checked; if its configuration is elsewhere, " +
				"set keepalived-config\n"},
		{"check bad", []string{"--check", "--config=" + bad}, 1, "", badText},
		{"check missing", []string{"--check", "--config", missing}, 1, "",
			"read configuration: open " + missing + ": no such file or directory\n"},
		{"start with a bad file", []string{"--config", bad}, 1, "",
			"ctsyncd: " + strings.Replace(badText, "\n", "\nctsyncd: ", 1)},
		{"start with a bad file, to the journal", []string{"--log", "journal", "--config", bad}, 1, "",
			"<3>ctsyncd: " + strings.Replace(badText, "\n", "\n<3>ctsyncd: ", 1)},
		{"help", []string{"--help"}, 0, usage, ""},
		{"unknown flag", []string{"--chek"}, exitUsage, "", "ctsyncd: flag provided but not defined: -chek\n" + usage},
		{"flag without a value", []string{"--config"}, exitUsage, "", "ctsyncd: flag needs an argument: -config\n" + usage},
		{"argument", []string{"--check", good}, exitUsage, "", fmt.Sprintf("ctsyncd: unexpected argument %q\n%s", good, usage)},
		{"kind of log", []string{"--log", "file"}, exitUsage, "",
			"ctsyncd: --log \"file\": want auto, stderr, journal or syslog\n" + usage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := command(t, tt.args...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if diff := cmp.Diff(tt.stdout, stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.stderr, stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := command(t, "--version")
	if status != 0 || stderr != "" || !regexp.MustCompile(`^ctsyncd \S+\n$`).MatchString(stdout) {
		t.Errorf("--version: status %d, %q, %q", status, stdout, stderr)
	}
	version = "1.2.3"
	defer func() { version = "" }()
	if got := buildVersion(); got != "1.2.3" {
		t.Errorf("version set by the linker is 1.2.3, reported as %q", got)
	}
}

// Every key of the example exists, and every default that it shows is the default.
func TestShippedConfiguration(t *testing.T) {
	const path = "../../scripts/ctsync.toml"
	if status, stdout, stderr := command(t, "--check", "--config", path); status != 0 || stdout != path+": ok\n" {
		t.Fatalf("--check: status %d, %q, %q", status, stdout, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.SyncGroup, want.Interfaces = "syncgrp", []config.Interface{{Name: "eth2", Port: config.DefaultPort}}

	commented := regexp.MustCompile(`(?m)^#([a-z])`)
	for _, text := range [][]byte{text, commented.ReplaceAll(text, []byte("$1"))} {
		got, err := config.Parse(path, text)
		if err != nil {
			t.Fatal(err)
		}
		if changes := got.Changes(want); len(changes) > 0 {
			t.Errorf("differs from the defaults: %+v", changes)
		}
	}
	if n := len(commented.FindAll(text, -1)); n < 15 {
		t.Errorf("the example shows %d defaults, are they still written #key?", n)
	}
}

// command runs ctsyncd to its end.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asDaemon+"=1")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// --check warns of what is wrong in keepalived's configuration; ours is valid all the same.
func TestCheckKeepalived(t *testing.T) {
	dir := t.TempDir()
	path, keepalived := filepath.Join(dir, "ctsync.toml"), filepath.Join(dir, "keepalived.conf")
	writeFile(t, path, fmt.Sprintf("keepalived-config = %q\n%s", keepalived, minimal))
	const missing = ` has no vrrp_sync_group "g", which ctsync.toml names: it has "G"; did you mean "G"?`
	for text, want := range map[string]string{
		"":                         path + ": warning: " + keepalived + " does not exist: keepalived is not checked; if its configuration is elsewhere, set keepalived-config\n",
		"vrrp_sync_group G {\n}\n": path + ": warning: " + keepalived + missing + "\n",
		"vrrp_instance A {\n}\nvrrp_sync_group g {\n group { A }\n notify /x\n}\n": path + ": warning: " + keepalived +
			":5: notify of vrrp_sync_group \"g\": ctsync does not hear of it: /x does not exist\n",
	} {
		if text != "" {
			writeFile(t, keepalived, text)
		}
		status, stdout, stderr := command(t, "--check", "--config", path)
		if status != 0 || stdout != path+": ok\n" || stderr != want {
			t.Errorf("%q: status %d, %q, %q; want %q", text, status, stdout, stderr, want)
		}
		os.Remove(keepalived)
	}
}
