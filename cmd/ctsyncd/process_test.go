package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// patience is how long a test waits for what a process does "soon".
const patience = 30 * time.Second

// nobody is the user and group that the daemon runs as in these tests.
const nobody = 65534

// process is a ctsyncd that runs as under the shipped unit: an unprivileged user with CAP_NET_ADMIN alone. It has a
// network namespace, and this test takes the place of systemd.
type process struct {
	t      *testing.T
	dir    string
	config string
	socket string
	cmd    *exec.Cmd
	ended  chan error
	heard  chan string // assignments that systemd received
	stderr logBuffer
	again  func() // starts it, as the unit does after its end
}

// startProcess starts a ctsyncd with the configuration text below the keys that place it in a directory of its own.
func startProcess(t *testing.T, ns *nstest.NS, text string, env ...string) *process {
	t.Helper()
	nstest.RequireCommand(t, "setpriv", "util-linux")
	dir := publicDir(t)
	p := &process{
		t: t, dir: dir, config: filepath.Join(dir, "ctsync.toml"), socket: filepath.Join(dir, "run", "s"),
		ended: make(chan error, 1), heard: make(chan string, 10000),
	}
	for _, d := range []string{"run", "state"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
		must(t, os.Chown(filepath.Join(dir, d), nobody, nobody))
	}
	p.configure(text)
	program := filepath.Join(dir, "ctsyncd")
	binary, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(program, binary, 0o755))

	env = append(os.Environ(), append(env, asDaemon+"=1", "NOTIFY_SOCKET="+p.serviceManager())...)
	id := fmt.Sprint(nobody)
	p.again = func() {
		cmd := ns.Exec(context.Background(), "setpriv", "--reuid", id, "--regid", id, "--clear-groups",
			"--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin", "--no-new-privs",
			program, "--config", p.config, "--log", "journal")
		cmd.Env, cmd.Stderr = env, &p.stderr
		must(t, cmd.Start())
		go func() { p.ended <- cmd.Wait() }()
		p.cmd = cmd
	}
	p.again()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		if t.Failed() {
			t.Logf("log of ctsyncd:\n%s", p.stderr.String())
		}
	})
	return p
}

// publicDir is a temporary directory that other users may enter; t.TempDir is not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctsyncd")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// configure replaces the configuration file.
func (p *process) configure(text string) {
	p.t.Helper()
	where := fmt.Sprintf("socket = %q\nstate-directory = %q\n", p.socket, filepath.Join(p.dir, "state"))
	writeFile(p.t, p.config+".new", where+text)
	must(p.t, os.Rename(p.config+".new", p.config))
}

// serviceManager is systemd's end of sd_notify(3).
func (p *process) serviceManager() string {
	p.t.Helper()
	path := filepath.Join(p.dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(p.t, err)
	must(p.t, os.Chmod(path, 0o666))
	p.t.Cleanup(func() { l.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(b[:n])) {
				p.heard <- strings.TrimSuffix(line, "\n")
			}
		}
	}()
	return path
}

// hears waits until systemd receives state. The last messages of a process may be read shortly after its end.
func (p *process) hears(state string) {
	p.t.Helper()
	deadline := time.After(patience)
	ended := p.ended
	for {
		select {
		case s := <-p.heard:
			if s == state {
				return
			}
		case err := <-ended:
			ended <- err
			ended, deadline = nil, time.After(patience/10)
		case <-deadline:
			p.t.Fatalf("ctsyncd did not say %s", state)
		}
	}
}

// logs waits for text in the log.
func (p *process) logs(text string) {
	p.t.Helper()
	nstest.Eventually(p.t, patience, func() bool { return strings.Contains(p.stderr.String(), text) },
		func() string { return "no " + text + " in the log" })
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(s))
}

// exits waits for the end of the process and returns its status.
func (p *process) exits() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			p.t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatal("ctsyncd goes on")
	}
	return -1
}

// proc is a file of the process in /proc.
func (p *process) proc(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
	must(p.t, err)
	return string(text)
}

// logBuffer is a bytes.Buffer for two goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
