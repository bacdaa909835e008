package daemon

import (
	"context"
	"net/netip"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/control"
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

// linkRetry is how often opening the link is tried while its interface or address is missing.
const linkRetry = time.Second

// runLink is the task that keeps the link open and reads from it. An interface that is missing, at the start or later,
// does not end the daemon: its own cache and the commands go on.
func (d *Daemon) runLink(ctx context.Context) error {
	complained := ""
	for {
		l, err := transport.Open(linkConfig(d.cfg))
		if err == nil {
			complained = ""
			d.log.Info("sync link open", "interface", d.cfg.Interface.Name, "datagram", l.MaxPayload())
			err = d.serveLink(ctx, l)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != complained {
			complained = err.Error()
			d.log.Error("sync link is not usable, trying again every second", "interface", d.cfg.Interface.Name, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(linkRetry):
		}
	}
}

// serveLink lends l to the core until it is not usable any more or ctx ends.
func (d *Daemon) serveLink(ctx context.Context, l link) error {
	defer l.Close()
	if _, err := d.refilter(ctx, func(s *filterSource) { s.link = l.Local() }); err != nil {
		return err
	}
	failed := make(chan error, 1)
	var err error
	if e := d.do(ctx, func(c *core) { err = c.useLink(l, failed) }); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	defer d.do(context.WithoutCancel(ctx), (*core).linkLost)
	return d.watchLink(ctx, l, failed)
}

// useLink begins to send and receive by l. What makes it unusable is sent to failed.
func (c *core) useLink(l link, failed chan<- error) error {
	if err := c.in.poller.add(l.FD(), linkToken); err != nil {
		return err
	}
	c.link, c.linkFailed, c.linkReady = l, failed, false
	if c.session == nil {
		c.newSession(l.MaxPayload())
	}
	return nil
}

// watchLink returns why a link has become unusable: its interface or address has gone, or reading failed. It also says
// when the kernel dropped datagrams for want of buffer.
func (d *Daemon) watchLink(ctx context.Context, l link, failed <-chan error) error {
	ticker := time.NewTicker(linkRetry)
	defer ticker.Stop()
	drops := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-ticker.C:
			if n := l.Stats().KernelDrops; n > drops {
				d.log.Warn("datagrams of the peer were dropped, they are asked for again: raise sync-queue-size", "dropped", n-drops)
				drops = n
			}
			if err := l.Valid(); err != nil {
				return err
			}
		}
	}
}

// linkLost keeps the counters of a link that is gone, so that they never run backwards.
func (c *core) linkLost() {
	c.linkBefore = sumStats(c.linkBefore, c.link.Stats())
	c.link = nil
}

// sumStats adds the counters of two links; what is not a counter is the second's.
func sumStats(a, b transport.Stats) transport.Stats {
	b.BytesSent += a.BytesSent
	b.BytesRecv += a.BytesRecv
	b.DatagramsSent += a.DatagramsSent
	b.DatagramsRecv += a.DatagramsRecv
	b.SendErrors += a.SendErrors
	b.SendQueueFull += a.SendQueueFull
	b.SendUnreachable += a.SendUnreachable
	b.SendBlocked += a.SendBlocked
	b.SendOther += a.SendOther
	b.RecvErrors += a.RecvErrors
	b.WrongInterface += a.WrongInterface
	b.WrongSource += a.WrongSource
	b.Looped += a.Looped
	b.Truncated += a.Truncated
	b.KernelDrops += a.KernelDrops
	return b
}

// linkStatistics is the link's part of the statistics.
func (c *core) linkStatistics() control.LinkStatistics {
	st, state := c.linkBefore, "DOWN"
	if c.link != nil {
		st = sumStats(c.linkBefore, c.link.Stats())
		_, state = c.link.Up()
	}
	s := control.LinkStatistics{
		Transport: transportName(c.cfg), Device: c.cfg.Interface.Name, State: state, Role: control.LinkActive,
		BytesSent: st.BytesSent, BytesReceived: st.BytesRecv, PacketsSent: st.DatagramsSent, PacketsReceived: st.DatagramsRecv,
		ErrorsSent: st.SendErrors, ErrorsReceived: st.RecvErrors + st.KernelDrops,
		SendBuffer:    control.Buffer{Asked: st.SendBuffer.Asked, Granted: st.SendBuffer.Granted},
		ReceiveBuffer: control.Buffer{Asked: st.RecvBuffer.Asked, Granted: st.RecvBuffer.Granted},
		Dropped:       map[string]uint64{},
	}
	for reason, n := range map[string]uint64{
		"wrong interface": st.WrongInterface, "wrong source": st.WrongSource, "looped back": st.Looped,
		"truncated": st.Truncated, "queue overflow": st.KernelDrops, "second sender": c.counts.foreign,
		"not sent, queue full": st.SendQueueFull, "not sent, unreachable": st.SendUnreachable,
		"not sent, blocked by the firewall": st.SendBlocked, "not sent, other error": st.SendOther,
	} {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	return s
}

func transportName(cfg *config.Config) string {
	if cfg.Interface.Peer.IsValid() {
		return control.TransportUDP
	}
	return control.TransportMulticast
}

func linkConfig(cfg *config.Config) transport.Config {
	return transport.Config{
		Interface: cfg.Interface.Name, Port: cfg.Interface.Port, Peer: cfg.Interface.Peer, Group: cfg.McastGroup,
		Listen: cfg.Listen(), SendBuffer: cfg.SyncQueueSize, RecvBuffer: cfg.SyncQueueSize,
	}
}
