package main

import (
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// Messages to systemd, see sd_notify(3).
const (
	ready    = systemd.SdNotifyReady
	stopping = systemd.SdNotifyStopping
	watchdog = systemd.SdNotifyWatchdog
)

// reloading carries the time that Type=notify-reload needs.
func reloading() string {
	return systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec()
}

// status is the line that systemctl status shows.
func status(text string) string { return "STATUS=" + text }

// notify sends a message to systemd, where there is one.
func (s *service) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		s.log.Warn("cannot notify systemd", "err", err)
	}
}

// watchdogPeriod returns how often to feed systemd's watchdog: twice within its timeout. It is 0 without a watchdog.
func watchdogPeriod(log *slog.Logger) time.Duration {
	timeout, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot read systemd's watchdog settings: the watchdog is not fed", "err", err)
	}
	return timeout / 2
}
