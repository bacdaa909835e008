package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/keepalived"
	"ctsync/daemon/metrics"
	"ctsync/notify"
)

// Options are what a Config does not say.
type Options struct {
	Logger  *slog.Logger
	Recent  *Recent // handler of Logger, or nil: then what the daemon itself logs is kept
	Version string

	// Restart ends this life of the daemon and begins another in the same process, or says why not. It returns before
	// that is done. nil means that it cannot be done here.
	Restart func(ctx context.Context) error
}

// Daemon is a whole ctsyncd. Make it with New, then call Run once.
type Daemon struct {
	cfg     *config.Config // as at the start; what changes live is in the fields below and in core.cfg, which is in force
	log     *slog.Logger
	recent  *Recent
	version string
	started time.Time

	in        *inbox
	core      *core
	listener  *ctnetlink.Listener
	committer turn // its changes raise no event here
	dumper    turn
	roles     *roles
	jobs      jobs
	filter    filterSource
	registry  *prometheus.Registry

	keepalived keepalived.Watch
	restart    func(ctx context.Context) error // Options.Restart

	socket     net.Listener
	server     *control.Server
	ready      chan struct{} // closed when everything serves
	reconciled chan struct{} // closed when the internal cache first matched the kernel

	sweepInterval atomic.Int64 // ns
	purgeTimeout  atomic.Int64 // ns
	eventsOff     atomic.Bool
	needRestart   atomic.Pointer[[]string]
	loaded        atomic.Pointer[config.Config] // as last read from the file
	inForce       atomic.Pointer[config.Config] // of it, what a running daemon takes up
	wantLinks     chan struct{}                 // the links may have to follow inForce

	metricsTrouble atomic.Pointer[string] // why metrics are not served over TCP; nil = they are, or need not be
}

// New opens what may be refused (the control socket, the kernel's conntrack sockets) and builds the daemon. Nothing
// runs yet.
func New(cfg *config.Config, opt Options) (*Daemon, error) {
	if opt.Recent == nil {
		opt.Recent = NewRecent(opt.Logger.Handler())
		opt.Logger = slog.New(opt.Recent)
	}
	d := &Daemon{
		cfg: cfg, log: opt.Logger, recent: opt.Recent, version: opt.Version, restart: opt.Restart, started: time.Now(),
		ready: make(chan struct{}), reconciled: make(chan struct{}), wantLinks: make(chan struct{}, 1),
	}
	d.keepalived.Log = opt.Logger
	var err error
	if d.in, err = newInbox(); err != nil {
		return nil, err
	}
	history, err := openHistory(filepath.Join(cfg.StateDirectory, "transitions.json"))
	if err != nil {
		d.log.Error("past transitions are not known", "err", err)
	}
	d.roles = newRoles(cfg.SyncGroup, history)
	d.registry = metrics.NewRegistry(d.snapshot)
	d.server = control.NewServer(d.backend(), d.log)
	d.needRestart.Store(new([]string))
	d.loaded.Store(cfg)
	group := ""
	if cfg.SocketGID >= 0 {
		group = strconv.Itoa(cfg.SocketGID)
	}
	socket, err := control.Listen(cfg.Socket, group)
	if err != nil {
		return nil, err
	}
	d.socket = socket
	d.filter.cfg, d.filter.local = cfg, map[string]netip.Addr{}
	if _, err := d.filter.build(); err != nil {
		socket.Close()
		return nil, err
	}
	if err := d.openKernel(); err != nil {
		socket.Close()
		return nil, err
	}
	d.core = d.newCore()
	d.applyLive(cfg)
	return d, nil
}

// newCore returns a loop that does not run yet.
func (d *Daemon) newCore() *core {
	cfg := d.cfg
	c := &core{
		in: d.in, events: d.listener, log: d.log, cfg: cfg, filter: d.filter.inForce,
		now: func() int64 { return int64(time.Since(d.started)) },
		// Not the clock, as conntrackd takes it: a life that begins where the last one left off is hard to tell from it.
		seq:           rand.Uint32,
		complained:    map[string]int64{},
		wantReconcile: make(chan struct{}, 1),
		wantBulk:      make(chan struct{}, 1),
		wantSweep:     make(chan struct{}, 1),
		wantReread:    make(chan struct{}, 1),
		wantInject:    make(chan struct{}, 1),
	}
	limit := cacheLimit(cfg)
	c.choice = newChoice(c.now(), rand.Uint32)
	c.internal, c.external = cache.NewInternal(limit), cache.NewExternal(limit)
	c.expect = newExpectations(expectLimit(), c.internal)
	c.followInjection()
	state, _ := d.roles.current()
	c.role = state.Role()
	return c
}

// cacheLimit returns how many flows a cache may hold: as configured, or twice what the kernel may hold.
func cacheLimit(cfg *config.Config) int {
	if cfg.CacheLimit > 0 {
		return cfg.CacheLimit
	}
	if n := sysctl("nf_conntrack_max"); n > 0 {
		return 2 * n
	}
	return 2 << 18 // the kernel's table is not there yet: its usual size
}

// Ready is closed when every part serves.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// Ping returns when the core loop has answered.
func (d *Daemon) Ping(ctx context.Context) error { return d.do(ctx, func(*core) {}) }

// do runs f in the core loop; see inbox.do.
func (d *Daemon) do(ctx context.Context, f func(*core)) error { return d.in.do(ctx, f) }

// task is one goroutine of the daemon.
type task struct {
	name string
	run  func(context.Context) error
}

// Run runs every task until ctx ends or one of them fails, and returns that failure.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.closeKernel()
	d.keepalivedComplaints()
	d.unpark()
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range []task{
		{"core loop", d.core.run},
		{"sync links", d.runLinks},
		{"reconcile", d.runReconciler},
		{"bulk", d.runBulk},
		{"sweep", d.runSweep},
		{"own addresses", d.runOwnAddresses},
		{"masters of expectations", d.runReread},
		{"injection", d.runInject},
		{"roles", d.runRoles},
		{"control socket", d.serveControl},
		{"metrics", d.runMetrics},
		{"readiness", d.announceReady},
	} {
		g.Go(func() error {
			if err := t.run(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errStopped) {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (d *Daemon) serveControl(ctx context.Context) error {
	if d.cfg.ControlGID >= 0 {
		d.server.ActBy(d.cfg.ControlGID)
	}
	return d.server.Serve(ctx, d.socket)
}

// announceReady says ready when the internal cache matches the kernel; by then everything else serves.
func (d *Daemon) announceReady(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.reconciled:
	}
	n, links := 0, ""
	if err := d.do(ctx, func(c *core) { n, links = c.internal.Len(), c.linkNames() }); err != nil {
		return err
	}
	d.log.Info("ready", "version", d.version, "sync-group", d.cfg.SyncGroup, "interface", links, "flows", n)
	close(d.ready)
	return nil
}

// Reload takes over what may change while running and says what needs a restart. It returns the keys that do.
func (d *Daemon) Reload(loaded *config.Config) []string {
	for _, c := range loaded.Changes(d.loaded.Swap(loaded)) {
		d.log.Info("configuration changes", "key", c.Key, "was", c.Old, "is", c.New, "needs-restart", c.Restart)
	}
	d.keepalivedComplaints()
	restart := loaded.NeedRestart(d.cfg)
	d.needRestart.Store(&restart)
	cfg := d.cfg.TakeLive(loaded)
	d.applyLive(cfg)
	if !cfg.DisableExternalCache {
		d.finishInjection()
	}
	var switchedOff, tracking bool
	_ = d.do(context.Background(), func(c *core) { // fails only when the daemon ends
		expected := c.cfg.ExpectSync
		switchedOff = c.injecting() && !cfg.DisableExternalCache
		tracking = cfg.TCPWindowTracking && !c.cfg.TCPWindowTracking
		c.cfg = cfg
		d.tuneEvents(cfg) // here, because while the loop runs the socket is open
		c.followInjection()
		if !slices.Equal(expected, cfg.ExpectSync) {
			d.followExpectations(cfg)
			c.followExpectSync()
		}
		c.internal.SetLimit(cacheLimit(cfg))
		c.external.SetLimit(cacheLimit(cfg))
	})
	if switchedOff {
		d.withdraw(context.Background())
	}
	if tracking { // the peer has no window scales of the flows that it was told of before
		signal(d.core.wantBulk)
	}
	filtered, err := d.refilter(context.Background(), func(s *filterSource) { s.cfg = cfg })
	if err != nil && !errors.Is(err, errStopped) {
		d.log.Error("the filter of flows does not change", "err", err)
	}
	if filtered {
		signal(d.core.wantReconcile)
	}
	return restart
}

func (d *Daemon) applyLive(cfg *config.Config) {
	d.sweepInterval.Store(int64(cfg.SweepInterval))
	d.purgeTimeout.Store(int64(cfg.PurgeTimeout))
	d.roles.follow(cfg.SyncGroup)
	d.inForce.Store(cfg)
	signal(d.wantLinks)
}

// tuneEvents has the event socket follow the configuration.
func (d *Daemon) tuneEvents(cfg *config.Config) {
	d.listener.SetCoalesce(cfg.Coalesce)
	if err := d.listener.SetMaxBuffer(cfg.EventListenQueueSize/2, cfg.EventListenQueueSize); err != nil {
		d.log.Error("event-listen-queue-size does not change", "err", err)
	}
}

// unpark carries out what keepalived said while no daemon was there. Only the last word counts, but all are recorded.
func (d *Daemon) unpark() {
	parked, err := notify.Unpark(notify.ParkedPath(d.cfg.Socket))
	if err != nil {
		d.log.Error("parked notifications", "err", err)
	}
	for _, n := range parked {
		d.notify(n)
	}
}

// closeKernel closes the kernel sockets when nothing uses them any more.
func (d *Daemon) closeKernel() {
	d.in.poller.close()
	d.listener.Close()
	(<-d.committer).Close()
	(<-d.dumper).Close()
}
