package keepalived

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Watch remembers what is wrong with keepalived's configuration, so that it logs each complaint once. Its methods may
// be called from any goroutine.
type Watch struct {
	Log *slog.Logger

	mu          sync.Mutex
	at          time.Time // when the configuration was last read
	path, group string    // what was asked for then
	complaints  []string
}

// fresh is how long an answer of Watch is good enough: ctsync show status shows a repaired file after that time, and a
// monitor that asks every second does not make the daemon read the file every second.
const fresh = 5 * time.Second

// Complaints says what is certainly wrong with the sync group in the configuration at path; see Config.Complaints. A
// file that does not exist or cannot be read is no complaint. It logs a complaint that it did not return the time
// before.
func (w *Watch) Complaints(path, group string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == path && w.group == group && time.Since(w.at) < fresh {
		return w.complaints
	}
	before := w.complaints
	w.at, w.path, w.group, w.complaints = time.Now(), path, group, nil
	c, err := Read(path)
	if err != nil {
		w.Log.Debug("keepalived's configuration is not checked", "err", err)
		return nil
	}
	if c.Doubt != "" {
		w.Log.Debug("keepalived's configuration is understood only in part", "file", c.Path, "why", c.Doubt)
	}
	w.complaints = c.Complaints(group)
	for _, text := range w.complaints {
		if !slices.Contains(before, text) {
			w.Log.Warn(text)
		}
	}
	return w.complaints
}
