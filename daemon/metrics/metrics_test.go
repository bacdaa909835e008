package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ctsync/daemon/control"
)

// sample is a snapshot in which every family has a series.
func sample() control.Snapshot {
	counts := map[string]uint64{"one": 1, "two": 2}
	histogram := control.Histogram{Count: 2, Sum: control.Duration(time.Second), Buckets: []control.Bucket{{UpTo: control.Duration(time.Millisecond), Count: 1}}}
	now := time.Now()
	return control.Snapshot{
		Status: control.Status{
			Version: "1", Role: control.RoleBackup, SyncGroup: "g", InStep: true,
			Jobs: []control.Job{{Name: "bulk", Started: now, Done: 1, Total: 10}, {Name: "bulk", Started: now.Add(-time.Hour), Done: 2, Total: 20}, {Name: "commit", Started: now}},
		},
		Statistics: control.Statistics{
			Expect:      &control.ExpectStatistics{},
			Inject:      &control.InjectStatistics{Errors: counts, Degraded: counts},
			Links:       []control.LinkStatistics{{Device: "eth0", Dropped: counts}, {Device: "eth1", State: "RUNNING", Dropped: counts}},
			Unsupported: counts,
			Session:     control.SessionStatistics{Sent: counts, Received: counts},
			Commit:      control.CommitStatistics{Errors: counts, Expect: &control.ExpectResult{Errors: counts}},
			Times:       control.Times{EventSent: histogram, EventAcknowledged: histogram, Commit: histogram, Takeover: histogram},
		},
	}
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
	for _, f := range families {
		name := f.desc.String()
		name = name[strings.Index(name, `"`)+1:]
		name = name[:strings.Index(name, `"`)]
		if n, err := testutil.GatherAndCount(r, name); n == 0 || err != nil {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
	// The first page of a daemon's life, without any of what comes later.
	if _, err := NewRegistry(of(control.Snapshot{})).Gather(); err != nil {
		t.Error(err)
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
`
	s := sample()
	if err := testutil.GatherAndCompare(NewRegistry(of(s)), strings.NewReader(want), "ctsync_job_done_items", "ctsync_job_planned_items"); err != nil {
		t.Error(err)
	}
	began := sample().Status.Jobs[1].Started
	jobValues(func(j *job) float64 { return unix(j.Started) })(&s, func(v float64, labels ...string) {
		if labels[0] == "bulk" && v > float64(began.Unix()+1) {
			t.Errorf("bulk began at %f, want the first one's %v", v, began)
		}
	})
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
		for _, want := range []string{"ctsync_in_step 1\n", "process_resident_memory_bytes ", "go_goroutines ", `ctsync_role{role="backup",sync_group="g"} 1`} {
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
	if body, _ := io.ReadAll(w.Body); w.Code != http.StatusInternalServerError || !strings.Contains(string(body), "daemon is stopping") || strings.Contains(string(body), "ctsync_in_step") {
		t.Errorf("%d: %s", w.Code, body)
	}
}

// Whatever a name or reason holds, the page comes whole and the daemon lives.
func TestStrangeLabels(t *testing.T) {
	s := sample()
	s.Statistics.Unsupported = map[string]uint64{"a\xffb": 1, "": 2, "quo\"te\nline": 3}
	s.Status.SyncGroup, s.Status.Peer = "g\xc3\x28", strings.Repeat("x", 1<<16)
	w := httptest.NewRecorder()
	Handler(NewRegistry(of(s)), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"ctsync_unsupported_total{reason=\"a\uFFFDb\"} 1\n", `ctsync_unsupported_total{reason="quo\"te\nline"} 3`, "ctsync_in_step 1\n"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d: no %s", w.Code, want)
		}
	}
	// Two series that are one are an error of ours: it is said, and nothing worse happens.
	s.Statistics.Unsupported = map[string]uint64{"a\xff": 1, "a\xfe": 2}
	w = httptest.NewRecorder()
	Handler(NewRegistry(of(s)), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "collected before with the same name and label values") {
		t.Errorf("%d: %.200s", w.Code, w.Body)
	}
}
