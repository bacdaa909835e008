package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/metrics"
)

// metricsRetry is how often serving metrics is tried while their address is missing or taken: a router is better off
// without its metrics than without its daemon.
const metricsRetry = time.Second

// Check tells whether what cfg names beyond the file itself can be used. A daemon that runs copes with what fails here
// and says so in its status.
func Check(cfg *config.Config) error {
	if cfg.MetricsWebConfig == "" {
		return nil
	}
	return metrics.CheckWebConfig(cfg.MetricsWebConfig)
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
