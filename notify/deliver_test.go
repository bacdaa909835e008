package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ctsync/daemon/control"
)

func sample(name string, s control.State) control.Notification {
	return control.Notification{
		Type: control.TypeGroup, Name: name, State: s, Priority: 100, Source: SourceNotify,
		At: time.Date(2026, 11, 23, 0, 31, 2, 500, time.UTC), Boottime: 42_000_000_001,
	}
}

// serve runs a control server with the given Notify until the test ends.
func serve(t *testing.T, socket string, f func(context.Context, control.Notification) (control.Transition, error)) {
	t.Helper()
	serveOn(t, listen(t, socket), control.Backend{Notify: f})
}

func listen(t *testing.T, socket string) net.Listener {
	t.Helper()
	ln, err := control.Listen(t.Context(), socket, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func serveOn(t *testing.T, ln net.Listener, b control.Backend) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- control.NewServer(b, slog.New(slog.DiscardHandler)).Serve(ctx, ln)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDeliver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	var got control.Notification
	serve(t, socket, func(_ context.Context, n control.Notification) (control.Transition, error) {
		got = n
		return control.Transition{ID: 7, State: n.State, Outcome: control.OutcomeRunning}, nil
	})
	n := sample("syncgrp", control.StateMaster)
	others := goleak.IgnoreCurrent()
	d, err := Deliver(context.Background(), socket, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := goleak.Find(others); err != nil {
		t.Errorf("the delivery leaves a goroutine or its connection: %v", err)
	}
	if d.Transition == nil || d.Transition.ID != 7 || d.Parked != "" {
		t.Errorf("delivery %+v", d)
	}
	if !strings.HasPrefix(got.Source, "notify pid=") {
		t.Errorf("source %q", got.Source)
	}
	got.Source = n.Source
	if diff := cmp.Diff(n, got); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
}

func TestDeliverRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	serve(t, socket, func(context.Context, control.Notification) (control.Transition, error) {
		return control.Transition{}, &control.Error{Code: control.CodeBusy, Message: "64 transitions are waiting"}
	})
	_, err := Deliver(context.Background(), socket, sample("g", control.StateMaster))
	var e *control.Error
	if !errors.As(err, &e) || e.Code != control.CodeBusy {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(ParkedPath(socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused notification was parked (%v)", err)
	}
}

// A daemon that is not there, one that died and left its socket, and one that hangs: the notification is parked.
func TestDeliverParks(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, socket string){
		"no socket": func(*testing.T, string) {},
		"dead socket": func(t *testing.T, socket string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		},
		"hanging": func(t *testing.T, socket string) {
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "run", "s")
			if name != "no socket" {
				if err := os.Mkdir(filepath.Dir(socket), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			prepare(t, socket)
			want := []control.Notification{sample("a", control.StateMaster), sample("b", control.StateBackup)}
			for i := range want {
				d, err := Deliver(context.Background(), socket, want[i])
				if err != nil {
					t.Fatal(err)
				}
				parked := d.Transition == nil && d.Parked == ParkedPath(socket)
				if !parked || !errors.Is(d.Cause, control.ErrUnreachable) {
					t.Errorf("delivery %+v", d)
				}
				want[i].Source = SourceParked
			}
			got, err := Unpark(ParkedPath(socket))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got, err := Unpark(ParkedPath(socket)); len(got) != 0 || err != nil {
				t.Errorf("second time: %v, %v", got, err)
			}
		})
	}
}

func TestUnparkBadLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parked")
	if _, err := park(path, sample("g", control.StateMaster)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	torn := good[:len(good)/2] + "\n"
	forged := strings.Replace(good, `"GROUP"`, `"NOBODY"`, 1)
	if err := os.WriteFile(path, []byte(torn+good+"garbage\n"+forged+good), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Unpark(path)
	if len(got) != 2 {
		t.Errorf("%d notifications, want 2", len(got))
	}
	if err == nil || !strings.Contains(err.Error(), "3 lines are not readable") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file is still there (%v)", err)
	}
}

// The daemon is not root, keepalived's scripts often are: what they park belongs to the owner of the directory.
func TestParkIsReadableByTheDaemon(t *testing.T) {
	dir := t.TempDir()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 23456
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "parked")
	old := syscall.Umask(0o077)
	_, err := park(path, sample("g", control.StateMaster))
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	owner := st.Sys().(*syscall.Stat_t)
	if st.Mode() != 0o660 || int(owner.Uid) != uid || int(owner.Gid) != gid {
		t.Errorf("mode %v, owner %d:%d, want 0660, %d:%d", st.Mode(), owner.Uid, owner.Gid, uid, gid)
	}
}

// A flapping keepalived without a daemon cannot fill the disk, and its last notifications are kept.
func TestParkIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parked")
	const n = 2000
	for i := range n {
		m := sample("syncgrp", control.StateBackup)
		m.Boottime = int64(i + 1)
		if _, err := park(path, m); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > maxParked {
		t.Errorf("file has %d bytes", st.Size())
	}
	got, err := Unpark(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 100 || len(got) == n {
		t.Errorf("%d of %d kept", len(got), n)
	}
	for i, m := range got {
		if want := int64(n - len(got) + i + 1); m.Boottime != want {
			t.Fatalf("entry %d is number %d, want %d", i, m.Boottime, want)
		}
	}
}

// A full file is replaced, not emptied and written again: a script that keepalived kills half-way loses nothing.
func TestParkReplacesFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parked")
	var before []byte
	var old *os.File
	for i := int64(1); ; i++ {
		m := sample("syncgrp", control.StateBackup)
		m.Boottime = i
		if _, err := park(path, m); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(now) < len(before) {
			break
		}
		if before = now; old == nil {
			if old, err = os.Open(path); err != nil {
				t.Fatal(err)
			}
			defer old.Close()
		}
	}
	left, err := io.ReadAll(old)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(left, before) {
		t.Errorf("the full file was changed: %d bytes, %d before", len(left), len(before))
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode() != 0o660 {
		t.Errorf("mode %v of the new file", st.Mode())
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory has %v (%v)", files, err)
	}
}

// Who waits for the lock of a file that is replaced meanwhile writes into the new one: of each writer the last ones are
// kept, without a gap.
func TestParkTogetherBeyondBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parked")
	const writers, each = 4, 400
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				m := sample("syncgrp", control.StateMaster)
				m.Priority, m.Boottime = w, int64(1+i)
				// The lock is contended far more than by keepalived.
				for _, err := park(path, m); err != nil; _, err = park(path, m) {
				}
			}
		})
	}
	wg.Wait()
	ns, err := Unpark(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(ns) < 100 {
		t.Errorf("%d kept", len(ns))
	}
	var last [writers]int64
	for _, n := range ns {
		if l := last[n.Priority]; l > 0 && n.Boottime != l+1 {
			t.Errorf("writer %d: %d after %d", n.Priority, n.Boottime, l)
		}
		last[n.Priority] = n.Boottime
	}
	for w, l := range last {
		if l > 0 && l != each {
			t.Errorf("writer %d: %d is the last", w, l)
		}
	}
}

// Whatever is parked while the daemon reads comes out exactly once.
func TestParkDuringUnpark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parked")
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				m := sample("syncgrp", control.StateMaster)
				m.Boottime = int64(1 + w*each + i)
				// The lock is contended far more than by keepalived.
				for _, err := park(path, m); err != nil; _, err = park(path, m) {
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[int64]int{}
	collect := func() {
		ns, err := Unpark(path)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		for _, n := range ns {
			seen[n.Boottime]++
		}
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		collect()
	}
	collect()
	if len(seen) != writers*each {
		t.Errorf("%d of %d came out", len(seen), writers*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("number %d came out %d times", id, n)
		}
	}
}
