package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// panics makes the test binary, as a daemon, panic at SIGUSR1.
const panics = "CTSYNCD_TEST_PANICS"

// A daemon that panicked says at its next start what it was, in one line of the log, and shows it and the number of
// such restarts. A restart that was asked for counts nothing.
func TestAfterPanic(t *testing.T) {
	p := startProcess(t, syncNamespace(t), onSync0, panics+"=1")
	p.hears("READY=1")
	if got := p.status(); !strings.Contains(got, `"restarts":{"unasked":0}`) {
		t.Errorf("at the first start: %s", got)
	}
	for i, by := range []struct {
		signal syscall.Signal
		status int
		want   string
	}{
		{syscall.SIGUSR1, 2, `panic: for the test, at ctsyncd/main_test\.go:\d+`},
		{syscall.SIGABRT, 2, `SIGABRT: abort`},
		{syscall.SIGKILL, -1, `kill: no word was left`},
	} {
		p.signal(by.signal)
		if status := p.exits(); status != by.status {
			t.Errorf("%v: exit status %d", by.signal, status)
		}
		before := len(p.stderr.String())
		p.again()
		p.hears("READY=1")
		log := p.stderr.String()[before:]
		line := regexp.MustCompile(`(?m)^<3>.* ended without being asked to.*` + by.want)
		if len(line.FindAllString(log, -1)) != 1 {
			t.Errorf("%v: no line %s in\n%s", by.signal, line, log)
		}
		got := p.status()
		last := `"unasked":` + strconv.Itoa(i+1) + `,"last":.*` + strings.TrimPrefix(by.want, "kill: ")
		if !regexp.MustCompile(last).MatchString(got) ||
			!regexp.MustCompile(`"warnings":.*ended without being asked to.*`+by.want).MatchString(got) {
			t.Errorf("%v: %s", by.signal, got)
		}
	}
	if status, answer := p.act("restart"); status != http.StatusOK {
		t.Fatalf("restart: %d, %s", status, answer)
	}
	p.hears("READY=1")
	p.signal(syscall.SIGTERM)
	p.exits()
	p.again()
	p.hears("READY=1")
	if got := p.status(); !strings.Contains(got, `"unasked":3`) {
		t.Errorf("a restart that was asked for: %s", got)
	}
	if _, err := os.Stat(p.dir + "/state/crash.last"); err != nil {
		t.Errorf("the stack: %v", err)
	}
}

// status is what the process says of itself.
func (p *process) status() string {
	p.t.Helper()
	var text string
	nstest.Eventually(p.t, 10*time.Second, func() bool {
		resp, err := p.client().Get("http://ctsync/v1/status")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(p.t, err)
		text = string(b)
		return resp.StatusCode == http.StatusOK
	}, func() string { return "no status" })
	return text
}
