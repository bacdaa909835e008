package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/nstest"
)

const somebody = 54321 // a user whom nobody here trusts

// watched is a daemon that only takes up what is parked.
type watched struct {
	mu     sync.Mutex
	groups []string
	log    bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *watched) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *watched) taken() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.groups, " ")
}

// watch watches path until the test ends.
func watch(t *testing.T, path string) *watched {
	t.Helper()
	w := &watched{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Watch(ctx, path, func(n control.Notification) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.groups = append(w.groups, n.Name)
		}, slog.New(slog.NewTextHandler(w, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// takes waits until the daemon has taken up what is parked for these groups, each once and in their order.
func (w *watched) takes(t *testing.T, within time.Duration, groups string) {
	t.Helper()
	nstest.Eventually(t, within, func() bool { return w.taken() == groups },
		func() string { return fmt.Sprintf("taken up is %q, want %q; log: %s", w.taken(), groups, w.logged()) })
}

func parkFor(t *testing.T, path, group string) {
	t.Helper()
	if _, err := park(path, sample(group, control.StateMaster)); err != nil {
		t.Fatal(err)
	}
}

// What is parked while the daemon runs is taken up at once, and before it starts, too.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parked")
	parkFor(t, path, "before")
	w := watch(t, path)
	w.takes(t, 5*time.Second, "before")
	want := "before"
	for i := range 5 {
		began := time.Now()
		group := fmt.Sprint("g", i)
		parkFor(t, path, group)
		want += " " + group
		w.takes(t, 5*time.Second, want)
		if took := time.Since(began); took > lookEvery/2 {
			t.Errorf("taken up after %v", took)
		}
	}
	if log := w.logged(); log != "" {
		t.Errorf("log %q", log)
	}
}

// A directory that is made later, or again, is found.
func TestWatchBeforeTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "s.parked")
	w := watch(t, path)
	parkFor(t, path, "a")
	w.takes(t, 5*time.Second, "a")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	parkFor(t, path, "b")
	w.takes(t, 5*time.Second, "a b")
}

// A file that another process has locked is looked at again.
func TestWatchWhileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.parked")
	parkFor(t, path, "a")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	w := watch(t, path)
	time.Sleep(2 * lockWait)
	if taken := w.taken(); taken != "" {
		t.Errorf("taken up while it was locked: %s", taken)
	}
	f.Close()
	w.takes(t, 5*time.Second, "a")
	if n := strings.Count(w.logged(), "\n"); n > 1 {
		t.Errorf("%d lines in the log: %s", n, w.logged())
	}
}

// Whatever lies in the place of the file, nothing hangs: it is put aside, with a line, and what is parked then arrives.
func TestForeignFileInPlace(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "precious")
	for what, put := range map[string]func(path string) error{
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o666) },
		"link":      func(path string) error { return os.Symlink(elsewhere, path) },
		"hard link": func(path string) error { return os.Link(elsewhere, path) },
		"directory": func(path string) error { return errors.Join(os.Mkdir(path, 0o777), os.Mkdir(path+"/x", 0o777)) },
		"file": func(path string) error {
			if os.Getuid() != 0 {
				return unix.Mkfifo(path, 0o666)
			}
			return errors.Join(os.WriteFile(path, []byte("{}\n"), 0o666), os.Chown(path, somebody, somebody))
		},
	} {
		if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.parked")
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			w := watch(t, path)
			nstest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(w.logged(), "put aside as") },
				func() string { return "no line in the log: " + w.logged() })
			parkFor(t, path, "a")
			w.takes(t, 5*time.Second, "a")

			other := filepath.Join(t.TempDir(), "s.parked")
			if err := put(other); err != nil {
				t.Fatal(err)
			}
			moved, err := park(other, sample("b", control.StateMaster))
			if err != nil || moved == nil {
				t.Errorf("park: %v, %v", moved, err)
			}
			if ns, err := Unpark(other); err != nil || len(ns) != 1 {
				t.Errorf("parked are %v, %v", ns, err)
			}
		})
		if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "precious" {
			t.Errorf("%s: the other file holds %q, %v", what, b, err)
		}
	}
}

// A full file of another user cannot be replaced in a directory with the sticky bit: the newest notifications are kept
// all the same, and the daemon, to whom the directory belongs, reads them all.
func TestParkInFullFileOfAnother(t *testing.T) {
	const daemon, members = somebody + 1, somebody + 2
	dir, err := os.MkdirTemp("", "ctsync-park") // t.TempDir does not let others in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s.parked")
	if err := errors.Join(os.Chown(dir, daemon, members), os.Chmod(dir, 0o775|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	const n = 500
	fill := func(from, to int64) func() {
		return func() {
			for i := from; i < to; i++ {
				m := sample("syncgrp", control.StateBackup)
				m.Boottime = i
				if _, err := park(path, m); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}
	nstest.As(t, somebody, []uint32{members}, fill(1, 100))
	fill(100, 101)() // as root
	nstest.As(t, somebody+3, []uint32{members}, fill(101, n))
	nstest.As(t, daemon, []uint32{members}, func() {
		ns, err := Unpark(path)
		if err != nil || len(ns) < 100 || len(ns) == n-1 {
			t.Errorf("%d kept, %v", len(ns), err)
		}
		for i, m := range ns {
			if want := int64(n - len(ns) + i); m.Boottime != want {
				t.Errorf("entry %d is number %d, want %d", i, m.Boottime, want)
				break
			}
		}
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// A daemon that has no place for one more caller, or is stopped, gets the word all the same.
func TestDeliverToCrowded(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	serve(t, socket, func(context.Context, control.Notification) (control.Transition, error) {
		return control.Transition{}, &control.Error{Code: control.CodeCrowded, Message: "128 connections are open"}
	})
	w := watch(t, ParkedPath(socket))
	d, err := Deliver(t.Context(), socket, sample("a", control.StateMaster))
	if err != nil || d.Parked == "" || d.Cause == nil {
		t.Errorf("delivery %+v, %v", d, err)
	}
	w.takes(t, 5*time.Second, "a")
}

func TestDeliverToHanging(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := watch(t, ParkedPath(socket))
	if d, err := Deliver(t.Context(), socket, sample("a", control.StateMaster)); err != nil || d.Parked == "" {
		t.Errorf("delivery %+v, %v", d, err)
	}
	w.takes(t, 5*time.Second, "a")
}
