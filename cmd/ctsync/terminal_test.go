package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ctsync/daemon/nstest"
)

// TestTerminalIsAskedNothing: a command sends no query to the terminal, because a serial console would not answer it.
func TestTerminalIsAskedNothing(t *testing.T) {
	nstest.RequireCommand(t, "script", "bsdutils")
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command("script", "-qec", filepath.Join(dir, "ctsync")+" --version", "/dev/null").Output()
	if err != nil || !strings.HasPrefix(string(out), "ctsync ") || strings.Contains(string(out), "\x1b") {
		t.Errorf("%v: %q", err, out)
	}
}
