package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// Limits of what is asked of the daemon.
const (
	keepPage   = time.Second     // how long a page is passed on before the daemon is asked again
	askTimeout = 5 * time.Second // half of what Prometheus waits for by default: the page that says why comes in time
)

// source has the daemon's page. It asks one page at a time and keeps each for keepPage, so those who scrape cannot
// load the daemon, however many they are.
type source struct {
	ask  func(context.Context) ([]byte, error) // see control.Client.Metrics
	log  *slog.Logger
	last chan page // holds the last page; who has taken it out renews it
}

// page is an answer of the daemon, or why there is none.
type page struct {
	text []byte
	err  error
	made time.Time // the zero Time: never
}

func newSource(ask func(context.Context) ([]byte, error), log *slog.Logger) *source {
	s := &source{ask: ask, log: log, last: make(chan page, 1)}
	s.last <- page{}
	return s
}

// page returns a page that is not older than keepPage, or an error of ctx.
func (s *source) page(ctx context.Context) (page, error) {
	select {
	case p := <-s.last:
		if p.made.IsZero() || time.Since(p.made) >= keepPage {
			p = s.renew(p)
		}
		s.last <- p
		return p, nil
	case <-ctx.Done():
		return page{}, ctx.Err()
	}
}

// renew asks the daemon. It does so to the end: the page is also for those who wait behind a scraper that has left.
func (s *source) renew(before page) page {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	text, err := s.ask(ctx)
	switch {
	case err != nil && (before.err == nil || before.err.Error() != err.Error()):
		s.log.Warn("no metrics from ctsyncd: see systemctl status ctsyncd", "err", err)
	case err == nil && before.err != nil:
		s.log.Info("ctsyncd answers again")
	}
	return page{text: text, err: err, made: time.Now()}
}

// appendOwn appends what the exporter itself says: whether the daemon answered and, in a comment, why not.
func (p page) appendOwn(b []byte, refused uint64) []byte {
	up := 1
	if p.err != nil {
		up = 0
		b = fmt.Appendf(b, "# %s\n", strings.Map(printable, p.err.Error()))
	}
	b = appendMetric(b, "ctsync_up", "gauge", "Whether ctsyncd answered ctsync-exporter.", "", uint64(up))
	b = appendMetric(b, "ctsync_exporter_build_info", "gauge", "The version of ctsync-exporter and of Go.",
		fmt.Sprintf("{goversion=%q,version=%q}", runtime.Version(), version), 1)
	return appendMetric(b, "ctsync_exporter_refused_scrapes_total", "counter",
		"Scrapes that were refused because too many were under way.", "", refused)
}

func appendMetric(b []byte, name, kind, help, labels string, value uint64) []byte {
	return fmt.Appendf(b, "# HELP %[1]s %[3]s\n# TYPE %[1]s %[2]s\n%[1]s%[4]s %[5]d\n", name, kind, help, labels, value)
}

// printable keeps a comment on its line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
