package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// client calls the process over its control socket.
func (p *process) client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", p.socket)
		},
	}}
}

// act asks the process over its control socket for an operation.
func (p *process) act(verb string) (status int, answer string) {
	p.t.Helper()
	resp, err := p.client().Post("http://ctsync/v1/actions", "application/json", strings.NewReader(`{"verb":"`+verb+`"}`))
	must(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(p.t, err)
	return resp.StatusCode, string(b)
}

// A restart keeps the process, its user and its one capability, and keeps feeding the watchdog.
func TestRestartUnprivileged(t *testing.T) {
	p := startProcess(t, syncNamespace(t), onSync0, "WATCHDOG_USEC=500000")
	p.hears("READY=1")
	open := func() int {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		must(t, err)
		return len(files)
	}
	before := open()
	for range 3 { // what a run leaves behind would add up
		if status, answer := p.act("restart"); status != http.StatusOK || !strings.Contains(answer, "restarting") {
			t.Fatalf("restart: %d, %s", status, answer)
		}
		p.hears("RELOADING=1")
		p.hears("READY=1")
		p.hears("STATUS=running")
		p.hears("WATCHDOG=1")
	}
	now := p.proc("status")
	if !strings.Contains(now, "CapEff:\t0000000000001000") || !strings.Contains(now, "Uid:\t65534") {
		t.Errorf("after the restart the user or its capabilities differ:\n%s", now)
	}
	if after := open(); after > before+2 { // a request may be under way
		t.Errorf("%d files are open after three restarts, %d before", after, before)
	}

	// A program that is not there, or does not start, refuses the restart.
	program := filepath.Join(p.dir, "ctsyncd")
	must(t, os.Rename(program, program+".away"))
	refused := regexp.MustCompile("not restarted.*no such file")
	if status, answer := p.act("restart"); status != http.StatusConflict || !refused.MatchString(answer) {
		t.Errorf("without the program: %d, %s", status, answer)
	}
	must(t, os.WriteFile(program, []byte("not a program"), 0o755))
	status, answer := p.act("restart")
	if status != http.StatusConflict || !strings.Contains(answer, "exec format error") {
		t.Errorf("with another file in its place: %d, %s", status, answer)
	}
	must(t, os.Rename(program+".away", program))
	p.signal(syscall.SIGTERM)
	p.hears("STOPPING=1")
	if status := p.exits(); status != exitDone {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	nstest.Eventually(t, 10*time.Second, func() bool { _, err := os.Stat(p.socket); return err != nil },
		func() string { return "the control socket is still there" })
}
