// Package metrics shows the daemon to Prometheus.
//
// It measures nothing itself: each scrape takes one control.Snapshot, so the numbers of a page are of one moment and are
// those that `ctsync show statistics --json` and `show status --json` print. The names are ctsync_<what>_<unit>[_total];
// a counter starts at 0 with the daemon. Where a number is split by a reason or an errno, a series appears with the first
// of its kind; every other series is there from the start.
//
// The page is served on the control socket and, if wanted, on a TCP address of its own; see Server.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
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

// NewRegistry returns a registry with everything that is known of the daemon, and of its process and Go runtime.
func NewRegistry(source Source) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{source: source}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler answers every request with the page of g. A page that is not complete is not shown: the answer is then 500
// and says in plain text what is wrong.
func Handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: maxScrapes, DisableCompression: true,
	})
}

// collector turns a snapshot into metrics.
type collector struct{ source Source }

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	s, err := c.source(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(families[0].desc, err)
		return
	}
	for _, f := range families {
		f.collect(&s, ch)
	}
}

// family is the metrics of one name.
type family struct {
	desc    *prometheus.Desc
	collect func(s *control.Snapshot, ch chan<- prometheus.Metric)
}

// values hands over the values of a family, each with those of its labels.
type values func(s *control.Snapshot, add func(v float64, labels ...string))

func counter(name, help string, labels []string, v values) family {
	return constant(prometheus.CounterValue, name, help, labels, v)
}

func gauge(name, help string, labels []string, v values) family {
	return constant(prometheus.GaugeValue, name, help, labels, v)
}

func constant(kind prometheus.ValueType, name, help string, labels []string, v values) family {
	desc := prometheus.NewDesc("ctsync_"+name, help, labels, nil)
	return family{desc, func(s *control.Snapshot, ch chan<- prometheus.Metric) {
		v(s, func(v float64, labels ...string) {
			for i := range labels {
				labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
			}
			m, err := prometheus.NewConstMetric(desc, kind, v, labels...)
			ch <- shown(m, desc, err)
		})
	}}
}

func histogram(name, help string, of func(*control.Times) *control.Histogram) family {
	desc := prometheus.NewDesc("ctsync_"+name, help, nil, nil)
	return family{desc, func(s *control.Snapshot, ch chan<- prometheus.Metric) {
		h := of(&s.Statistics.Times)
		buckets := make(map[float64]uint64, len(h.Buckets))
		for _, b := range h.Buckets {
			buckets[seconds(b.UpTo)] = b.Count
		}
		m, err := prometheus.NewConstHistogram(desc, h.Count, seconds(h.Sum), buckets)
		ch <- shown(m, desc, err)
	}}
}

// shown returns m, or what makes the page fail: a panic here would end the daemon.
func shown(m prometheus.Metric, desc *prometheus.Desc, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// families is everything that is shown, in groups as the snapshot has them.
var families = concat(statusFamilies, cacheFamilies, linkFamilies, messageFamilies, sessionFamilies, kernelFamilies, commitFamilies, injectFamilies, timeFamilies)

func concat(groups ...[]family) (all []family) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func seconds(d control.Duration) float64 { return time.Duration(d).Seconds() }

// unix is the time as metrics have it: seconds since 1970, 0 for never.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// one makes values of a single number of the statistics without labels.
func one(v func(*control.Statistics) uint64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) { add(float64(v(&s.Statistics))) }
}

// each makes values of a map that counts by reason.
func each(m func(*control.Statistics) map[string]uint64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) {
		for reason, n := range m(&s.Statistics) {
			add(float64(n), reason)
		}
	}
}
