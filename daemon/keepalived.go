package daemon

import (
	"slices"
	"sync"
	"time"

	"ctsync/daemon/config"
)

// keepalivedWatch remembers what is wrong with keepalived's configuration as far as this router depends on it.
type keepalivedWatch struct {
	mu          sync.Mutex
	at          time.Time // when it was looked at
	path, group string    // for which
	complaints  []string
}

// keepalivedFresh is for how long a look at keepalived's configuration is good enough for ctsync show status: whoever
// mends the file sees it, and a monitor that asks every second does not have it read every second.
const keepalivedFresh = 5 * time.Second

// keepalivedComplaints says what is certainly wrong with keepalived's configuration: see config.Keepalived.Complaints. A
// file that is not there or cannot be read says nothing. What is new is logged.
func (d *Daemon) keepalivedComplaints() []string {
	cfg := d.loaded.Load()
	w := &d.keepalived
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == cfg.KeepalivedConfig && w.group == cfg.SyncGroup && time.Since(w.at) < keepalivedFresh {
		return w.complaints
	}
	before := w.complaints
	w.at, w.path, w.group, w.complaints = time.Now(), cfg.KeepalivedConfig, cfg.SyncGroup, nil
	k, err := config.ReadKeepalived(cfg.KeepalivedConfig)
	if err != nil {
		d.log.Debug("keepalived's configuration is not looked through", "err", err)
		return nil
	}
	if k.Doubt != "" {
		d.log.Debug("keepalived's configuration is not understood to the last", "file", k.Path, "why", k.Doubt)
	}
	w.complaints = k.Complaints(cfg.SyncGroup)
	for _, c := range w.complaints {
		if !slices.Contains(before, c) {
			d.log.Warn(c)
		}
	}
	return w.complaints
}
