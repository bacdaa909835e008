package main

import (
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// What is told to systemd (sd_notify(3)).
const (
	ready    = systemd.SdNotifyReady
	stopping = systemd.SdNotifyStopping
	watchdog = systemd.SdNotifyWatchdog
)

// reloading comes with the time that Type=notify-reload wants.
func reloading() string {
	return systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec()
}

// status is the line that systemctl status shows.
func status(text string) string { return "STATUS=" + text }

// tell does nothing where no systemd listens.
func (s *service) tell(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		s.log.Warn("systemd is not reachable", "err", err)
	}
}

// watchdogPeriod is how often systemd's watchdog wants to be fed, half its timeout; 0 without a watchdog.
func watchdogPeriod(log *slog.Logger) time.Duration {
	timeout, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog is set wrongly and stays unfed", "err", err)
	}
	return timeout / 2
}
