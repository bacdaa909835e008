package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/nstest"
	"ctsync/notify"
)

// deliver reports a state of keepalived as a script of root does.
func (p *process) deliver(state control.State) notify.Delivery {
	p.t.Helper()
	n := control.Notification{
		Type: control.TypeGroup, Name: "g", State: state, Source: "test", At: time.Now(), Boottime: control.Boottime(),
	}
	d, err := notify.Deliver(p.t.Context(), p.socket, n)
	must(p.t, err)
	return d
}

// takes waits until the daemon's last transition is of that state.
func (p *process) takes(state control.State, within time.Duration) {
	p.t.Helper()
	c := control.New(p.socket)
	defer c.Close()
	var last string
	nstest.Eventually(p.t, within, func() bool {
		ts, err := c.Transitions(p.t.Context())
		if err != nil || len(ts) == 0 {
			return false
		}
		last = string(ts[len(ts)-1].State)
		return last == string(state)
	}, func() string { return "the last transition is " + last + ", not " + string(state) })
}

// Keepalived's word arrives whatever those do who may only read, and though the daemon does not answer for a while.
func TestWordArrives(t *testing.T) {
	const somebody = 54321
	p := startProcess(t, syncNamespace(t), "control-group = 54402\n"+onSync0)
	p.hears("READY=1")

	nstest.As(t, somebody, []uint32{nobody}, func() {
		for range 1100 {
			c, err := net.Dial("unix", p.socket)
			if err != nil {
				t.Errorf("the daemon does not let readers in: %v", err)
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	})
	began := time.Now()
	if d := p.deliver(control.StateMaster); d.Transition == nil {
		t.Errorf("delivery %+v", d)
	}
	t.Logf("delivered after %v", time.Since(began))
	p.takes(control.StateMaster, time.Second)

	p.signal(syscall.SIGSTOP)
	if d := p.deliver(control.StateBackup); d.Parked == "" {
		t.Errorf("delivery %+v", d)
	}
	p.signal(syscall.SIGCONT)
	p.takes(control.StateBackup, 2*time.Second)

	// What another has put in the place of the file is put aside, and the next one is taken up.
	must(t, unix.Mkfifo(notify.ParkedPath(p.socket), 0o666))
	p.logs("it is a FIFO")
	p.signal(syscall.SIGSTOP)
	if d := p.deliver(control.StateFault); d.Parked == "" {
		t.Errorf("delivery %+v", d)
	}
	p.signal(syscall.SIGCONT)
	p.takes(control.StateFault, 2*time.Second)
	if log := p.stderr.String(); strings.Count(log, "FIFO") != 1 {
		t.Errorf("the log says it more than once")
	}
	if _, err := os.Lstat(notify.ParkedPath(p.socket)); err == nil {
		t.Error("the parked file is still there")
	}
}
