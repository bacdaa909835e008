package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ctsync/daemon/config"
)

// The lab runs the shipped configuration: it must be valid, and have each setting once that the lab changes.
func TestShippedConfigurationAdapts(t *testing.T) {
	t.Chdir("../..")
	shipped, err := os.ReadFile(shippedConfig)
	if err != nil {
		t.Fatal(err)
	}
	c := &ctsync{lab: &Lab{Dir: "/run/x"}, router: &Router{Name: "router1", ID: 1}}
	text, err := c.adapt(string(shipped))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse("adapted", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got.Socket != "/run/x/router1-ctsync.sock" || got.StateDirectory != "/run/x/router1-state" ||
		got.SyncGroup != SyncGroup || len(got.Interfaces) != 1 || got.Interfaces[0].Name != SyncInterface {
		t.Errorf("adapted to %+v", got)
	}
}

// The script passes its arguments on unchanged and never fails, because keepalived could do nothing about a failure.
func TestNotifyScript(t *testing.T) {
	script, err := filepath.Abs("../ctsync-notify")
	if err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(t.TempDir(), "said")
	program := filepath.Join(t.TempDir(), "ctsync")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '<%s>' \"$@\" >"+said+"\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		program string
		args    []string
		want    string
	}{
		{program, []string{"master", "syncgrp"}, "<notify><master><syncgrp>"},
		{program, []string{"GROUP", "a group", "MASTER", "0"}, "<notify><GROUP><a group><MASTER><0>"},
		{"/nowhere/ctsync", []string{"stop"}, ""},
	} {
		os.Remove(said)
		cmd := exec.Command(script, test.args...)
		cmd.Env = append(os.Environ(), "CTSYNC="+test.program, "PATH=/nowhere")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%q: %v, output %q", test.args, err, out)
		}
		got, err := os.ReadFile(said)
		if string(got) != test.want || test.want != "" && err != nil {
			t.Errorf("%q: the program got %q, want %q", test.args, got, test.want)
		}
	}
}

// The script that the example calls must be where `make install` puts it.
func TestExampleNamesInstalledScript(t *testing.T) {
	t.Chdir("../..")
	example, err := os.ReadFile(keepalivedExample)
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir, name := filepath.Split(installedNotify)
	if !strings.Contains(string(makefile), strings.Replace(dir, "/usr/", "$(PREFIX)/", 1)+name) {
		t.Errorf("Makefile does not install %s", installedNotify)
	}
	for _, state := range []string{"master", "backup", "fault", "stop"} {
		if !strings.Contains(string(example), `"`+installedNotify+" "+state+" "+SyncGroup+`"`) {
			t.Errorf("the example does not report %s of the sync group", state)
		}
	}
}
