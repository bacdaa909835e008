package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where daemon and clients meet unless told otherwise.
const DefaultSocket = "/run/ctsync/ctsync.sock"

// ErrInUse is wrapped by Listen when another daemon serves the socket.
var ErrInUse = errors.New("another daemon is serving it")

// Listener is the daemon's control socket together with the lock that keeps a second daemon away.
type Listener struct {
	*net.UnixListener
	lock *os.File
}

// Listen makes the control socket at path with mode 0660 and the given group (name or number; empty leaves the
// daemon's own) and its directory if that is missing. A socket file that a dead daemon left behind is replaced.
//
// Two guards keep two daemons apart: a lock on path.lock, which the kernel releases when its holder dies, and a probe
// of an existing socket, which also notices a server that knows no lock. Either gives an error that wraps ErrInUse.
func Listen(path, group string) (*Listener, error) {
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := bindSocket(path, gid)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &Listener{UnixListener: l, lock: lock}, nil
}

// Close removes the socket file, closes the socket and releases the lock, in this order.
func (l *Listener) Close() error {
	return errors.Join(l.UnixListener.Close(), l.lock.Close())
}

// lockSocket takes the lock and writes our process id into it. The file stays for ever: to remove it would let two
// daemons hold locks on two files of one name.
func lockSocket(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open socket lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		f.Close()
		return nil, fmt.Errorf("listen on %s: %w (pid %s)", path, ErrInUse, strings.TrimSpace(string(pid)))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	return f, nil
}

// bindSocket replaces a dead socket at path by a new one. The umask gives the file its mode in the moment it comes into
// being, so that there is none in which others could connect.
func bindSocket(path string, gid int) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	if gid >= 0 {
		if err := os.Chown(path, -1, gid); err != nil {
			l.Close()
			return nil, fmt.Errorf("set group of control socket: %w", err)
		}
	}
	return l, nil
}

// removeStale removes a socket at path that nobody serves. It never removes anything but a socket.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("listen on %s: the file is there and is no socket", path)
	}
	// A full backlog answers EAGAIN: somebody serves it. Only a refused connection proves that nobody does.
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("listen on %s: %w", path, ErrInUse)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove dead control socket: %w", err)
	}
	return nil
}

// lookupGroup returns the number of a group, -1 for none.
func lookupGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("look up socket group: %w", err)
	}
	return strconv.Atoi(g.Gid)
}
