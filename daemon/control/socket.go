package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/owned"
)

// DefaultSocket is the control socket unless the configuration or --socket names another.
const DefaultSocket = "/run/ctsync/ctsync.sock"

// ErrInUse is wrapped by Listen when another daemon serves the socket.
var ErrInUse = errors.New("another daemon is serving it")

// Listener is the daemon's control socket.
type Listener struct {
	*net.UnixListener
	path string
	file os.FileInfo // of the socket file that Listen made
}

// Listen makes the control socket at path with mode 0660 and the given group (name or number; empty leaves the
// daemon's own), and its directory if that is missing. It replaces a socket file that a dead daemon left behind; if
// somebody serves the socket, the error wraps ErrInUse. What a user whom the daemon does not trust has put at path, or
// at that of the lock, is put aside and logged.
//
// While it looks, removes and binds it holds a lock. Without it, of two daemons that start at once on the same dead
// socket, the second would remove the socket of the first. ctx ends the wait for it.
func Listen(ctx context.Context, path, group string, log *slog.Logger) (*Listener, error) {
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	lock, err := lockSocket(ctx, path, log)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // releases it
	if err := clearSocket(path, log); err != nil {
		return nil, err
	}
	return bindSocket(path, gid)
}

// Close closes the socket and removes its file, unless somebody put another in its place.
func (l *Listener) Close() error {
	var rerr error
	if st, err := os.Lstat(l.path); err == nil && os.SameFile(st, l.file) {
		rerr = os.Remove(l.path)
	}
	return errors.Join(l.UnixListener.Close(), rerr)
}

// bindSocket makes the socket. The umask gives the file its mode as it is made: at no moment can others connect.
func bindSocket(path string, gid int) (*Listener, error) {
	old := syscall.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // see Close
	if gid >= 0 {
		err = os.Lchown(path, -1, gid)
	}
	st, serr := os.Lstat(path)
	if err = errors.Join(err, serr); err != nil {
		l.Close()
		os.Remove(path)
		return nil, fmt.Errorf("set group of control socket: %w", err)
	}
	return &Listener{UnixListener: l, path: path, file: st}, nil
}

// clearSocket removes a socket at path that nobody serves, and puts aside what somebody else has put there. It removes
// nothing but a socket.
func clearSocket(path string, log *slog.Logger) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if uid := st.Sys().(*syscall.Stat_t).Uid; !owned.Trusts(uid, filepath.Dir(path)) {
		moved, err := owned.PutAside(path, fmt.Errorf("%s belongs to uid %d", path, uid))
		if err != nil {
			return fmt.Errorf("listen on control socket: %w", err)
		}
		log.Warn("something else was in the place of the control socket: ask its owner", "what", moved)
		return nil
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("listen on %s: the file is there and is no socket", path)
	}
	// A full backlog answers EAGAIN, so somebody serves it. Only a refused connection proves that nobody does.
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		defer c.Close()
		if owner, ok := peerOf(c); ok {
			return fmt.Errorf("listen on %s: %w (pid %d)", path, ErrInUse, owner.PID)
		}
	}
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("probe control socket: %w", err)
	case !errors.Is(err, unix.ECONNREFUSED):
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
