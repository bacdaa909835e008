package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

const onSync0 = `[failover-mechanism.vrrp]
sync-group = "g"
[interface.sync0]
`

// syncNamespace is a namespace with the dedicated link sync0, whose other end is in a second one.
func syncNamespace(t *testing.T) *nstest.NS {
	a, b := nstest.New(t), nstest.New(t)
	nstest.Veth(t, a, "sync0", []string{"198.51.100.1/24"}, b, "sync0", []string{"198.51.100.2/24"})
	return a
}

// The daemon needs no more than the one capability that the unit leaves it.
func TestUnprivileged(t *testing.T) {
	p := startProcess(t, syncNamespace(t), onSync0)
	p.hears("READY=1")
	p.hears("STATUS=running")

	status := p.proc("status")
	for _, want := range []string{`Uid:\t65534\t65534\t65534\t65534`, `Gid:\t65534\t65534\t65534\t65534`, `Groups:\t *`,
		`CapPrm:\t0000000000001000`, `CapEff:\t0000000000001000`, `CapBnd:\t0000000000001000`, `NoNewPrivs:\t1`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(status) {
			t.Errorf("the process does not run as it should, no %s in\n%s", want, status)
		}
	}
	p.logs("sync link open")
	if udp := p.proc("net/udp"); !strings.Contains(udp, ":0EC4 ") {
		t.Errorf("no UDP socket on port 3780:\n%s", udp)
	}
	info, err := os.Stat(p.socket)
	must(t, err)
	if info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("control socket has mode %v, want 0660", info.Mode())
	}
	c, err := net.Dial("unix", p.socket)
	must(t, err)
	c.Close()

	began := time.Now()
	p.signal(syscall.SIGTERM)
	p.hears("STOPPING=1")
	if status := p.exits(); status != exitDone {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	t.Logf("ended %v after SIGTERM", time.Since(began))
	if _, err := os.Stat(p.socket); err == nil {
		t.Error("the control socket is still there")
	}
}

func TestReload(t *testing.T) {
	p := startProcess(t, syncNamespace(t), onSync0)
	p.hears("READY=1")

	// The daemon loads a changed file by itself.
	p.configure("purge-timeout = 7\n" + onSync0)
	p.hears("RELOADING=1")
	p.hears("READY=1")
	p.logs("key=purge-timeout")

	// When the file is invalid, the daemon keeps its configuration and logs every mistake.
	p.configure("purge-timeout = 0\nsock = 1\n" + onSync0)
	p.hears("STATUS=running with an older configuration: the file is refused")
	p.hears("READY=1")
	p.logs("ctsyncd: " + p.config + ":3:17: purge-timeout = 0 is out of range: 1 to 86400 seconds\n")
	p.logs("ctsyncd: " + p.config + `:4:1: unknown key "sock"`)

	// The valid file of before changes nothing, and the daemon no longer reports a refusal.
	p.configure("purge-timeout = 7\n" + onSync0)
	p.hears("STATUS=running")

	// Keys that wait for a restart are named.
	p.configure("purge-timeout = 7\nsocket-group = 0\n" + onSync0)
	p.hears("STATUS=running, a restart is needed for socket-group")
	p.logs("some settings wait for a restart")

	// SIGHUP answers even when nothing changed.
	p.signal(syscall.SIGHUP)
	p.hears("RELOADING=1")
	p.hears("STATUS=running, a restart is needed for socket-group")
	p.hears("READY=1")
	p.logs("configuration is unchanged")

	p.configure(onSync0)
	p.hears("STATUS=running")
	p.signal(syscall.SIGINT)
	if status := p.exits(); status != exitDone {
		t.Errorf("exit status %d after SIGINT", status)
	}
}

func TestWatchdogIsFedByTheCoreLoop(t *testing.T) {
	p := startProcess(t, syncNamespace(t), onSync0, "WATCHDOG_USEC=400000")
	p.hears("READY=1")
	for range 3 {
		p.hears("WATCHDOG=1")
	}
}

// A watchdog that is fed by a timer alone would keep a daemon that hangs.
func TestWatchdogStarvesWithoutTheCoreLoop(t *testing.T) {
	p := &process{t: t, dir: t.TempDir(), heard: make(chan string, 100)}
	t.Setenv("NOTIFY_SOCKET", p.serviceManager())
	s := &service{log: slog.New(slog.NewTextHandler(&p.stderr, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	pings := 0
	go func() {
		defer close(ended)
		s.feedWatchdog(ctx, time.Millisecond, func(within context.Context) error {
			if pings++; pings == 1 {
				return nil
			}
			if pings == 20 {
				cancel()
			}
			<-within.Done() // the loop hangs
			return within.Err()
		})
	}()
	<-ended
	s.notify("END=1")
	for n := 0; ; n++ {
		if state := <-p.heard; state == "END=1" {
			if n != 1 {
				t.Errorf("the watchdog was fed %d times by one answer", n)
			}
			break
		}
	}
	p.logs("core loop does not answer")
}

// Two daemons on one control socket would fight over the kernel's table.
func TestSecondDaemonIsRefused(t *testing.T) {
	ns := syncNamespace(t)
	first := startProcess(t, ns, onSync0)
	first.hears("READY=1")
	second := ns.Exec(t.Context(), os.Args[0], "--config", first.config)
	second.Env = append(os.Environ(), asDaemon+"=1")
	out, _ := second.CombinedOutput()
	status, refusal := second.ProcessState.ExitCode(), first.socket+": another daemon is serving it"
	if status != exitFailure || !strings.Contains(string(out), refusal) {
		t.Errorf("exit status %d, output %q", status, out)
	}
	first.signal(syscall.SIGHUP)
	first.logs("configuration is unchanged")
}

// A daemon that waits for another one to let go of the socket obeys SIGTERM.
func TestStoppedWhileTheSocketIsLocked(t *testing.T) {
	nstest.RequireCommand(t, "flock", "util-linux")
	first := startProcess(t, syncNamespace(t), onSync0)
	first.hears("READY=1")
	first.signal(syscall.SIGTERM)
	first.exits()
	lock := exec.Command("flock", "--no-fork", first.socket+".lock", "sh", "-c", "echo locked; exec sleep 60")
	out, err := lock.StdoutPipe()
	must(t, err)
	must(t, lock.Start())
	defer func() { lock.Process.Kill(); lock.Wait() }()
	_, err = out.Read(make([]byte, 10))
	must(t, err)

	second := exec.Command(os.Args[0], "--config", first.config)
	second.Env = append(os.Environ(), asDaemon+"=1")
	must(t, second.Start())
	time.Sleep(time.Second)
	began := time.Now()
	must(t, second.Process.Signal(syscall.SIGTERM))
	if err := second.Wait(); err != nil || time.Since(began) > time.Second {
		t.Errorf("%v, %v after SIGTERM", err, time.Since(began))
	}
}
