package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/keepalived"
	"ctsync/daemon/metrics"
)

// metricsRetry is how often serving metrics is tried while their address is missing or taken: a router is better off
// without its metrics than without its daemon.
const metricsRetry = time.Second

// Check reads the files that cfg names. The error says what is wrong with the web configuration of the metrics, the
// warnings say what is wrong with keepalived's configuration. A running daemon copes with both and shows them in its
// status.
func Check(cfg *config.Config) (warnings []string, err error) {
	if cfg.MetricsWebConfig != "" {
		if err := metrics.CheckWebConfig(cfg.MetricsWebConfig); err != nil {
			return nil, err
		}
	}
	k := keepalived.Watch{Log: slog.New(slog.DiscardHandler)}
	return k.Complaints(cfg.KeepalivedConfig, cfg.SyncGroup), nil
}

// metricsPage returns what shows the metrics. Each surface has its own, so that strangers who keep the one busy do not
// keep the other.
func (d *Daemon) metricsPage() http.Handler { return metrics.Handler(d.registry, d.log) }

// runMetrics is the task that serves metrics over TCP.
func (d *Daemon) runMetrics(ctx context.Context) error {
	at := d.cfg.MetricsListen
	if !at.IsValid() {
		return nil
	}
	srv := metrics.Server{Page: d.metricsPage(), Log: d.log, WebConfig: d.cfg.MetricsWebConfig}
	complained := ""
	for {
		var listen net.ListenConfig
		ln, err := listen.Listen(ctx, "tcp", at.String())
		if err == nil {
			err = srv.Serve(ctx, &announced{Listener: ln, first: func() { d.metricsServed(at.String()) }})
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = net.ErrClosed // nobody but us closes it
		}
		text := fmt.Sprintf("metrics are not served at %s: %v", at, err)
		d.metricsTrouble.Store(&text)
		if text != complained {
			complained = text
			d.log.Error("metrics are not served, trying again every second", "address", at, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(metricsRetry):
		}
	}
}

func (d *Daemon) metricsServed(at string) {
	d.metricsTrouble.Store(nil)
	d.log.Info("metrics are served", "address", at, "web-config", d.cfg.MetricsWebConfig)
}

// announced is a listener that calls first when it is first accepted from: all that could be wrong with the server has
// been found by then.
type announced struct {
	net.Listener
	first func()
}

func (a *announced) Accept() (net.Conn, error) {
	if a.first != nil {
		a.first()
		a.first = nil
	}
	return a.Listener.Accept()
}
