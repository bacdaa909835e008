package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"

	"ctsync/daemon/config"
)

func TestOutside(t *testing.T) {
	cfg := config.Default()
	f := fenceOf(cfg, "/etc/ctsync/ctsync.toml", "/usr/sbin/ctsyncd")
	if got := f.outside(f); len(got) > 0 {
		t.Errorf("its own places: %v", got)
	}
	other := *cfg
	other.StateDirectory, other.KeepalivedConfig = "/etc/state", "/srv/keepalived.conf"
	other.Socket = "/run/ctsync/deeper/socket"
	got := f.outside(fenceOf(&other, "/etcetera/ctsync.toml", "/usr/sbin/ctsyncd"))
	if diff := cmp.Diff([]string{"/etc/state", "/etcetera", "/srv"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The daemon says of places outside its fence that they need a new process: when it loads the configuration, and when
// it is asked to restart.
func TestFence(t *testing.T) {
	if v, err := landlock.LandlockGetABIVersion(); err != nil || v < 1 {
		t.Skipf("no landlock in this kernel: %v", err)
	}
	p := startProcess(t, syncNamespace(t), onSync0)
	p.hears("READY=1")
	elsewhere := publicDir(t)
	keepalived := filepath.Join(elsewhere, "keepalived.conf")
	writeFile(t, keepalived, "vrrp_sync_group other {\n}\n")
	p.configure("keepalived-config = '" + keepalived + "'\n" + onSync0)
	p.hears("STATUS=running, it may not use " + elsewhere + ": systemctl restart ctsyncd")
	p.logs("run systemctl restart ctsyncd")
	if got := p.status(); strings.Contains(got, "other") {
		t.Errorf("the daemon read a file outside the fence: %s", got)
	}
	status, answer := p.act("restart")
	if status != http.StatusConflict || !strings.Contains(answer, "systemctl restart ctsyncd") {
		t.Errorf("restart: %d, %s", status, answer)
	}
	p.configure(onSync0)
	p.hears("STATUS=running")
	for range 20 { // more than fences that can be nested
		if status, answer := p.act("restart"); status != http.StatusOK {
			t.Fatalf("restart: %d, %s", status, answer)
		}
		p.hears("STATUS=running")
	}
	if _, err := os.Stat(filepath.Join(p.dir, "state", "run.json")); err != nil {
		t.Error(err)
	}
	p.signal(syscall.SIGTERM)
	p.exits()
}
