package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestListenMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "dir", "s")
	old := syscall.Umask(0) // the mode must not depend on it
	defer syscall.Umask(old)
	ln, err := Listen(t.Context(), path, strconv.Itoa(os.Getgid()), quietLog)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode %v", st.Mode())
	}
	if gid := st.Sys().(*syscall.Stat_t).Gid; int(gid) != os.Getgid() {
		t.Errorf("group %d", gid)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestListenUnknownGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Listen(t.Context(), path, "no-such-group", quietLog); err == nil ||
		!strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("error %v", err)
	}
}

func TestListenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, fake())
	_, err = Listen(t.Context(), path, "", quietLog)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second daemon: %v", err)
	}
	answered(t, New(path)) // the first is not disturbed
}

// Of daemons that start at once on a dead socket one wins, and it stays reachable.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	results := make(chan *Listener)
	const n = 8
	for range n {
		go func() {
			ln, err := Listen(t.Context(), path, "", quietLog)
			if err != nil && !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
			results <- ln
		}()
	}
	var won []*Listener
	for range n {
		if ln := <-results; ln != nil {
			won = append(won, ln)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d listen on one socket", len(won))
	}
	serveOn(t, won[0], fake())
	answered(t, New(path))
}

// A daemon that ends late does not remove the socket of its successor.
func TestCloseKeepsSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, successor, fake())
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	answered(t, New(path))
}

// A server that is not ours is not pushed aside either.
func TestListenOnForeignServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), path, "", quietLog); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

func TestListenReplacesDeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	ln, err := Listen(t.Context(), path, "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, fake())
	answered(t, New(path))
}

func TestListenKeepsOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path, "", quietLog); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	silent := filepath.Join(dir, "silent")
	s, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, says := range map[string]string{
		filepath.Join(dir, "none"): "is it running",
		dead:                       "nobody serves",
		silent:                     "did not answer in time",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err := New(path).Status(ctx)
		cancel()
		if !errors.Is(err, ErrUnreachable) ||
			!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
}

// A daemon that dies while it answers is not taken for one that answered.
func TestServerDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
			c.Close()
		}
	}()
	if _, err := New(path).Status(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("half an answer: %v", err)
	}
	if _, err := New(path).Action(context.Background(), Action{Verb: Bulk}, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("half an action: %v", err)
	}
}
