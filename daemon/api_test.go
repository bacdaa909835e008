package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// TestDocumentedCalls runs every curl line of docs/api.md against a daemon with a peer.
func TestDocumentedCalls(t *testing.T) {
	nstest.RequireCommand(t, "curl", "curl")
	t.Parallel()
	doc, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	a, b := newPair(t)
	b.start(options{expect: true})
	a.start(options{expect: true})
	a.export(nil)
	a.create(testFlows(20))
	b.create(testFlows(20))
	for _, r := range []*router{a, b} {
		r.eventually(20*time.Second, "is in step", func() bool {
			return r.status().InStep && r.statistics().External.Active > 0
		})
	}
	lines := regexp.MustCompile(`(?m)^    curl (.*)$`).FindAllStringSubmatch(string(doc), -1)
	for _, m := range lines {
		line := strings.ReplaceAll(m[1], "/run/ctsync/ctsync.sock", a.socket())
		if strings.Contains(line, "/v1/events") {
			a.watchesByCurl(line)
			continue
		}
		out := a.ns.Run(t, "sh", "-c", "curl -sS --max-time 30 -w '\\n%{http_code}' "+line)
		body, status, ok := cutLast(strings.TrimSpace(out))
		if !ok || status[0] != '2' || strings.TrimSpace(body) == "" && !strings.Contains(line, "entries=expect") {
			t.Errorf("curl %s\n%s: %s", m[1], status, body)
		}
		ended := strings.Contains(body, `"result"`) && !strings.Contains(body, `"error"`)
		if strings.Contains(line, "/v1/actions") && !ended {
			t.Errorf("curl %s\nhas no result: %s", m[1], body)
		}
	}
	if len(lines) < 15 {
		t.Errorf("%d curl lines", len(lines))
	}
	if s := a.status(); s.Role != control.RoleBackup {
		t.Errorf("role %q after the notification of the document", s.Role)
	}
}

// watchesByCurl runs a curl line that does not end, until it has shown an event.
func (r *router) watchesByCurl(line string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	cmd := r.ns.Exec(ctx, "sh", "-c", "exec curl -sS "+line)
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	defer cmd.Wait()
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() { // nothing shows when curl has started to read
		for f := []flow.Flow{testFlow(500)}; ; {
			r.kern.Create(f, make([]unix.Errno, 1))
			r.kern.Delete(f, make([]unix.Errno, 1))
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	if !bufio.NewScanner(out).Scan() {
		r.t.Errorf("curl %s shows no event", line)
	}
}

// cutLast splits off the last line.
func cutLast(s string) (before, last string, ok bool) {
	at := strings.LastIndexByte(s, '\n')
	if at < 0 {
		return "", s, len(s) > 0
	}
	return s[:at], s[at+1:], len(s) > at+1
}

// page fetches the metrics through the control socket.
func (r *router) page() string {
	r.t.Helper()
	return r.ns.Run(r.t, "curl", "-sS", "--fail", "--max-time", "20", "--unix-socket", r.socket(), "http://ctsync/metrics")
}

// metric returns the value of a series as it stands in a page.
func metric(t *testing.T, page, series string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Errorf("no series %s", series)
	return -1
}

// TestMetrics has a pair replicate and fail over, and reads about it where Prometheus does.
func TestMetrics(t *testing.T) {
	nstest.RequireCommand(t, "curl", "curl")
	nstest.RequireCommand(t, "promtool", "prometheus")
	t.Parallel()
	const n = 300
	began := time.Now()
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
	a.create(testFlows(n))
	a.eventually(10*time.Second, "has followed an event to the peer and back", func() bool { return a.statistics().Times.EventAcknowledged.Count > 0 })
	if h := a.statistics().Times; h.EventSent.Count < h.EventAcknowledged.Count || h.EventAcknowledged.Sum <= 0 ||
		h.EventAcknowledged.Mean() > control.Duration(time.Since(began)) {
		t.Errorf("times %+v", h)
	}
	b.eventually(10*time.Second, "has all flows", func() bool { return b.statistics().External.Active == n })
	b.takeover()
	// The kernel takes a moment.
	b.eventually(10*time.Second, "sees its link up", func() bool { return b.activeLink().State == "RUNNING" })

	page := b.page()
	s := b.statistics()
	for series, want := range map[string]float64{
		`ctsync_role{role="master",sync_group="syncgrp"}`:                                          1,
		`ctsync_cache_entries{cache="internal",table="main"}`:                                      float64(s.Internal.Active),
		`ctsync_cache_created_total{cache="external",table="main"}`:                                float64(s.External.Created),
		`ctsync_commit_flows_total{outcome="created"}`:                                             n,
		`ctsync_commit_flows_total{outcome="failed"}`:                                              0,
		`ctsync_commits_total`:                                                                     float64(s.Commit.Commits),
		`ctsync_commit_duration_seconds_count`:                                                     float64(s.Commit.Commits),
		`ctsync_takeover_duration_seconds_count`:                                                   1,
		`ctsync_peer_established`:                                                                  1,
		`ctsync_link_running{device="sync0"}`:                                                      1,
		`ctsync_kernel_event_overruns_total`:                                                       0,
		`ctsync_kernel_conntrack_insert_total`:                                                     n, // the kernel counts what the commit created
		`ctsync_build_info{goversion="` + goVersion(t) + `",version="` + b.status().Version + `"}`: 1,
	} {
		if got := metric(t, page, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	b.eventually(20*time.Second, "counts its warnings", func() bool {
		return metric(t, b.page(), "ctsync_warnings") == float64(len(b.status().Warnings))
	})
	if kernel := metric(t, page, "ctsync_kernel_table_entries"); kernel < n {
		t.Errorf("kernel table %v", kernel)
	}
	if age := float64(time.Now().Unix()) - metric(t, page, "ctsync_peer_heard_timestamp_seconds"); age < -1 || age > 60 {
		t.Errorf("the peer was heard %v s ago", age)
	}
	checkPage(t, page)
}

// checkPage has Prometheus judge a page.
func checkPage(t *testing.T, page string) {
	t.Helper()
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// goVersion is what the daemon was built with.
func goVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "version", filepath.Join(binDir, "ctsyncd")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out[bytes.LastIndexByte(out, ' ')+1:]))
}

// TestLatencyByPeer follows events to either program and back.
func TestLatencyByPeer(t *testing.T) {
	for _, program := range []string{"ctsyncd", "conntrackd"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			a, b := newPair(t)
			b.startAs(program, options{})
			a.start(options{})
			a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
			flows := testFlows(40)
			for i := range 10 { // events with pauses, so that each can be followed
				a.create(flows[4*i : 4*i+4])
				time.Sleep(50 * time.Millisecond)
			}
			a.eventually(20*time.Second, "has followed events", func() bool {
				return a.statistics().Times.EventAcknowledged.Count > 0
			})
			h := a.statistics().Times
			sent, acked := h.EventSent, h.EventAcknowledged
			t.Logf("sent: %d, %v on average; acknowledged: %d, %v on average", sent.Count, sent.Mean(), acked.Count, acked.Mean())
			ran := control.Duration(time.Since(started))
			if sent.Count < acked.Count || sent.Sum <= 0 || acked.Sum <= 0 || sent.Mean() > ran || acked.Mean() > ran {
				t.Errorf("sent %+v, acknowledged %+v", sent, acked)
			}
		})
	}
}

// TestControlGroup has a daemon with both groups configured: one reads, the other acts.
func TestControlGroup(t *testing.T) {
	nstest.RequireCommand(t, "curl", "curl")
	t.Parallel()
	const somebody, readers, doers = 54321, 54401, 54402 // nobody here has these numbers
	a, _ := newPair(t)
	dir, err := os.MkdirTemp("", "ctsync-control") // t.TempDir does not let others in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a.dir = dir
	a.start(options{extra: fmt.Sprintf("socket-group = %d\ncontrol-group = %d\n", readers, doers)})
	curl := []string{
		"-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", "--unix-socket", a.socket(),
	}
	calls := [][]string{{"http://ctsync/v1/status"}, {"-d", `{"verb":"resync"}`, "http://ctsync/v1/actions"}}
	for _, tt := range []struct {
		groups []uint32
		want   string // status of reading and of acting
	}{
		{[]uint32{readers}, "200 403"}, {[]uint32{readers, doers}, "200 200"}, {[]uint32{doers}, "000 000"},
	} {
		var got []string
		for _, call := range calls {
			cmd := exec.Command("curl", append(curl, call...)...)
			who := &syscall.Credential{Uid: somebody, Gid: somebody, Groups: tt.groups}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
			out, _ := cmd.Output() // fails where there is no connection
			got = append(got, string(out))
		}
		if status := strings.Join(got, " "); status != tt.want {
			t.Errorf("groups %v: %s, want %s", tt.groups, status, tt.want)
		}
	}
	a.eventually(5*time.Second, "logs the refusal", func() bool {
		return strings.Contains(a.log.String(), "may read but not act")
	})
}
