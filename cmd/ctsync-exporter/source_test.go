package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAskedOnceASecond: many who scrape cost the daemon no more than one who scrapes once a second.
func TestAskedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, under atomic.Int64
		s := newSource(func(context.Context) ([]byte, error) {
			if asked.Add(1); under.Add(1) > 1 {
				t.Error("asked twice at a time")
			}
			time.Sleep(10 * time.Millisecond)
			under.Add(-1)
			return []byte(sample), nil
		}, quiet)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for range 50 {
					if p, err := s.page(t.Context()); err != nil || p.err != nil || string(p.text) != sample {
						t.Error(p, err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if n := asked.Load(); n < 4 || n > 6 {
			t.Errorf("asked %d times in 5 s", n)
		}
	})
}

// TestDaemonAway: the page says it, at once for those who wait too, and the log says it once.
func TestDaemonAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var away error
		s := newSource(func(ctx context.Context) ([]byte, error) {
			if away == nil {
				return []byte(sample), nil
			}
			<-ctx.Done() // it hangs
			return nil, away
		}, slog.New(slog.NewTextHandler(&log, nil)))
		get := func() string {
			p, err := s.page(t.Context())
			if err != nil {
				t.Error(err)
			}
			return string(p.appendOwn(p.text, 7))
		}
		if got := get(); !strings.Contains(got, "\nctsync_up 1\n") || !strings.HasPrefix(got, sample) {
			t.Error(got)
		}
		time.Sleep(keepPage)
		away = errors.New("it hangs\nctsync_in_step 1")
		began := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				got := get()
				if !strings.Contains(got, "\nctsync_up 0\n") || !strings.Contains(got, "# it hangs ctsync_in_step 1\n") {
					t.Error(got)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > askTimeout {
			t.Errorf("took %v", took)
		}
		gone, cancel := context.WithCancel(t.Context())
		time.Sleep(keepPage)
		go get()
		synctest.Wait()
		cancel()
		if _, err := s.page(gone); err == nil { // a scraper that leaves does not wait for the daemon
			t.Error("a scraper that has left still waits")
		}
		time.Sleep(2 * askTimeout)
		synctest.Wait()
		away = nil
		if got := get(); !strings.Contains(got, "\nctsync_exporter_refused_scrapes_total 7\n") {
			t.Error(got)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

// TestTooManyScrapes: those who have no place are told so, and counted.
func TestTooManyScrapes(t *testing.T) {
	wait := make(chan struct{})
	h := newHandler(newSource(func(context.Context) ([]byte, error) { <-wait; return []byte(sample), nil }, quiet))
	at, c := "http://"+startAs(t, h, ""), client(t, nil)
	var refused, served atomic.Int64
	var all sync.WaitGroup
	for range 3 * maxScrapes {
		all.Go(func() {
			switch status, _, err := get(t, c, "GET", at+"/metrics"); {
			case err != nil:
				t.Error(err)
			case status == 503:
				if refused.Add(1) == 2*maxScrapes {
					close(wait)
				}
			case status == 200:
				served.Add(1)
			}
		})
	}
	all.Wait()
	if refused.Load() != 2*maxScrapes || served.Load() != maxScrapes || h.refused.Load() != 2*maxScrapes {
		t.Errorf("%d refused, %d counted, %d served", refused.Load(), h.refused.Load(), served.Load())
	}
}

// TestOwnMetrics has Prometheus judge what the exporter adds.
func TestOwnMetrics(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CTSYNC_REQUIRE_NETNS") == "1" {
			t.Fatal("promtool is required (apt-get install prometheus)")
		}
		t.Skip("no promtool (apt-get install prometheus)")
	}
	for _, err := range []error{nil, errors.New("away")} {
		cmd := exec.Command("promtool", "check", "metrics")
		cmd.Stdin = bytes.NewReader(page{err: err}.appendOwn(nil, 1))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	}
}
