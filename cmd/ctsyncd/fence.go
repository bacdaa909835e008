package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"

	"ctsync/daemon/config"
)

// fenced is in the environment of a run that was executed by an earlier one, whose fence holds for it, too. A process
// can have only 16 fences, one inside the other.
const fenced = "CTSYNCD_FENCED"

// fence is where the daemon may read and write files, and nowhere else, whatever its user may. It holds until the
// process ends: a configuration that names other places needs a new process.
type fence struct{ read, write []string }

// fenceOf returns the places that a run needs. It may read all of /etc, where keepalived's files include each other,
// and all of /usr, for ctsync restart after an upgrade.
func fenceOf(cfg *config.Config, path, program string) fence {
	f := fence{
		read:  []string{"/etc", "/usr", "/proc"},
		write: []string{filepath.Dir(cfg.Socket), cfg.StateDirectory},
	}
	for _, file := range []string{path, program, cfg.KeepalivedConfig} {
		f.read = append(f.read, filepath.Dir(file))
		if target, err := filepath.EvalSymlinks(file); err == nil {
			f.read = append(f.read, filepath.Dir(target))
		}
	}
	return f
}

// enforce puts the process behind the fence. A kernel without landlock, or with less of it, is no error.
func (f fence) enforce() error {
	if os.Getenv(fenced) != "" {
		return nil
	}
	// What is not there when the fence is made cannot be used later.
	if err := os.MkdirAll(f.write[0], 0o755); err != nil {
		return fmt.Errorf("make socket directory: %w", err)
	}
	// Landlock follows directories, not names, so files in them may be replaced. TCP is forbidden altogether. Later
	// versions would also forbid to connect to systemd and syslog.
	err := landlock.V5.BestEffort().Restrict(
		landlock.RODirs(f.read...).IgnoreIfMissing(),
		landlock.RWDirs(f.write...).IgnoreIfMissing(),
		landlock.RWFiles(os.DevNull).IgnoreIfMissing(),
	)
	if err != nil {
		return fmt.Errorf("restrict files: %w", err)
	}
	return os.Setenv(fenced, "1")
}

// outside returns the places of other that are not behind f.
func (f fence) outside(other fence) (places []string) {
	for _, dir := range other.read {
		if !within(dir, f.read) && !within(dir, f.write) {
			places = append(places, dir)
		}
	}
	for _, dir := range other.write {
		if !within(dir, f.write) {
			places = append(places, dir)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// within reports whether dir is one of dirs, or below one.
func within(dir string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		return dir == d || strings.HasPrefix(dir, strings.TrimSuffix(d, "/")+"/")
	})
}
