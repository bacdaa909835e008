package metrics

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ctsync/daemon/control"
	"ctsync/daemon/controltest"
)

// sample is a snapshot in which everything has a value, with two jobs of one name.
func sample() control.Snapshot {
	s, _ := controltest.Snapshot()
	s.Status.SyncGroup, s.Status.Instance = "g", ""
	s.Status.Jobs = []control.Job{
		{Name: "bulk", Started: time.Unix(2000, 0), Done: 1, Total: 10},
		{Name: "bulk", Started: time.Unix(1000, 0), Done: 2, Total: 20},
		{Name: "commit", Started: time.Unix(5000, 0)},
	}
	return s
}

func of(s control.Snapshot) Source {
	return func(context.Context) (control.Snapshot, error) { return s, nil }
}

// TestNames has Prometheus' own judgement on every name and help text, and on two series of the same name and labels.
func TestNames(t *testing.T) {
	r := NewRegistry(of(sample()))
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// The first page of a daemon, without any of what comes later.
	if _, err := NewRegistry(of(control.Snapshot{})).Gather(); err != nil {
		t.Error(err)
	}
}

// TestValues: every type of number that there is has a value of its own as a metric.
func TestValues(t *testing.T) {
	for v, want := range map[any]float64{
		uint64(7): 7, uint32(8): 8, -1: -1, "RUNNING": 1, true: 1, false: 0,
		control.Duration(1500 * time.Millisecond): 1.5, time.Time{}: 0, time.Unix(1000, 5e8): 1000.5,
	} {
		if got := value(v); got != want {
			t.Errorf("%T %v is %v, want %v", v, v, got, want)
		}
	}
	for _, b := range new(sample()).Blocks() {
		for _, n := range b.Numbers {
			if _, ok := n.Value.(*control.Histogram); !ok && math.IsNaN(value(n.Value)) {
				t.Errorf("%s: no value of a %T", n.Metric, n.Value)
			}
		}
	}
}

// Two jobs of one name are one series.
func TestJobs(t *testing.T) {
	const want = `
# HELP ctsync_job_done_items How far long work that is under way has come.
# TYPE ctsync_job_done_items gauge
ctsync_job_done_items{job="bulk"} 3
ctsync_job_done_items{job="commit"} 0
# HELP ctsync_job_planned_items How far long work that is under way has to go, 0 while that is not known.
# TYPE ctsync_job_planned_items gauge
ctsync_job_planned_items{job="bulk"} 30
ctsync_job_planned_items{job="commit"} 0
# HELP ctsync_job_started_timestamp_seconds When long work that is under way started, by its name; of several of a name the first.
# TYPE ctsync_job_started_timestamp_seconds gauge
ctsync_job_started_timestamp_seconds{job="bulk"} 1000
ctsync_job_started_timestamp_seconds{job="commit"} 5000
`
	names := []string{"ctsync_job_done_items", "ctsync_job_planned_items", "ctsync_job_started_timestamp_seconds"}
	if err := testutil.GatherAndCompare(NewRegistry(of(sample())), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// TestOneSnapshotPerScrape: whatever a page holds is of one moment.
func TestOneSnapshotPerScrape(t *testing.T) {
	var calls atomic.Int64
	h := Handler(NewRegistry(func(context.Context) (control.Snapshot, error) {
		calls.Add(1)
		return sample(), nil
	}), slog.New(slog.DiscardHandler))
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		body := w.Body.String()
		for _, want := range []string{
			"ctsync_in_step 1\n", "process_resident_memory_bytes ", "go_goroutines ",
			`ctsync_role{role="master",sync_group="g"} 1`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%d: no %q", w.Code, want)
			}
		}
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d snapshots for 3 scrapes", n)
	}
}

// A page that cannot be had whole is an error, not a page of zeros.
func TestNoSnapshot(t *testing.T) {
	h := Handler(NewRegistry(func(context.Context) (control.Snapshot, error) {
		return control.Snapshot{}, errors.New("daemon is stopping")
	}), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body := w.Body.String()
	if w.Code != http.StatusInternalServerError ||
		!strings.Contains(body, "daemon is stopping") || strings.Contains(body, "ctsync_in_step") {
		t.Errorf("%d: %s", w.Code, body)
	}
}

// scrape returns the page of s.
func scrape(s control.Snapshot) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	Handler(NewRegistry(of(s)), slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

// Whatever a name or reason holds, the page is whole and the daemon goes on.
func TestStrangeLabels(t *testing.T) {
	s := sample()
	s.Statistics.Unsupported = map[string]uint64{"a\xffb": 1, "": 2, "quo\"te\nline": 3}
	s.Status.SyncGroup, s.Status.Peer = "g\xc3\x28", strings.Repeat("x", 1<<16)
	w := scrape(s)
	for _, want := range []string{
		"ctsync_unsupported_total{reason=\"a\uFFFDb\"} 1\n",
		`ctsync_unsupported_total{reason="quo\"te\nline"} 3`,
		"ctsync_in_step 1\n",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d: no %s", w.Code, want)
		}
	}
	// Two series that are one are an error of ours: it is said, and nothing worse happens.
	s.Statistics.Unsupported = map[string]uint64{"a\xff": 1, "a\xfe": 2}
	w = scrape(s)
	const twice = "collected before with the same name and label values"
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), twice) {
		t.Errorf("%d: %.200s", w.Code, w.Body)
	}
}
