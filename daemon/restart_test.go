package daemon_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// startFrom runs the ctsyncd at program, with notify in the place of systemd's socket, and waits until it is ready.
func (r *router) startFrom(program, notify string, o options) {
	r.t.Helper()
	r.spawn("env", "NOTIFY_SOCKET="+notify, program, "--config", r.writeConfig(o), "--log", "stderr")
	r.eventually(20*time.Second, "is ready", func() bool {
		return !r.exited() && strings.Contains(r.log.since(), "ready")
	})
}

// copyProgram puts a program at path as an upgrade does: under another name first.
func copyProgram(t *testing.T, from, path string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// tryCtsync runs the command line and returns its output and exit status.
func (r *router) tryCtsync(args ...string) (string, int) {
	r.t.Helper()
	cmd := r.ns.Exec(r.t.Context(), filepath.Join(binDir, "ctsync"), append([]string{"--socket", r.socket()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// systemdSocket collects the messages that systemd would get, until the test ends.
func systemdSocket(t *testing.T, path string) *logBuffer {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	text := &logBuffer{}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			text.Write(append(b[:n], '\n'))
		}
	}()
	return text
}

// TestRestart restarts a daemon whose program was upgraded: it keeps its process, runs the new program, and has its own
// table and the peer's again when the command ends.
func TestRestart(t *testing.T) {
	const n = 500
	a, b := newPair(t)
	program, notify := filepath.Join(b.dir, "ctsyncd"), filepath.Join(b.dir, "notify")
	copyProgram(t, filepath.Join(binDir, "ctsyncd"), program)
	systemd := systemdSocket(t, notify)
	a.start(options{})
	b.startFrom(program, notify, options{})
	a.create(testFlows(n))
	same(t, a, b, n, 20*time.Second)
	before := b.status()

	// A configuration that is refused changes nothing.
	config := filepath.Join(b.dir, "ctsync.toml")
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append([]byte("mode = \"telepathy\"\n"), good...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := b.tryCtsync("restart")
	if code != 1 || !strings.Contains(out, "not restarted") || !strings.Contains(out, "ctsync.toml:1:8") ||
		strings.Count(out, "\n") != 1 {
		t.Errorf("restart with a broken configuration: exit status %d: %s", code, out)
	}
	if now := b.status(); !now.Started.Equal(before.Started) || now.External != n {
		t.Errorf("a refused restart changed something: %+v", now)
	}
	if err := os.WriteFile(config, good, 0o600); err != nil {
		t.Fatal(err)
	}

	upgraded := filepath.Join(t.TempDir(), "ctsyncd")
	nstest.Command(t, "go", "build", "-ldflags", "-X main.version=upgraded", "-o", upgraded, "ctsync/cmd/ctsyncd")
	copyProgram(t, upgraded, program)
	systemd.mark()
	out, code = b.tryCtsync("restart")
	now := b.status()
	if code != 0 || now.PID != before.PID || now.Version != "upgraded" || !now.Started.After(before.Started) ||
		!now.Ready {
		t.Errorf("restart: exit status %d: %s\nbefore %+v\nafter %+v", code, out, before, now)
	}
	for _, line := range []string{"ctsyncd restarted: version upgraded", "asked for its internal cache",
		"internal cache sent to the peer"} {
		if !strings.Contains(out, line) {
			t.Errorf("restart does not say %q: %s", line, out)
		}
	}
	if strings.ContainsAny(out, "\r\x1b") {
		t.Errorf("progress in a pipe: %q", out)
	}
	same(t, a, b, n, 20*time.Second)
	inStep(t, a, b, 20*time.Second)
	nstest.Eventually(t, 10*time.Second, func() bool {
		text := systemd.since()
		return strings.Contains(text, "RELOADING=1\nMONOTONIC_USEC=") &&
			strings.LastIndex(text, "READY=1") > strings.LastIndex(text, "RELOADING=1")
	}, func() string { return "systemd hears RELOADING, then READY:\n" + systemd.since() })
	if strings.Contains(systemd.since(), "STOPPING") {
		t.Errorf("a message to systemd says that the service ends:\n%s", systemd.since())
	}
	b.stop(syscall.SIGTERM) // signals work after the restart, too
}

// TestRestartAlone has no peer that answers: the daemon runs again, and what could not be done is said.
func TestRestartAlone(t *testing.T) {
	nstest.RequireCommand(t, "script", "bsdutils")
	t.Parallel()
	_, b := newPair(t)
	b.start(options{})
	// On a terminal the wait is seen.
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", b.ns.Name, "script", "-qec",
		filepath.Join(binDir, "ctsync")+" --socket "+b.socket()+" restart", "/dev/null")
	screen, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(screen), "restart: waiting for the peer") ||
		!strings.Contains(string(screen), "the peer did not answer within 10s") {
		t.Errorf("restart on a terminal: %v: %q", err, screen)
	}
}
