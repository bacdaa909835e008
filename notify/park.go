package notify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

// maxParked bounds the file of parked notifications, in bytes: about 300 of them. Beyond it the older half gives way,
// because only the last state of a group matters in the end.
const maxParked = 64 << 10

// ParkedPath returns the file that belongs to a socket. It lies beside it, so it does not outlive a reboot, as the
// role of the router does not.
func ParkedPath(socket string) string { return socket + ".parked" }

// Park appends n to the file at path as one JSON line.
func Park(path string, n control.Notification) error {
	n.Source = SourceParked
	line, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("park notification: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("park notification: %w", err)
	}
	f, err := openLocked(path, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return fmt.Errorf("park notification: %w", err)
	}
	defer f.Close()
	shareWithDaemon(f)
	if err := makeRoom(f, len(line)+1); err != nil {
		return fmt.Errorf("park notification: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("park notification: %w", err)
	}
	return nil
}

// shareWithDaemon lets the daemon read what another user parked: the directory is the daemon's, so whose it is, theirs is
// the file. It is best effort; where keepalived runs scripts as a member of the daemon's group, the mode is enough.
func shareWithDaemon(f *os.File) {
	var dir unix.Stat_t
	if unix.Stat(filepath.Dir(f.Name()), &dir) != nil {
		return
	}
	if f.Chown(int(dir.Uid), int(dir.Gid)) != nil {
		_ = f.Chown(-1, int(dir.Gid))
	}
	_ = f.Chmod(0o660)
}

// makeRoom drops the older half of the file when need more bytes would not fit.
func makeRoom(f *os.File, need int) error {
	st, err := f.Stat()
	if err != nil || st.Size()+int64(need) <= maxParked {
		return err
	}
	keep := make([]byte, maxParked/2)
	n, err := f.ReadAt(keep, max(st.Size()-int64(len(keep)), 0))
	if err != nil && err != io.EOF {
		return err
	}
	keep = keep[:n]
	keep = keep[bytes.IndexByte(keep, '\n')+1:]
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.Write(keep)
	return err
}

// Unpark reads and removes the parked notifications, in the order in which they were parked. A missing file holds none.
// Lines that cannot be read are reported in err beside the good ones in ns.
//
// The daemon calls it when its socket already takes connections and before it answers any, so that no notification can
// fall between: see handOver.
func Unpark(path string) (ns []control.Notification, err error) {
	err = takeParked(path, func(n control.Notification) error { ns = append(ns, n); return nil })
	return ns, err
}

// takeParked calls take for each parked notification and then removes the file, which is locked meanwhile. When take
// fails all stay: those that were taken already are repetitions then.
func takeParked(path string, take func(control.Notification) error) error {
	f, err := openLocked(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read parked notifications: %w", err)
	}
	defer f.Close()
	ns, bad, err := readParked(io.LimitReader(f, 2*maxParked))
	for _, n := range ns {
		if err := take(n); err != nil {
			return err
		}
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d lines are not readable", bad)
	}
	if rerr := os.Remove(path); rerr != nil { // what stays would be carried out again at every start
		err = errors.Join(err, rerr)
	}
	if err != nil {
		return fmt.Errorf("read parked notifications %s: %w", path, err)
	}
	return nil
}

func readParked(r io.Reader) (ns []control.Notification, bad int, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var n control.Notification
		if json.Unmarshal(lines.Bytes(), &n) != nil || n.Validate() != nil {
			bad++
			continue
		}
		ns = append(ns, n)
	}
	return ns, bad, lines.Err()
}

// lockWait bounds how long the lock is waited for; its holders write or read a few kilobytes.
const lockWait = 200 * time.Millisecond

// openLocked opens the file and locks it against other processes. A file that was removed while we waited for its lock
// is opened anew: what would be written into it nobody would read.
func openLocked(path string, flag int) (*os.File, error) {
	for deadline := time.Now().Add(lockWait); ; time.Sleep(time.Millisecond) {
		f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW, 0o660)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && linked(f) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("lock %s: %w", path, os.ErrDeadlineExceeded)
		}
	}
}

// linked reports whether f still has a name.
func linked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0
}
