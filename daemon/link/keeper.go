package link

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/loop"
	"ctsync/daemon/rtnetlink"
	"ctsync/daemon/transport"
)

// Keeper keeps the configured links open. It has a goroutine for each.
type Keeper struct {
	// Enter runs f in the loop that owns the Set, with the loop's time.
	Enter func(ctx context.Context, f func(s *Set, now int64)) error

	// Local hears our address on the link of an interface, before anything is sent there.
	Local func(ctx context.Context, name string, local netip.Addr) error

	// Virtual are the addresses that keepalived moves between the routers, as far as its configuration says. nil = not
	// known.
	Virtual func() []netip.Addr

	Config func() *config.Config // in force
	Wake   <-chan struct{}       // Config returns another one
	Log    *slog.Logger
}

// retryInterval is how often opening a link is tried while its interface or address is missing, and how often an open
// one is looked at even if the kernel says nothing.
const retryInterval = time.Second

// task is a goroutine that keeps one link open, until its configuration changes.
type task struct {
	ch     *Channel
	cfg    transport.Config
	kick   chan struct{} // the kernel said something about links or addresses
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// errReopen ends a task whose configuration changes.
var errReopen = errors.New("its settings change")

// Run keeps a task for each configured link until ctx ends. What the kernel says of links and addresses reaches all of
// them at once, so that a failure is noticed when it happens and not by polling.
func (k *Keeper) Run(ctx context.Context) error {
	changed, failed, err := rtnetlink.Watch(ctx, rtnetlink.Links|rtnetlink.Addresses)
	if err != nil {
		return err
	}
	var tasks []*task
	complained := ""
	for {
		cfg := k.Config()
		if tasks, err = k.follow(ctx, tasks, cfg); err != nil {
			return err
		}
		complained = k.complainListen(cfg, complained)
		select {
		case <-ctx.Done():
			for _, t := range tasks {
				<-t.ended
			}
			return nil
		case err := <-failed:
			return err
		case <-k.Wake:
		case <-changed:
			for _, t := range tasks {
				loop.Signal(t.kick)
			}
		}
	}
}

// follow ends the tasks of links that are no longer configured as they are, and starts those that are missing. All that
// must be closed is closed before anything is opened: one link may take over the port of another.
func (k *Keeper) follow(ctx context.Context, old []*task, cfg *config.Config) ([]*task, error) {
	cfgs := Configs(cfg)
	kept := map[string]*task{}
	channels := map[string]*Channel{}
	var ending []*task
	for _, t := range old {
		channels[t.cfg.Interface] = t.ch
		if slices.ContainsFunc(cfgs, t.cfg.Equal) {
			kept[t.cfg.Interface] = t
			continue
		}
		t.cancel(errReopen)
		ending = append(ending, t)
	}
	for _, t := range ending {
		<-t.ended
	}
	same := func(t *task, c transport.Config) bool { return t.cfg.Equal(c) }
	if len(ending) == 0 && slices.EqualFunc(old, cfgs, same) {
		return old, nil
	}
	links := make([]*Channel, len(cfgs))
	for i, c := range cfgs {
		if links[i] = channels[c.Interface]; links[i] == nil {
			links[i] = NewChannel()
		}
	}
	if err := k.Enter(ctx, func(s *Set, now int64) { s.Follow(links, cfgs, now) }); err != nil {
		return old, err
	}
	tasks := make([]*task, len(cfgs))
	for i, c := range cfgs {
		if tasks[i] = kept[c.Interface]; tasks[i] == nil {
			tasks[i] = k.start(ctx, links[i], c)
		}
	}
	return tasks, nil
}

func (k *Keeper) start(ctx context.Context, ch *Channel, cfg transport.Config) *task {
	t := &task{ch: ch, cfg: cfg, kick: make(chan struct{}, 1), ended: make(chan struct{})}
	ctx, t.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(t.ended)
		k.keep(ctx, t)
	}()
	return t
}

// keep keeps a link open. An interface that is missing, at the start or later, does not end the daemon: its own cache
// and the commands go on.
func (k *Keeper) keep(ctx context.Context, t *task) {
	complained := ""
	for {
		cfg := t.cfg
		if k.Virtual != nil {
			cfg.Virtual = k.Virtual()
		}
		l, err := transport.Open(cfg)
		if err == nil {
			complained = ""
			k.Log.Info("sync link open", "interface", t.cfg.Interface, "datagram", l.MaxPayload())
			k.sayRefusedBuffers(t.cfg.Interface, l.Stats())
			err = k.serve(ctx, t, l)
		}
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errReopen) {
				_ = k.Enter(context.WithoutCancel(ctx), func(s *Set, now int64) { s.Failed(t.ch, errReopen, now) })
			}
			return
		}
		if k.Enter(ctx, func(s *Set, now int64) { s.Failed(t.ch, err, now) }) != nil {
			return
		}
		if err.Error() != complained {
			complained = err.Error()
			k.Log.Error("sync link is not usable, trying again every second", "interface", t.cfg.Interface, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-t.kick:
		case <-time.After(retryInterval):
		}
	}
}

// sayRefusedBuffers says how much of sync-queue-size the kernel refused: it grants all of it to CAP_NET_ADMIN alone.
func (k *Keeper) sayRefusedBuffers(name string, st transport.Stats) {
	if send, receive := st.SendBuffer, st.RecvBuffer; send.Granted < send.Asked || receive.Granted < receive.Asked {
		k.Log.Warn("the kernel refused a part of sync-queue-size: give ctsyncd CAP_NET_ADMIN, or raise "+
			"net.core.wmem_max and rmem_max", "interface", name, "asked", send.Asked, "send", send.Granted,
			"receive", receive.Granted)
	}
}

// serve lends l to the loop until it is not usable any more or ctx ends. The loop has let go of it when it returns.
func (k *Keeper) serve(ctx context.Context, t *task, l Link) error {
	defer l.Close()
	if err := k.Local(ctx, t.cfg.Interface, l.Local()); err != nil {
		return err
	}
	failed := make(chan error, 1)
	if err := k.Enter(ctx, func(s *Set, now int64) { s.Opened(t.ch, l, failed, now) }); err != nil {
		return err
	}
	defer k.Enter(context.WithoutCancel(ctx), func(s *Set, _ int64) { s.Closed(t.ch) })
	return k.watch(ctx, t, l, failed)
}

// watch reports the state of a link's interface to the Set, and returns why the link has become unusable: its interface
// or address has gone, or reading failed. It also says when the kernel dropped datagrams for want of buffer.
func (k *Keeper) watch(ctx context.Context, t *task, l Link, failed <-chan error) error {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	drops, known := uint64(0), ""
	for {
		if _, state := l.Up(); state != known {
			known = state
			if err := k.Enter(ctx, func(s *Set, now int64) { s.Is(t.ch, l, state, now) }); err != nil {
				return err
			}
		}
		if err := l.Valid(); err != nil {
			return err
		}
		if n := l.Stats().KernelDrops; n > drops {
			k.Log.Warn("datagrams of the peer were dropped, they are asked for again: raise sync-queue-size",
				"interface", t.cfg.Interface, "dropped", n-drops)
			drops = n
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-ticker.C:
		case <-t.kick:
		}
	}
}

// Configs are the links of a configuration, in the order of the file.
func Configs(cfg *config.Config) []transport.Config {
	list := make([]transport.Config, len(cfg.Interfaces))
	for i := range cfg.Interfaces {
		l := &cfg.Interfaces[i]
		list[i] = transport.Config{
			Interface: l.Name, Port: l.Port, Peer: l.Peer, Group: cfg.McastGroup, From: l.McastPeer,
			Listen: cfg.Listen(l), SendBuffer: cfg.SyncQueueSize, RecvBuffer: cfg.SyncQueueSize,
		}
	}
	return list
}
