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

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/owned"
)

// maxParked bounds the file of parked notifications, in bytes: about 300 of them. Beyond it the older half is dropped,
// because only the last state of a group matters in the end.
const maxParked = 64 << 10

// ParkedPath returns the path of the file that belongs to a socket. The file lies beside it, so that it does not
// survive a reboot: the role of the router does not either.
func ParkedPath(socket string) string { return socket + ".parked" }

// park adds n to the file at path as one JSON line. It holds the file's lock for one write of some 200 bytes; a script
// that is killed meanwhile leaves whole lines. Nothing waits for a disk: the file lies in /run and need not outlive the
// machine. moved says what else was there and had to be put aside.
func park(path string, n control.Notification) (moved, err error) {
	if n.Source == SourceKeepalived {
		n.Source = SourceParked + " " + SourceKeepalived
	} else {
		n.Source = SourceParked
	}
	line, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("park notification: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("park notification: %w", err)
	}
	f, moved, err := openLocked(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return moved, fmt.Errorf("park notification: %w", err)
	}
	defer f.Close()
	shareWithDaemon(f)
	if err := addLine(f, append(line, '\n')); err != nil {
		return moved, fmt.Errorf("park notification: %w", err)
	}
	return moved, nil
}

// shareWithDaemon lets the daemon read what another user parked: it gives the file to the owner of the directory, who
// is the daemon's user. Failing is no error: where keepalived runs its scripts in the daemon's group, the mode is
// enough.
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

// addLine appends a line to f, which is locked. Where there is no room, a new file with the newer half of the lines and
// this one takes the place of f: emptying f first could lose all of them, because keepalived kills its scripts when it
// stops. Others who wait for the lock of f see that it has no name any more and open the new file.
func addLine(f *os.File, line []byte) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size()+int64(len(line)) <= maxParked {
		_, err := f.WriteAt(line, st.Size())
		return err
	}
	keep := make([]byte, maxParked/2)
	n, err := f.ReadAt(keep, max(st.Size()-int64(len(keep)), 0))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	keep = keep[:n]
	keep = append(keep[bytes.IndexByte(keep, '\n')+1:], line...)
	if err := replace(f.Name(), keep); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// The file is another's in a directory with the sticky bit. The lines that are overwritten first are the oldest.
	if _, err := f.WriteAt(keep, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(keep)))
}

// replace puts a new file with that content at path.
func replace(path string, content []byte) error {
	next, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer next.Cleanup()
	shareWithDaemon(next.File)
	if _, err := next.Write(content); err != nil {
		return err
	}
	return next.CloseAtomicallyReplace()
}

// Unpark reads and removes the parked notifications, oldest first. A missing file holds none. Lines that cannot be read
// are reported in err; ns has the others. If others keep the file locked, the error wraps os.ErrDeadlineExceeded.
func Unpark(path string) (ns []control.Notification, err error) {
	f, moved, err := openLocked(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if f == nil {
		if err = errors.Join(moved, err); err != nil {
			err = fmt.Errorf("read parked notifications: %w", err)
		}
		return nil, err
	}
	defer f.Close()
	ns, bad, err := readParked(io.LimitReader(f, 2*maxParked))
	if bad > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines are not readable", bad))
	}
	err = errors.Join(moved, err)
	// What stays would be carried out again and again. It may be that we can empty the file but not remove it.
	if terr := f.Truncate(0); terr != nil {
		err = errors.Join(err, terr, os.Remove(path))
	} else {
		_ = os.Remove(path)
	}
	if err != nil {
		return ns, fmt.Errorf("read parked notifications %s: %w", path, err)
	}
	return ns, nil
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

// lockWait bounds how long park and Unpark wait for the lock. Its holders write or read a few kilobytes.
const lockWait = 200 * time.Millisecond

// openLocked opens the file and locks it against other processes. When the file was removed or replaced while we waited
// for its lock, it opens the path again: nobody would read what we write into the old file. What is no file of those
// who may park is put aside; see owned.Claim.
func openLocked(path string, flag int) (f *os.File, moved, err error) {
	for deadline := time.Now().Add(lockWait); ; time.Sleep(time.Millisecond) {
		f, aside, err := owned.Claim(path, flag, 0o660, owned.Group)
		moved = errors.Join(moved, aside)
		if err != nil {
			return nil, moved, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && linked(f) {
			return f, moved, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, moved, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			return nil, moved, fmt.Errorf("lock %s: %w", path, os.ErrDeadlineExceeded)
		}
	}
}

// linked reports whether f still has a name.
func linked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0
}
