package daemon_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/nstest"
)

// tmux is the terminal in which the real program runs: a tmux server of the test's own.
type tmux struct {
	t      *testing.T
	socket string
}

func newTmux(t *testing.T, columns, lines int, env []string, argv ...string) *tmux {
	t.Helper()
	nstest.RequireCommand(t, "tmux", "tmux")
	w := &tmux{t: t, socket: filepath.Join(t.TempDir(), "tmux")}
	args := append([]string{"-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y",
		strconv.Itoa(lines), "env"}, env...)
	w.run(append(args, argv...)...)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", w.socket, "kill-server").Run() }) // it has ended with the program
	return w
}

func (w *tmux) run(args ...string) string {
	w.t.Helper()
	return nstest.Command(w.t, "tmux", append([]string{"-u", "-S", w.socket}, args...)...)
}

// press sends keys by tmux's names.
func (w *tmux) press(keys ...string) {
	w.t.Helper()
	for _, k := range keys {
		w.run("send-keys", k)
	}
}

func (w *tmux) typeIn(text string) { w.t.Helper(); w.run("send-keys", "-l", text) }

// shows waits until the terminal shows all texts.
func (w *tmux) shows(texts ...string) string {
	w.t.Helper()
	screen := ""
	nstest.Eventually(w.t, 20*time.Second, func() bool {
		screen = w.run("capture-pane", "-p")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("the terminal shows %q:\n%s", texts, screen) })
	return screen
}

// TestMonitorInATerminal drives the real program on a standby whose master dies: what a new user looks for is found, a
// flow is followed through the failover, a lost daemon is said, and the terminal is left as it was.
func TestMonitorInATerminal(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tmux", "tmux")
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.notify("master", "syncgrp")
	b.notify("backup", "syncgrp")
	a.create(testFlows(50))
	b.eventually(10*time.Second, "has the flows", func() bool { return b.statistics().External.Active == 50 })

	file := filepath.Join(t.TempDir(), "rows.json")
	w := newTmux(t, 80, 30, []string{"LC_ALL=C.UTF-8", "TERM=screen"}, filepath.Join(binDir, "ctsync"), "--socket",
		b.socket(), "tui", "--write")
	w.shows("BACKUP  in step", "External cache           50 flows", "Losses          none since the daemon started")
	w.press("?")
	w.shows("Which flows would I lose now?")
	w.press("2", "t")
	w.shows("[external]", "1 of 50 flows", "10.2.0.2:443")
	w.press("/")
	w.typeIn("sport:1030")
	w.press("Enter")
	w.shows("1 of 1 that match", "▸ tcp    10.1.0.2:1030")
	w.press("f", "t", "t", "t")
	w.shows("a commit would: 1 create", "following external ESTABLISHED")

	w.press("1")
	w.press(":")
	w.typeIn("commit")
	w.press("Enter")
	w.shows("! commit puts the external cache into the kernel")
	w.press("Escape")
	a.stop(syscall.SIGKILL)
	if got := b.notify("master", "syncgrp"); got.Outcome != control.OutcomeDone {
		t.Fatalf("%+v", got)
	}
	w.shows("MASTER  ! not in step", "the peer has been silent", "following kernel ESTABLISHED")
	w.press("3")
	w.shows("router    is master", "internal  found", "external  found")
	w.press("6")
	w.shows("50 of 50 flows", "Failed          none")
	w.press("7")
	w.shows("external cache committed")

	w.press("2", "t")
	w.shows("[internal]", "filter sport:1030")
	w.press("Escape")
	w.shows("1 of 50 flows")
	w.press("b")
	w.shows("50 flows of internal by source", "10.1.0.2                    50 100.0%")
	w.press("Escape")
	w.shows("1 of 50 flows")
	w.press("w", "C-u")
	w.typeIn(file)
	w.press("Enter")
	w.shows("24 rows written to")
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), `"dport":443`) < 18 {
		t.Errorf("%v: %s", err, text)
	}
	narrowed(w)

	b.stop(syscall.SIGTERM)
	w.shows("! no answer, data is")
	b.start(options{})
	w.shows("MASTER  ! not in step", " of 50 flows", "▸ tcp")
	w.press("q")
	nstest.Eventually(t, 10*time.Second, func() bool {
		return exec.CommandContext(context.Background(), "tmux", "-S", w.socket, "has-session").Run() != nil
	}, func() string { return "q ends the monitor" })
}

// narrowed makes the terminal as small as it gets and large again: the selection stays.
func narrowed(w *tmux) {
	w.t.Helper()
	w.press("g", "j", "j")
	w.shows("3 of 50 flows")
	for _, size := range [][2]int{{40, 12}, {20, 5}, {1, 1}, {132, 50}} {
		w.run("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
		time.Sleep(50 * time.Millisecond) // for the program to see it; what it makes of it shows in the end
	}
	w.shows("3 of 50 flows", "IDLE", "▸ tcp")
	w.run("resize-window", "-x", "80", "-y", "24")
}

// TestMonitorWithoutColours asks the real program: NO_COLOR and --no-color leave bold, faint and reverse.
func TestMonitorWithoutColours(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tmux", "tmux")
	socket := filepath.Join(t.TempDir(), "none")
	for _, r := range []struct {
		env, flag string
		colours   bool
	}{{"X=1", "--write", true}, {"NO_COLOR=1", "--write", false}, {"X=1", "--no-color", false}} {
		w := newTmux(t, 80, 24, []string{"LC_ALL=C.UTF-8", r.env}, filepath.Join(binDir, "ctsync"), "--socket", socket,
			"tui", r.flag)
		w.shows("ctsyncd is not reachable", "[1 Overview]")
		screen := w.run("capture-pane", "-p", "-e")
		if got := strings.Contains(screen, "\x1b[1m\x1b[31m") || strings.Contains(screen, "[36m"); got != r.colours {
			t.Errorf("%s %s: colours are %v:\n%q", r.env, r.flag, got, screen)
		}
		w.press("q")
	}
}
