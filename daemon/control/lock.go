package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/owned"
)

// How long Listen waits for the lock, which others hold for milliseconds, and how often it tries.
const (
	lockWait = 3 * time.Second
	lockPoll = 10 * time.Millisecond
)

// lockSocket takes the lock of a control socket: a flock(2) of a file beside it. Nobody but root and the daemon's user
// can open that file, because whoever can open a file can lock it, for ever. It stays, so that all lock the same one.
// Closing it releases the lock.
func lockSocket(ctx context.Context, socket string, log *slog.Logger) (*os.File, error) {
	path := socket + ".lock"
	f, moved, err := owned.Claim(path, os.O_RDWR|os.O_CREATE, 0o600, owned.Ours)
	if moved != nil {
		log.Warn("something else was in the place of the socket's lock: ask its owner", "what", moved)
	}
	if err != nil {
		return nil, fmt.Errorf("open lock of control socket: %w", err)
	}
	_ = f.Chmod(0o600) // fails for a file of root's, which only root could have opened to others
	for deadline := time.Now().Add(lockWait); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
		case ctx.Err() != nil:
			err = ctx.Err()
		case time.Now().After(deadline):
			err = fmt.Errorf("%s holds it: another daemon that starts, or end that process", holder(f))
		default:
			time.Sleep(lockPoll)
			continue
		}
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}

// holder names the process that locked f, as far as the kernel says (/proc/locks, proc_locks(5)).
func holder(f *os.File) string {
	const unknown = "another process"
	var st unix.Stat_t
	locks, err := os.Open("/proc/locks")
	if err != nil || unix.Fstat(int(f.Fd()), &st) != nil {
		return unknown
	}
	defer locks.Close()
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 1234 00:1a:567 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return fmt.Sprintf("pid %d (%s)", pid, strings.TrimSpace(string(name)))
		}
	}
	return unknown
}
