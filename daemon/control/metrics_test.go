package control

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ctsync/daemon/nstest"
)

// TestMetricsGroup asks as members of the group that may read the metrics alone.
func TestMetricsGroup(t *testing.T) {
	nstest.Require(t) // only root can become others
	nstest.RequireCommand(t, "curl", "curl")
	const exporters = 54403
	dir, err := os.MkdirTemp("", "ctsync-metrics") // t.TempDir does not let others in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := Listen(t.Context(), path, strconv.Itoa(readers), quietLog)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.LetIn(exporters); err != nil {
		t.Fatal(err)
	}
	b := fake()
	b.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x 1\n")) })
	serveOn(t, ln, b, func(s *Server) {
		s.ActBy(doers)
		s.LimitToMetrics(exporters, readers)
	})
	for _, tt := range []struct {
		name   string
		groups []uint32
		want   [3]int // status of reading the metrics, of reading the status, of acting
	}{
		{"exporter", []uint32{exporters}, [3]int{200, 403, 403}},
		{"reader", []uint32{readers}, [3]int{200, 200, 403}},
		{"exporter and reader", []uint32{exporters, readers}, [3]int{200, 200, 403}},
		{"exporter and doer", []uint32{exporters, doers}, [3]int{200, 200, 200}},
		{"doer without the socket's group", []uint32{doers}, [3]int{0, 0, 0}},
		{"stranger", nil, [3]int{0, 0, 0}},
	} {
		as := &syscall.Credential{Uid: somebody, Gid: somebody, Groups: tt.groups}
		for i, call := range [][]string{{"/metrics"}, {"/v1/status"}, {"/v1/actions", "-d", `{"verb":"bulk"}`}} {
			status, body := curlAs(t, as, path, call...)
			if status != tt.want[i] {
				t.Errorf("%s: %s: %d, want %d: %s", tt.name, call[0], status, tt.want[i], body)
			}
			if tt.name == "exporter" && i == 1 && !strings.Contains(body, "may read /metrics only") {
				t.Errorf("%s: %s", tt.name, body)
			}
		}
	}
}

// TestMetricsAsText: the client passes the page on as it is, and the reason where there is none.
func TestMetricsAsText(t *testing.T) {
	b := fake()
	b.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x 1\n")) })
	if page, err := start(t, b).Metrics(t.Context()); string(page) != "x 1\n" || err != nil {
		t.Errorf("%q, %v", page, err)
	}
	b.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "daemon is stopping", http.StatusInternalServerError)
	})
	page, err := start(t, b).Metrics(t.Context())
	if page != nil || err == nil || !strings.Contains(err.Error(), "daemon is stopping") {
		t.Errorf("%q, %v", page, err)
	}
	b.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxAnswer+1)) })
	if page, err := start(t, b).Metrics(t.Context()); page != nil || err == nil {
		t.Errorf("%d bytes, %v", len(page), err)
	}
}
