package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/rtnetlink"
	"ctsync/daemon/transport"
)

// link carries datagrams to and from the peer; *transport.Link is the real one.
type link interface {
	Send(buf []byte, ends []int) error
	FD() int
	Read(b *transport.Batch) (more bool, err error)
	MaxPayload() int
	Local() netip.Addr
	Stats() transport.Stats
	Up() (running bool, text string)
	Valid() error
	Close() error
}

// linkRetry is how often opening a link is tried while its interface or address is missing, and how often an open one
// is looked at even if the kernel says nothing.
const linkRetry = time.Second

// linkTask is a goroutine that keeps one link open, until its configuration changes.
type linkTask struct {
	ch     *channel
	cfg    transport.Config
	kick   chan struct{} // the kernel said something about links or addresses
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// errReopen ends a linkTask whose configuration changes.
var errReopen = errors.New("its settings change")

// runLinks is the task that keeps a linkTask for each configured link. What the kernel says of links and addresses
// reaches all of them at once, so that a failure is not noticed by a clock.
func (d *Daemon) runLinks(ctx context.Context) error {
	changed, failed, err := rtnetlink.Watch(ctx, rtnetlink.Links|rtnetlink.Addresses)
	if err != nil {
		return err
	}
	var tasks []*linkTask
	complained := ""
	for {
		cfg := d.inForce.Load()
		if tasks, err = d.followLinks(ctx, tasks, cfg); err != nil {
			return err
		}
		complained = d.complainListen(cfg, complained)
		select {
		case <-ctx.Done():
			for _, t := range tasks {
				<-t.ended
			}
			return nil
		case err := <-failed:
			return err
		case <-d.wantLinks:
		case <-changed:
			for _, t := range tasks {
				signal(t.kick)
			}
		}
	}
}

// followLinks ends the tasks of links that are no longer configured as they are, and starts those that are missing. All
// that must be closed is closed before anything is opened: one link may take over the port of another.
func (d *Daemon) followLinks(ctx context.Context, old []*linkTask, cfg *config.Config) ([]*linkTask, error) {
	cfgs := linkConfigs(cfg)
	kept := map[string]*linkTask{}
	channels := map[string]*channel{}
	var ending []*linkTask
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
	if len(ending) == 0 && slices.EqualFunc(old, cfgs, func(t *linkTask, c transport.Config) bool { return t.cfg.Equal(c) }) {
		return old, nil
	}
	links := make([]*channel, len(cfgs))
	for i, c := range cfgs {
		if links[i] = channels[c.Interface]; links[i] == nil {
			links[i] = newChannel()
		}
	}
	if err := d.do(ctx, func(c *core) { c.setLinks(links, cfgs) }); err != nil {
		return old, err
	}
	tasks := make([]*linkTask, len(cfgs))
	for i, c := range cfgs {
		if tasks[i] = kept[c.Interface]; tasks[i] == nil {
			tasks[i] = d.startLink(ctx, links[i], c)
		}
	}
	return tasks, nil
}

func (d *Daemon) startLink(ctx context.Context, ch *channel, cfg transport.Config) *linkTask {
	t := &linkTask{ch: ch, cfg: cfg, kick: make(chan struct{}, 1), ended: make(chan struct{})}
	ctx, t.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(t.ended)
		d.runLink(ctx, t)
	}()
	return t
}

// runLink keeps a link open. An interface that is missing, at the start or later, does not end the daemon: its own cache
// and the commands go on.
func (d *Daemon) runLink(ctx context.Context, t *linkTask) {
	complained := ""
	for {
		l, err := transport.Open(t.cfg)
		if err == nil {
			complained = ""
			d.log.Info("sync link open", "interface", t.cfg.Interface, "datagram", l.MaxPayload())
			d.sayRefusedBuffers(t.cfg.Interface, l.Stats())
			err = d.serveLink(ctx, t, l)
		}
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errReopen) {
				_ = d.do(context.WithoutCancel(ctx), func(c *core) { c.linkFailed(t.ch, errReopen) })
			}
			return
		}
		if d.do(ctx, func(c *core) { c.linkFailed(t.ch, err) }) != nil {
			return
		}
		if err.Error() != complained {
			complained = err.Error()
			d.log.Error("sync link is not usable, trying again every second", "interface", t.cfg.Interface, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-t.kick:
		case <-time.After(linkRetry):
		}
	}
}

// sayRefusedBuffers says how much of sync-queue-size the kernel refused: it grants all of it to CAP_NET_ADMIN alone.
func (d *Daemon) sayRefusedBuffers(name string, st transport.Stats) {
	if send, receive := st.SendBuffer, st.RecvBuffer; send.Granted < send.Asked || receive.Granted < receive.Asked {
		d.log.Warn("the kernel refused a part of sync-queue-size: give ctsyncd CAP_NET_ADMIN, or raise net.core.wmem_max and rmem_max",
			"interface", name, "asked", send.Asked, "send", send.Granted, "receive", receive.Granted)
	}
}

// serveLink lends l to the core until it is not usable any more or ctx ends. The core has let go of it when it returns.
func (d *Daemon) serveLink(ctx context.Context, t *linkTask, l link) error {
	defer l.Close()
	if _, err := d.refilter(ctx, func(s *filterSource) { s.local[t.cfg.Interface] = l.Local() }); err != nil {
		return err
	}
	failed := make(chan error, 1)
	var err error
	if e := d.do(ctx, func(c *core) {
		if err = c.watchSocket(t.ch, l, failed); err == nil {
			c.linkOpened(t.ch, l)
		}
	}); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	defer d.do(context.WithoutCancel(ctx), func(c *core) { c.linkClosed(t.ch) })
	return d.watchLink(ctx, t, l, failed)
}

// watchLink tells the core the state of a link's interface, and returns why the link has become unusable: its interface
// or address has gone, or reading failed. It also says when the kernel dropped datagrams for want of buffer.
func (d *Daemon) watchLink(ctx context.Context, t *linkTask, l link, failed <-chan error) error {
	ticker := time.NewTicker(linkRetry)
	defer ticker.Stop()
	drops, known := uint64(0), ""
	for {
		if _, state := l.Up(); state != known {
			known = state
			if err := d.do(ctx, func(c *core) { c.linkIs(t.ch, l, state) }); err != nil {
				return err
			}
		}
		if err := l.Valid(); err != nil {
			return err
		}
		if n := l.Stats().KernelDrops; n > drops {
			d.log.Warn("datagrams of the peer were dropped, they are asked for again: raise sync-queue-size", "interface", t.cfg.Interface, "dropped", n-drops)
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

// linkConfigs are the links of a configuration, in the order of the file.
func linkConfigs(cfg *config.Config) []transport.Config {
	list := make([]transport.Config, len(cfg.Interfaces))
	for i := range cfg.Interfaces {
		l := &cfg.Interfaces[i]
		list[i] = transport.Config{
			Interface: l.Name, Port: l.Port, Peer: l.Peer, Group: cfg.McastGroup,
			Listen: cfg.Listen(l), SendBuffer: cfg.SyncQueueSize, RecvBuffer: cfg.SyncQueueSize,
		}
	}
	return list
}
