package daemon

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/transport"
)

// link carries datagrams to and from the peer; *transport.Link is the real one.
type link interface {
	Send(buf []byte, ends []int) error
	Read(b *transport.Batch) error
	MaxPayload() int
	Local() netip.Addr
	Stats() transport.Stats
	Up() (running bool, text string)
	Valid() error
	Stop()
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

// serveLink gives l to the core and reads from it until it fails or ctx ends.
func (d *Daemon) serveLink(ctx context.Context, l link) error {
	defer l.Close()
	stop := context.AfterFunc(ctx, l.Stop)
	defer stop()
	if _, err := d.refilter(ctx, func(s *filterSource) { s.link = l.Local() }); err != nil {
		return err
	}
	if err := d.do(ctx, func(c *core) {
		c.link = l
		if c.session == nil {
			c.newSession(l.MaxPayload())
		}
	}); err != nil {
		return err
	}
	defer d.do(context.WithoutCancel(ctx), (*core).linkLost)
	gone := make(chan error, 1)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go d.watchLink(watching, l, gone)
	for {
		var b *transport.Batch
		select {
		case b = <-d.in.freeBatch:
		case <-ctx.Done():
			return nil
		}
		if err := l.Read(b); err != nil {
			d.in.freeBatch <- b
			if errors.Is(err, io.EOF) {
				return stopped(ctx, gone)
			}
			return err
		}
		select {
		case d.in.batches <- b:
		case <-ctx.Done():
			return nil
		}
	}
}

// watchLink stops a link whose interface or address has gone and says why. It also says when the kernel dropped
// datagrams for want of buffer.
func (d *Daemon) watchLink(ctx context.Context, l link, gone chan<- error) {
	ticker := time.NewTicker(linkRetry)
	defer ticker.Stop()
	drops := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if n := l.Stats().KernelDrops; n > drops {
				d.log.Warn("datagrams of the peer were dropped, they are asked for again: raise sync-queue-size", "dropped", n-drops)
				drops = n
			}
			if err := l.Valid(); err != nil {
				gone <- err
				l.Stop()
				return
			}
		}
	}
}

// stopped returns why a link was stopped.
func stopped(ctx context.Context, gone <-chan error) error {
	select {
	case err := <-gone:
		return err
	default:
		return ctx.Err()
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
