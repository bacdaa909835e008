package lab

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Terminal is a tmux server of our own with one window.
type Terminal struct{ socket string }

// Terminal starts a program, as words for a shell, in a terminal of so many characters, on a machine that has a name of
// its own.
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

// Press sends keys by tmux's names, several in one word apart.
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

// Close ends the program.
func (t *Terminal) Close() { _, _ = t.tmux("kill-server") }
