package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"ctsync/daemon/config"
)

// TestNewLeavesNothingOpen: a daemon that cannot start gives back what it had opened by then.
func TestNewLeavesNothingOpen(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	cfg := config.Default()
	cfg.Socket = filepath.Join(t.TempDir(), "file", "ctsync.sock")
	if err := os.WriteFile(filepath.Dir(cfg.Socket), nil, 0o600); err != nil { // no directory
		t.Fatal(err)
	}
	opt := Options{Logger: slog.New(slog.DiscardHandler)}
	if _, err := New(t.Context(), cfg, opt); err == nil {
		t.Fatal("a daemon without a socket")
	}
	before := open()
	for range 5 {
		if _, err := New(t.Context(), cfg, opt); err == nil {
			t.Fatal("a daemon without a socket")
		}
	}
	if now := open(); now > before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}
