package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

// built builds the command and returns its path.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "ctsync")
}

// TestTerminalIsAskedNothing: a command sends no query to the terminal, because a serial console would not answer it.
func TestTerminalIsAskedNothing(t *testing.T) {
	nstest.RequireCommand(t, "script", "bsdutils")
	out, err := exec.Command("script", "-qec", built(t)+" --version", "/dev/null").Output()
	if err != nil || !strings.HasPrefix(string(out), "ctsync ") || strings.Contains(string(out), "\x1b") {
		t.Errorf("%v: %q", err, out)
	}
}

// TestTerminalWithoutSize runs the monitor and --watch on a terminal that says 0 rows and 0 columns, as a serial
// console does.
func TestTerminalWithoutSize(t *testing.T) {
	ctsync, socket := built(t), serveFake(t, fakeDaemon("plain"))
	for _, c := range []struct {
		env           string
		size          unix.Winsize
		rows, columns int
	}{
		{"TERM=vt220", unix.Winsize{}, 24, 80},
		{"TERM=", unix.Winsize{}, 24, 80},
		{"TERM=dumb", unix.Winsize{}, 24, 80},
		{"TERM=unknown", unix.Winsize{}, 24, 80},
		{"TERM=vt220 LINES=14 COLUMNS=60", unix.Winsize{}, 14, 60},
		{"TERM=xterm LINES=14 COLUMNS=60", unix.Winsize{Row: 18, Col: 70}, 18, 70},
		{"TERM=vt220 COLUMNS=60", unix.Winsize{}, 24, 60},
		{"TERM=vt220 LINES=-1 COLUMNS=99999999", unix.Winsize{}, 24, 80},
		{"TERM=vt220", unix.Winsize{Row: 18}, 18, 80},
	} {
		t.Run(c.env, func(t *testing.T) {
			for _, args := range [][]string{{"tui"}, {"show", "status", "--watch"}} {
				rows, columns := drawn(t, c.size, strings.Fields(c.env), ctsync, append(args, "--socket", socket)...)
				if args[0] == "tui" && rows != c.rows || rows > c.rows {
					t.Errorf("%s draws %d rows, want %d", args, rows, c.rows)
				}
				if args[0] == "tui" && columns < c.columns-2 || columns > c.columns {
					t.Errorf("%s draws %d columns, want %d", args, columns, c.columns)
				}
			}
		})
	}
}

// drawn runs a command on a terminal of its own until it has drawn something and 300 ms more, and returns how many
// rows it used and how many columns the longest of them has.
func drawn(t *testing.T, size unix.Winsize, env []string, name string, args ...string) (rows, columns int) {
	t.Helper()
	master, slave := openTerminal(t, size)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(env, "LANG=C.UTF-8", "HOME="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var mu sync.Mutex
	var out bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			mu.Lock()
			out.Write(b[:n])
			mu.Unlock()
			if err != nil { // EIO: the command has ended
				return
			}
		}
	}()
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		full := out.Len() > 200
		mu.Unlock()
		if full {
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("%s does not end by SIGTERM: %v", args, err)
	}
	<-read
	return extent(out.String())
}

var (
	moves   = regexp.MustCompile("\x1b\\[[0-9;]*[ABCDGHd]|\r")
	escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]")
	toRow   = regexp.MustCompile("\x1b\\[(\\d*)(?:;\\d*)?H")
	up      = regexp.MustCompile("\x1b\\[(\\d*)A")
)

// extent says how many rows a terminal's output reaches, and how many columns its longest piece without a movement of
// the cursor has.
func extent(out string) (rows, columns int) {
	row := 1
	for line := range strings.SplitSeq(out, "\n") {
		for _, m := range toRow.FindAllStringSubmatch(line, -1) {
			row, _ = strconv.Atoi("0" + m[1])
			row = max(row, 1)
		}
		for _, m := range up.FindAllStringSubmatch(line, -1) {
			n, _ := strconv.Atoi("0" + m[1])
			row -= max(n, 1)
		}
		rows = max(rows, row)
		for _, piece := range moves.Split(line, -1) {
			columns = max(columns, len([]rune(escapes.ReplaceAllString(piece, ""))))
		}
		row++
	}
	return rows, columns
}

// openTerminal opens a pseudo-terminal of a size.
func openTerminal(t *testing.T, size unix.Winsize) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	return master, slave
}
