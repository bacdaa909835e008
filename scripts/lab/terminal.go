package lab

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Terminal is a separate tmux server with one window.
type Terminal struct{ socket string }

// Terminal starts a program, given as a shell command, in a terminal of the given size in characters. The program sees
// host as the name of the machine.
func (l *Lab) Terminal(host string, columns, lines int, program string) (*Terminal, error) {
	t := &Terminal{socket: l.Path("tmux.sock")}
	_, err := t.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines),
		"env", "LC_ALL=C.UTF-8", "NO_COLOR=", "unshare", "--uts", "sh", "-c", "hostname "+host+" && exec "+program)
	return t, err
}

func (t *Terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-u", "-S", t.socket}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// Press sends keys, by tmux's names. A word may have several keys, separated by blanks, which are sent without a pause.
func (t *Terminal) Press(keys ...string) error {
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

// Screen returns what the terminal shows, with its colours as SGR sequences.
func (t *Terminal) Screen() (string, error) { return t.tmux("capture-pane", "-p", "-e") }

// Close stops the program.
func (t *Terminal) Close() { _, _ = t.tmux("kill-server") }
