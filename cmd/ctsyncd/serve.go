package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon"
	"ctsync/daemon/config"
	"ctsync/daemon/lastrun"
)

// service is a running daemon with its surroundings: signals, the configuration file, systemd.
type service struct {
	path    string // of the configuration file
	daemon  *daemon.Daemon
	inUse   *config.Config // the configuration in force
	state   string         // the line that systemctl status shows
	refused bool           // the file was refused when it was last loaded
	log     *slog.Logger
	out     *output
	asked   chan os.Signal // SIGHUP
	run     *lastrun.Run   // nil where it cannot be recorded

	unrecorded error // why not

	program    string // path by which this program was started
	fence      fence
	end        func() // ends the run of the daemon
	restarting atomic.Bool
}

// serve runs the daemon until SIGTERM or SIGINT, or until it fails. A second signal ends the process at once.
// errRestart asks the caller to execute the program at opt.program in this process.
func serve(opt options, out *output) (err error) {
	// Go ends a process that writes to a broken pipe on stderr. The daemon must survive the end of its log reader.
	signal.Ignore(unix.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	ctx, end := context.WithCancel(ctx)
	defer end()
	recent := daemon.NewRecent(out.logger(opt.debug).Handler())
	s := &service{
		path: opt.config, program: opt.program, end: end, out: out, log: slog.New(recent),
		state: status("running"), asked: make(chan os.Signal, 1),
	}
	signal.Notify(s.asked, unix.SIGHUP)
	defer out.start()()

	if s.inUse, err = config.Load(s.path); err != nil {
		return err
	}
	out.noSyslog.Store(s.inUse.DisableSyslog)
	s.fence = fenceOf(s.inUse, s.path, s.program)
	if err := s.fence.enforce(); err != nil {
		return err
	}
	s.beginRun(s.inUse.StateDirectory)
	defer func() { s.endRun(err) }()
	s.daemon, err = daemon.New(ctx, s.inUse, daemon.Options{
		Logger: s.log, Recent: recent, Version: buildVersion(), Restart: s.restart, Restarts: s.run.Restarts(),
	})
	if err != nil && errors.Is(err, ctx.Err()) { // stopped before it could begin
		return nil
	}
	if err != nil {
		return err
	}
	s.reportRun()
	announced := make(chan struct{})
	announce := context.AfterFunc(ctx, func() {
		defer close(announced)
		stop()
		s.endRun(nil) // that it ends is in order from here on, however long it takes
		if s.restarting.Load() {
			s.log.Info("restarting", "program", s.program)
			s.notify(reloading())
			return
		}
		s.log.Info("stopping")
		s.notify(stopping)
	})
	go s.attend(ctx) // nobody waits for it: the end of the daemon is what counts
	err = s.daemon.Run(ctx)
	if !announce() {
		<-announced
	}
	if err == nil && s.restarting.Load() {
		return errRestart
	}
	return err
}

// attend feeds systemd's watchdog, reports when the daemon is ready, and then loads the configuration file again when
// it changes or SIGHUP arrives.
func (s *service) attend(ctx context.Context) {
	if period := watchdogPeriod(s.log); period > 0 { // before READY: during a restart the watchdog keeps running
		go s.feedWatchdog(ctx, period, s.daemon.Ping) // a round trip through the core loop
	}
	select {
	case <-ctx.Done():
		return
	case <-s.daemon.Ready():
	}
	s.notify(ready + "\n" + s.state)
	changed := make(chan struct{}, 1)
	go s.watchFile(ctx, changed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
			s.reload(true)
		case <-changed:
			s.reload(false)
		}
	}
}

// watchFile sends on changed when the configuration file may have changed. Changes before the last one is received are
// one.
func (s *service) watchFile(ctx context.Context, changed chan<- struct{}) {
	err := config.Watch(ctx, s.path, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		s.log.Warn("cannot watch the configuration file: send SIGHUP after changing it", "err", err)
	}
}

// reload loads the configuration file and passes it to the daemon if it differs. asked says that SIGHUP asked for it. A
// file that is refused changes nothing.
func (s *service) reload(asked bool) {
	cfg, err := config.Load(s.path)
	if err == nil && !asked && len(cfg.Changes(s.inUse)) == 0 {
		if s.refused { // and is again what is in force
			s.refused = false
			s.notify(s.state)
		}
		return
	}
	s.notify(reloading())
	defer s.notify(ready)
	if err != nil {
		s.log.Error("configuration refused, the old one stays in force: correct the file", "file", s.path)
		s.out.print(severityError, err.Error())
		s.notify(status("running with an older configuration: the file is refused"))
		s.refused = true
		return
	}
	s.refused = false
	defer func() { s.notify(s.state) }()
	if len(cfg.Changes(s.inUse)) == 0 {
		s.log.Info("configuration is unchanged", "file", s.path)
		return
	}
	s.inUse = cfg
	s.out.noSyslog.Store(cfg.DisableSyslog)
	s.state = status("running")
	if restart := s.daemon.Reload(cfg); len(restart) > 0 {
		s.log.Warn("some settings wait for a restart: run ctsync restart", "keys", restart)
		s.state = status("running, a restart is needed for " + strings.Join(restart, ", "))
	}
	if places := s.fence.outside(fenceOf(cfg, s.path, s.program)); len(places) > 0 {
		s.log.Warn("the daemon may not use places that the configuration names now: run systemctl restart ctsyncd",
			"places", places)
		s.state = status("running, it may not use " + strings.Join(places, ", ") + ": systemctl restart ctsyncd")
	}
}

// feedWatchdog notifies systemd's watchdog every period while ping succeeds, so that systemd restarts a daemon that
// hangs.
func (s *service) feedWatchdog(ctx context.Context, period time.Duration, ping func(context.Context) error) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, period)
		err := ping(within)
		cancel()
		switch {
		case err == nil:
			s.notify(watchdog)
		case ctx.Err() == nil:
			s.log.Error("core loop does not answer: systemd will restart the daemon", "within", period, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
