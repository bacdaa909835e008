package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/job"
	"ctsync/daemon/keepalived"
	"ctsync/daemon/kernel"
	"ctsync/daemon/link"
	"ctsync/daemon/loglimit"
	"ctsync/daemon/loop"
	"ctsync/daemon/metrics"
	"ctsync/daemon/outlook"
	"ctsync/daemon/query"
	"ctsync/daemon/restore"
	"ctsync/daemon/role"
	"ctsync/daemon/rtnetlink"
	"ctsync/daemon/takeover"
	"ctsync/daemon/upkeep"
	"ctsync/notify"
)

// Options are what a Config does not say.
type Options struct {
	Logger  *slog.Logger
	Recent  *Recent // handler of Logger, or nil: then what the daemon itself logs is kept
	Version string

	// Restart restarts the daemon in the same process, or says why not. It returns before that is done. nil means that it
	// cannot be done here.
	Restart func(ctx context.Context) error

	Restarts control.Restarts // how earlier runs ended
}

// Daemon is a whole ctsyncd. Make it with New, then call Run once.
type Daemon struct {
	cfg     *config.Config // as at the start; what changes live is in the fields below and in core.Core, which is in force
	log     *slog.Logger
	steady  *slog.Logger // log without what repeats, for what a peer or a stranger can cause
	limit   *loglimit.Handler
	opt     Options
	started time.Time

	in       *loop.Inbox[*core.Core]
	core     *core.Core
	sockets  *kernel.Sockets
	links    *link.Keeper
	outlook  *outlook.Outlook
	restore  *restore.Restorer
	upkeep   *upkeep.Upkeep
	takeover *takeover.Takeover
	query    *query.Reader
	roles    *role.Roles
	jobs     job.List
	filter   filterSource
	registry *prometheus.Registry

	keepalived keepalived.Watch
	history    string // what is wrong with the file of transitions, "" if nothing is

	socket net.Listener
	server *control.Server
	ready  chan struct{} // closed when everything serves

	needRestart atomic.Pointer[[]string]
	loaded      atomic.Pointer[config.Config] // as last read from the file
	inForce     atomic.Pointer[config.Config] // of it, what a running daemon takes up
	wakeLinks   chan struct{}                 // inForce changed
}

// New opens what may be refused (the control socket, the kernel's conntrack sockets) and builds the daemon. Nothing
// runs yet. When it fails, or ctx ends meanwhile, nothing stays open.
func New(ctx context.Context, cfg *config.Config, opt Options) (*Daemon, error) {
	if opt.Recent == nil {
		opt.Recent = NewRecent(opt.Logger.Handler())
		opt.Logger = slog.New(opt.Recent)
	}
	in, err := loop.NewInbox[*core.Core]()
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		cfg: cfg, log: opt.Logger, opt: opt, started: time.Now(),
		in: in, ready: make(chan struct{}), wakeLinks: make(chan struct{}, 1),
	}
	d.limit = loglimit.New(opt.Logger.Handler(), time.Now)
	d.steady = slog.New(d.limit)
	d.keepalived.Log, d.keepalived.Own = opt.Logger, rtnetlink.Own
	d.needRestart.Store(new([]string))
	d.loaded.Store(cfg)
	d.inForce.Store(cfg)
	if err := d.open(ctx); err != nil {
		d.close()
		return nil, err
	}
	d.openRoles()
	d.build()
	return d, nil
}

// open opens what may be refused.
func (d *Daemon) open(ctx context.Context) error {
	if err := d.openSocket(ctx); err != nil {
		return err
	}
	d.filter = filterSource{cfg: d.cfg, local: map[string]netip.Addr{}, loop: d.in, log: d.log}
	if _, err := d.filter.build(); err != nil {
		return err
	}
	limit := d.cfg.EventListenQueueSize
	sockets, err := kernel.Open(ctnetlink.ListenConfig{
		Buffer: limit / 2, MaxBuffer: limit, Coalesce: d.cfg.Coalesce, Expectations: len(d.cfg.ExpectSync) > 0,
	})
	if err != nil {
		return err
	}
	d.sockets, d.filter.events = sockets, sockets.Events
	return d.filter.toKernel()
}

// openSocket opens the control socket.
func (d *Daemon) openSocket(ctx context.Context) error {
	group := ""
	if d.cfg.SocketGID >= 0 {
		group = strconv.Itoa(d.cfg.SocketGID)
	}
	socket, err := control.Listen(ctx, d.cfg.Socket, group, d.log)
	if err != nil {
		return err
	}
	d.socket = socket
	if gid, ok := d.metricsGroup(); ok {
		if err := socket.LetIn(gid); err != nil { // a router is better off without its metrics than without its daemon
			d.log.Warn("ctsync-exporter cannot read the metrics: set socket-group to its group", "err", err)
		}
	}
	return nil
}

// metricsGroup returns the group whose members may read the metrics and nothing else, false if there is none.
func (d *Daemon) metricsGroup() (gid int, ok bool) {
	if d.cfg.MetricsGID >= 0 {
		return d.cfg.MetricsGID, true
	}
	return control.LookupExporterGroup()
}

// openRoles reads what keepalived said before.
func (d *Daemon) openRoles() {
	history, err := role.OpenHistory(filepath.Join(d.cfg.StateDirectory, "transitions.json"))
	if err != nil {
		d.history = "past transitions are not known: " + err.Error()
		d.log.Error("past transitions are not known", "err", err)
	}
	d.roles = role.New(followed(d.cfg), history, d.log)
}

// build makes the parts and gives each what it needs.
func (d *Daemon) build() {
	state, _ := d.roles.Current()
	d.core = core.New(core.Options{
		Config: d.cfg, Inbox: d.in, Events: d.sockets.Events, FlowLimit: kernel.FlowLimit(d.cfg.CacheLimit),
		ExpectLimit: kernel.ExpectLimit(), Role: state.Role(), Log: d.steady,
		Now: func() int64 { return int64(time.Since(d.started)) }, Wall: time.Now,
	})
	d.core.SetFilter(d.filter.inForce)
	d.outlook = &outlook.Outlook{
		Loop: d.in, Log: d.steady, Hooked: kernel.Hooked,
		Virtual: func() ([]netip.Addr, bool) { return keepalived.Read(d.loaded.Load().KeepalivedConfig).Virtual() },
		Master:  func() bool { s, _ := d.roles.Current(); return s == control.StateMaster },
		Table:   func() (int, int) { return kernel.Sysctl("nf_conntrack_count"), kernel.Sysctl("nf_conntrack_max") },
	}
	d.restore = &restore.Restorer{
		Loop: d.in, Kernel: d.sockets.Commit, Jobs: &d.jobs, Log: d.log, Home: d.outlook.Home,
	}
	d.upkeep = &upkeep.Upkeep{
		Loop: d.in, Kernel: d.sockets.Dump, Jobs: &d.jobs, Log: d.steady,
		Limits:   func() (int, int) { return kernel.FlowLimit(d.inForce.Load().CacheLimit), kernel.ExpectLimit() },
		Interval: func() time.Duration { return d.inForce.Load().SweepInterval },
	}
	d.takeover = &takeover.Takeover{
		Loop: d.in, Kernel: d.sockets.Commit, Restore: d.restore, Upkeep: d.upkeep, Jobs: &d.jobs, Log: d.log,
		Unhooked: d.outlook.Unhooked, Started: d.started, PurgeTimeout: func() time.Duration { return d.inForce.Load().PurgeTimeout },
	}
	d.query = &query.Reader{
		Loop: d.in, Dial: func() (kernel.Table, error) { return ctnetlink.Dial() }, Home: d.outlook.Home,
	}
	d.links = &link.Keeper{
		Enter: func(ctx context.Context, f func(*link.Set, int64)) error {
			return d.in.Do(ctx, func(c *core.Core) { c.ChangeLinks(f) })
		},
		Local: func(ctx context.Context, name string, local netip.Addr) error {
			_, err := d.filter.change(ctx, func(s *filterSource) { s.local[name] = local })
			return err
		},
		Virtual: func() []netip.Addr {
			list, _ := keepalived.Read(d.loaded.Load().KeepalivedConfig).Virtual()
			return list
		},
		Config: d.inForce.Load, Wake: d.wakeLinks, Log: d.steady,
	}
	d.registry = metrics.NewRegistry(d.snapshot)
	d.server = control.NewServer(d.backend(), d.steady)
}

// Ready is closed when every part serves.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// Ping returns when the core loop has answered.
func (d *Daemon) Ping(ctx context.Context) error { return d.in.Do(ctx, func(*core.Core) {}) }

// task is one goroutine of the daemon.
type task struct {
	name string
	run  func(context.Context) error
}

// tasks are all of them.
func (d *Daemon) tasks() []task {
	want := &d.core.Want
	compared := d.core.Compared
	return []task{
		{"core loop", d.core.Run},
		{"sync links", d.links.Run},
		{"reconcile", func(ctx context.Context) error { return d.upkeep.RunCompare(ctx, want.Reconcile) }},
		{"bulk", func(ctx context.Context) error { return d.upkeep.RunBulk(ctx, compared, want.Bulk) }},
		{"sweep", func(ctx context.Context) error { return d.upkeep.RunSweep(ctx, want.Sweep) }},
		{"masters of expectations", func(ctx context.Context) error { return d.upkeep.RunReread(ctx, want.Reread) }},
		{"own addresses", d.filter.followAddresses},
		{"keepalived", func(ctx context.Context) error { return d.keepalived.Run(ctx, d.askKeepalived) }},
		{"log", d.flushLog},
		{"injection", func(ctx context.Context) error { return d.restore.Run(ctx, want.Inject) }},
		{"outlook", d.outlook.Run},
		{"roles", func(ctx context.Context) error { return d.roles.Run(ctx, compared, d.takeover) }},
		{"control socket", d.serveControl},
		{"parked notifications", d.takeUpParked},
		{"readiness", d.announceReady},
	}
}

// Run runs every task until ctx ends or one of them fails, and returns that failure.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.close()
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range d.tasks() {
		g.Go(func() error {
			if err := t.run(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, loop.ErrStopped) {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// close closes what New opened, as far as it came, when nothing uses it any more.
func (d *Daemon) close() {
	d.in.Close()
	if d.sockets != nil {
		d.sockets.Close()
	}
	if d.socket != nil {
		d.socket.Close()
	}
}

func (d *Daemon) serveControl(ctx context.Context) error {
	if d.cfg.ControlGID >= 0 {
		d.server.ActBy(d.cfg.ControlGID)
	}
	if gid, ok := d.metricsGroup(); ok {
		socket := d.cfg.SocketGID
		if socket < 0 {
			socket = os.Getegid()
		}
		d.server.LimitToMetrics(gid, socket)
	}
	return d.server.Serve(ctx, d.socket)
}

// flushLog logs what was held back when its time has come.
func (d *Daemon) flushLog(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.limit.Flush()
		}
	}
}

// announceReady says ready when the internal cache matches the kernel; by then everything else serves.
func (d *Daemon) announceReady(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.core.Compared:
	}
	n, links := 0, ""
	if err := d.in.Do(ctx, func(c *core.Core) { n, links = c.Own.Internal.Len(), c.Links.Names() }); err != nil {
		return err
	}
	d.log.Info("ready", "version", d.opt.Version, "follows", followed(d.inForce.Load()), "interface", links, "flows", n)
	close(d.ready)
	return nil
}

// takeUpParked carries out what keepalived said while it could not reach the daemon. Only the last word counts, but all
// are recorded.
func (d *Daemon) takeUpParked(ctx context.Context) error {
	path := notify.ParkedPath(d.cfg.Socket)
	return notify.Watch(ctx, path, func(n control.Notification) { d.roles.Notify(n) }, d.steady)
}
