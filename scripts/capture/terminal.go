package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"ctsync/scripts/lab"
)

// terminal is a tmux server of our own with one window.
type terminal struct{ socket string }

// newTerminal starts a program in a terminal, on a machine that has a name of its own.
func newTerminal(l *lab.Lab, host string, columns, lines int, program string) (*terminal, error) {
	t := &terminal{socket: l.Path("tmux.sock")}
	_, err := t.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines),
		"env", "LC_ALL=C.UTF-8", "NO_COLOR=", "unshare", "--uts", "sh", "-c", "hostname "+host+" && exec "+program)
	return t, err
}

func (t *terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-u", "-S", t.socket}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// press sends keys by tmux's names, several in one word apart.
func (t *terminal) press(keys ...string) error {
	for _, k := range keys {
		for _, one := range strings.Fields(k) {
			if _, err := t.tmux("send-keys", one); err != nil {
				return err
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
	return nil
}

// screen returns what the terminal shows, with its colours as SGR sequences.
func (t *terminal) screen() (string, error) { return t.tmux("capture-pane", "-p", "-e") }

func (t *terminal) close() { _, _ = t.tmux("kill-server") }
