package keepalived

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A complaint is logged when it is new, and the file is not read at every question.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keepalived.conf")
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		w := Watch{Log: slog.New(slog.NewTextHandler(&log, nil))}
		ask := func(when, group string, complaints, logged int) {
			t.Helper()
			if got := w.Complaints(path, group); len(got) != complaints {
				t.Errorf("%s: %q, want %d", when, got, complaints)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != logged {
				t.Errorf("%s: %d complaints logged, want %d:\n%s", when, n, logged, log.String())
			}
		}
		ask("no file", "syncgrp", 0, 0)
		write(t, path, "vrrp_sync_group other {\n}\n")
		ask("at once", "syncgrp", 0, 0)
		time.Sleep(fresh)
		ask("later", "syncgrp", 1, 1)
		time.Sleep(fresh)
		ask("again", "syncgrp", 1, 1)
		ask("another group", "other", 1, 2)
		write(t, path, usualGroup)
		ask("repaired, at once", "other", 1, 2)
		time.Sleep(fresh)
		ask("repaired, but for the group", "other", 1, 3)
		ask("repaired", "syncgrp", 0, 3)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(fresh)
		ask("removed", "syncgrp", 0, 3)
	})
}
