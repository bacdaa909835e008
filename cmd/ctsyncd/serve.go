package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon"
	"ctsync/daemon/config"
)

// service is a running daemon with what the system around it sends: signals, a changed file, systemd's questions.
type service struct {
	path    string
	daemon  *daemon.Daemon
	inUse   *config.Config // as last accepted
	state   string         // what systemctl status says of it
	refused bool           // the file was not accepted when it was last looked at
	log     *slog.Logger
	out     *output
	asked   chan os.Signal // SIGHUP

	program    string // path by which this one was started
	end        func() // ends this life
	restarting atomic.Bool
}

// serve runs the daemon until SIGTERM or SIGINT, or until it fails. A second signal ends the process at once. errRestart
// means that the program at opt.program is to be executed anew.
func serve(opt options, out *output) error {
	// Go ends a process whose stderr is a broken pipe; this one must not die of a log reader that went away.
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

	var err error
	if s.inUse, err = config.Load(s.path); err != nil {
		return err
	}
	out.noSyslog.Store(s.inUse.DisableSyslog)
	s.daemon, err = daemon.New(s.inUse, daemon.Options{Logger: s.log, Recent: recent, Version: buildVersion(), Restart: s.restart})
	if err != nil {
		return err
	}
	announced := make(chan struct{})
	announce := context.AfterFunc(ctx, func() {
		defer close(announced)
		stop()
		if s.restarting.Load() {
			s.log.Info("restarting", "program", s.program)
			s.tell(reloading())
			return
		}
		s.log.Info("stopping")
		s.tell(stopping)
	})
	// Nobody waits for attend: the daemon's own end is what counts.
	go s.attend(ctx)
	err = s.daemon.Run(ctx)
	if !announce() {
		<-announced
	}
	if err == nil && s.restarting.Load() {
		return errRestart
	}
	return err
}

// attend answers systemd's watchdog, announces the daemon when it is ready, and then loads the file anew when asked.
func (s *service) attend(ctx context.Context) {
	if period := watchdogPeriod(s.log); period > 0 { // it runs on over a restart, so not only when ready
		go s.feedWatchdog(ctx, period, s.daemon.Ping) // a round trip through the core loop
	}
	select {
	case <-ctx.Done():
		return
	case <-s.daemon.Ready():
	}
	s.tell(ready + "\n" + s.state)
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

// watchFile sends on changed when the file may have changed; several changes that nobody took yet are one.
func (s *service) watchFile(ctx context.Context, changed chan<- struct{}) {
	err := config.Watch(ctx, s.path, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		s.log.Warn("the configuration file is not watched: SIGHUP loads it", "err", err)
	}
}

// reload loads the file and hands it to the daemon if it differs; asked says that it was SIGHUP. A file that is refused
// changes nothing.
func (s *service) reload(asked bool) {
	cfg, err := config.Load(s.path)
	if err == nil && !asked && len(cfg.Changes(s.inUse)) == 0 {
		if s.refused { // and is now as it was
			s.refused = false
			s.tell(s.state)
		}
		return
	}
	s.tell(reloading())
	defer s.tell(ready)
	if err != nil {
		s.log.Error("configuration refused, the one in use stays", "file", s.path)
		s.out.print(severityError, err.Error())
		s.tell(status("running with an older configuration: the file is refused"))
		s.refused = true
		return
	}
	s.refused = false
	defer func() { s.tell(s.state) }()
	if len(cfg.Changes(s.inUse)) == 0 {
		s.log.Info("configuration is unchanged", "file", s.path)
		return
	}
	s.inUse = cfg
	s.out.noSyslog.Store(cfg.DisableSyslog)
	s.state = status("running")
	if restart := s.daemon.Reload(cfg); len(restart) > 0 {
		s.log.Warn("some settings wait for a restart", "keys", restart)
		s.state = status("running, a restart is needed for " + strings.Join(restart, ", "))
	}
}

// feedWatchdog answers systemd's watchdog every period for as long as ping succeeds: a daemon that hangs is restarted.
func (s *service) feedWatchdog(ctx context.Context, period time.Duration, ping func(context.Context) error) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, period)
		err := ping(within)
		cancel()
		switch {
		case err == nil:
			s.tell(watchdog)
		case ctx.Err() == nil:
			s.log.Error("core loop does not answer", "within", period, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
