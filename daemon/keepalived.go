package daemon

import (
	"log/slog"
	"net/netip"

	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/keepalived"
)

// followed is what cfg names.
func followed(cfg *config.Config) control.Followed {
	return control.FollowedBy(cfg.SyncGroup, cfg.Instance)
}

// Check reads the files that cfg names. The warnings say what is wrong with keepalived's configuration, or why it
// cannot be judged. A running daemon copes with it and shows them in its status.
func Check(cfg *config.Config) (warnings []string) {
	k := keepalived.Watch{
		Log: slog.New(slog.DiscardHandler), Own: func() ([]netip.Addr, error) { return nil, nil },
	}
	return k.Warnings(keepalived.Question{
		Path: cfg.KeepalivedConfig, Follow: followed(cfg), Access: keepalived.AccessBy(cfg.Socket, cfg.SocketGID, cfg.ControlGID),
		Role: control.RoleStop, // it has no daemon to which a role could have been reported
	})
}

// askKeepalived is what the daemon asks of keepalived's configuration now.
func (d *Daemon) askKeepalived() keepalived.Question {
	cfg := d.loaded.Load()
	state, since := d.roles.Current()
	q := keepalived.Question{
		Path: cfg.KeepalivedConfig, Follow: followed(cfg), Role: state.Role(), Since: since,
		Access: keepalived.AccessBy(d.cfg.Socket, d.cfg.SocketGID, d.cfg.ControlGID),
	}
	q.Hear(d.roles.History.List())
	return q
}
