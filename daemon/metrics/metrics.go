// Package metrics shows the daemon to Prometheus.
//
// It measures nothing itself: each scrape takes one control.Snapshot, so the numbers of a page are of one moment and
// are those that `ctsync show statistics --json` and `show status --json` print. Package control declares their names
// and help texts, see control.Number. The names are ctsync_<what>_<unit>[_total]. A counter starts at 0 with the
// daemon, except ctsync_kernel_conntrack_*, which the kernel counts. Where a number is split by a reason or an errno,
// a series appears with the first of its kind; a kernel counter is there if this kernel has it; all others are there
// from the start.
//
// The page is served on the control socket alone; ctsync-exporter reads it there and serves it over TCP.
package metrics

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ctsync/daemon/control"
)

// Source takes a snapshot of the daemon. It is called once per scrape, from any goroutine.
type Source func(ctx context.Context) (control.Snapshot, error)

// Limits of a scrape.
const (
	snapshotTimeout = 10 * time.Second // what Prometheus waits for by default
	maxScrapes      = 4                // at a time; more are refused with 503
)

// NewRegistry returns a registry of the daemon's numbers and those of its process and Go runtime.
func NewRegistry(source Source) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	r.MustRegister(&collector{source: source}, collectors.NewGoCollector(), process)
	return r
}

// Handler answers every request with the page of g. If that cannot be made whole, the answer is 500 and says in plain
// text what is wrong.
func Handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: maxScrapes, DisableCompression: true,
	})
}

// collector turns a snapshot into metrics.
type collector struct{ source Source }

// Describe implements prometheus.Collector. It describes nothing: only a snapshot says which series there are. The
// registry then checks every page.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	s, err := c.source(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		return
	}
	for _, b := range s.Blocks() {
		for _, n := range b.Numbers {
			if n.Metric != "" {
				ch <- metric(n)
			}
		}
	}
}

// metric makes the metric of a number. An error fails the page: a panic here would end the daemon.
func metric(n control.Number) prometheus.Metric {
	var names, values []string
	for l := range slices.Chunk(n.Labels, 2) {
		names, values = append(names, l[0]), append(values, strings.ToValidUTF8(l[1], "\uFFFD"))
	}
	desc := prometheus.NewDesc("ctsync_"+n.Metric, n.Help, names, nil)
	var m prometheus.Metric
	var err error
	if h, ok := n.Value.(*control.Histogram); ok {
		buckets := make(map[float64]uint64, len(h.Buckets))
		for _, b := range h.Buckets {
			buckets[seconds(b.UpTo)] = b.Count
		}
		m, err = prometheus.NewConstHistogram(desc, h.Count, seconds(h.Sum), buckets, values...)
	} else {
		kind := prometheus.GaugeValue
		if strings.HasSuffix(n.Metric, "_total") {
			kind = prometheus.CounterValue
		}
		m, err = prometheus.NewConstMetric(desc, kind, value(n.Value), values...)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// value returns a number as metrics have it: durations in seconds, times in seconds since 1970 with 0 for never, 1 for
// true and for a text. NaN is for a type that control.Number does not allow.
func value(v any) float64 {
	switch v := v.(type) {
	case uint64:
		return float64(v)
	case uint32:
		return float64(v)
	case int:
		return float64(v)
	case string:
		return 1
	case bool:
		if v {
			return 1
		}
		return 0
	case control.Duration:
		return seconds(v)
	case time.Time:
		if v.IsZero() {
			return 0
		}
		return float64(v.UnixNano()) / 1e9
	}
	return math.NaN()
}

func seconds(d control.Duration) float64 { return time.Duration(d).Seconds() }
