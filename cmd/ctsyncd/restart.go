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

	"ctsync/daemon/config"
)

// A restart (ctsync restart) ends the run of the daemon and executes the program that is now on disk in the same
// process. The process id stays, and with it systemd's view of the service: for systemd the service reloads until the
// new run is ready.

// errRestart is how serve ends when main shall execute the program again.
var errRestart = errors.New("restart")

// checkTime bounds how long the program on disk may take to check the configuration.
const checkTime = 10 * time.Second

// program returns the path by which this program was started. It resolves no links: after an upgrade the path leads to
// the new program.
func program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return os.Executable()
	}
	return filepath.Abs(path)
}

// restart lets the program on disk check the configuration, and if that accepts it ends the run of the daemon. It
// returns before the next run begins. After an error nothing has changed.
func (s *service) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.program, "--check", "--config", s.path).CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return fmt.Errorf("check configuration with %s: %w", s.program, ctx.Err())
	case errors.As(err, &exit) && len(out) > 0:
		return errors.New(strings.TrimSpace(string(out)))
	case err != nil:
		return fmt.Errorf("check configuration with %s: %w", s.program, err)
	}
	cfg, err := config.Load(s.path)
	if err != nil {
		return err
	}
	switch places := s.fence.outside(fenceOf(cfg, s.path, s.program)); {
	case len(places) > 0:
		return fmt.Errorf("this process may not use %s, which the configuration names now: "+
			"run systemctl restart ctsyncd", strings.Join(places, ", "))
	case !s.restarting.CompareAndSwap(false, true):
		return errors.New("a restart is already under way")
	}
	s.end()
	return nil
}

// execute executes the program in this process. It returns only when that fails.
func execute(path string) error {
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, os.Args, os.Environ()))
}
