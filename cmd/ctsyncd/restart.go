package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A restart (ctsync restart) ends the daemon inside its process and executes the program anew in it: the process id, and
// with it systemd's idea of the service, stays, and a program that was upgraded on disk is taken into use. systemd is told
// that the service reloads, which lasts until the new life says READY.

// errRestart is how serve ends when the program is to be executed anew.
var errRestart = errors.New("restart")

// checkTime bounds how long the program on disk may take to judge the configuration.
const checkTime = 10 * time.Second

// program returns the path by which this program was started. It is not what the link behind it, or the file of that
// name, was then: an upgrade changes them.
func program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return os.Executable()
	}
	return filepath.Abs(path)
}

// restart has the program on disk judge the configuration, and if that is well ends this life. It returns before the
// next one begins. An error says why nothing happens.
func (s *service) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.program, "--check", "--config", s.path).CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return fmt.Errorf("check configuration by %s: %w", s.program, ctx.Err())
	case errors.As(err, &exit) && len(out) > 0:
		return errors.New(strings.TrimSpace(string(out)))
	case err != nil:
		return fmt.Errorf("check configuration by %s: %w", s.program, err)
	case !s.restarting.CompareAndSwap(false, true):
		return errors.New("a restart has begun already")
	}
	s.end()
	return nil
}

// again executes the program in this process. It returns only when that failed.
func again(path string) error {
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, os.Args, os.Environ()))
}
