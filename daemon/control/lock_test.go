package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

// runtimeDirectory is a directory as the unit makes it, for the daemon that this test is: others may enter it, and
// members of the group readers may write in it.
func runtimeDirectory(t *testing.T) string {
	t.Helper()
	nstest.Require(t)                          // only root can become others
	dir, err := os.MkdirTemp("", "ctsync-run") // t.TempDir does not let others in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chown(dir, 0, readers), os.Chmod(dir, 0o775|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hold runs flock(1) as somebody until the test ends, and returns when it has the lock of path.
func hold(t *testing.T, as *syscall.Credential, path string) *exec.Cmd {
	t.Helper()
	nstest.RequireCommand(t, "flock", "util-linux")
	cmd := exec.Command("flock", "--no-fork", path, "sh", "-c", "echo locked; exec sleep 60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatalf("flock %s: %v", path, err)
	}
	return cmd
}

// Whoever may look at the runtime directory may lock it. That is nothing to a daemon which starts.
func TestListenThoughTheDirectoryIsLocked(t *testing.T) {
	dir := runtimeDirectory(t)
	hold(t, &syscall.Credential{Uid: somebody, Gid: somebody}, dir)
	path := filepath.Join(dir, "s")
	ln, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, fake())
	answered(t, New(path))
	nobody := exec.Command("flock", "--nonblock", path+".lock", "true")
	nobody.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{readers}},
	}
	if out, err := nobody.CombinedOutput(); err == nil {
		t.Errorf("others can lock the lock: %s", out)
	}
}

// A lock that is held ends the start, with the name of who holds it. A daemon that is stopped meanwhile does not wait.
func TestListenThoughTheLockIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	holder := hold(t, nil, path+".lock")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Listen(ctx, path, "", quietLog); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopped after %v", took)
	}
	who := fmt.Sprintf("pid %d (sleep) holds it", holder.Process.Pid)
	if _, err := Listen(t.Context(), path, "", quietLog); err == nil || !strings.Contains(err.Error(), who) {
		t.Errorf("error %v, want %q", err, who)
	}
	holder.Process.Kill()
	holder.Wait()
	if ln, err = Listen(t.Context(), path, "", quietLog); err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

// What a member of the runtime directory's group has put in the place of the socket or of its lock is put aside and
// logged, and the daemon starts.
func TestListenPutsForeignFilesAside(t *testing.T) {
	put := map[string]func(path string) error{
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o666) },
		"directory": func(path string) error { return errors.Join(os.Mkdir(path, 0o777), os.Mkdir(path+"/x", 0o777)) },
		"link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"file":      func(path string) error { return os.WriteFile(path, []byte("x"), 0o666) },
		"socket":    func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o777, 0) },
	}
	for what, put := range put {
		for _, suffix := range []string{"", ".lock"} {
			t.Run(what+suffix, func(t *testing.T) {
				path := filepath.Join(runtimeDirectory(t), "s")
				if err := errors.Join(put(path+suffix), os.Lchown(path+suffix, somebody, readers)); err != nil {
					t.Fatal(err)
				}
				var log lockedBuffer
				ln, err := Listen(t.Context(), path, "", slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				serveOn(t, ln, fake())
				answered(t, New(path))
				if s := log.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, suffix+".aside-") {
					t.Errorf("log %q", s)
				}
			})
		}
	}
}

// Somebody else's server in our directory does not keep the daemon from its place.
func TestListenPutsForeignServerAside(t *testing.T) {
	path := filepath.Join(runtimeDirectory(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Lchown(path, somebody, readers); err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, fake())
	answered(t, New(path))
}
