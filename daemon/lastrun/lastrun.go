// Package lastrun remembers how the last run of the daemon ended, and counts the ends that nobody asked for.
//
// Two files of the state directory hold this. The record, run.json, says whether a run goes on, was asked to end, or
// failed. The file crash receives what Go's runtime says when the program panics or is aborted; when it is not empty at
// the next start, it is kept as crash.last. A run whose record says that it goes on, and that left no word, was killed.
package lastrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

// maxCrash bounds how much of a crash is read, in bytes. What it was stands at the beginning.
const maxCrash = 64 << 10

// Run is the record of the present run. A nil Run records nothing.
type Run struct {
	path string // of the record
	file record
}

// record is the content of the file.
type record struct {
	Boot    string           `json:"boot"` // of the machine: a run that ended with it was not a fault of the daemon
	Going   bool             `json:"going"`
	Failed  *control.Ended   `json:"failed,omitempty"` // how this run failed
	Earlier control.Restarts `json:"earlier"`
}

// Begin reads in dir how the last run ended, and records that a run goes on. From then on what Go's runtime says at a
// panic goes to a file there, besides stderr. ended is nil if the last run was asked to end, or ended with the machine.
// Without an error the Run is usable; with one nothing is remembered.
func Begin(dir string) (r *Run, ended *control.Ended, err error) {
	path := filepath.Join(dir, "crash")
	// It stays open in the runtime, and locked: two daemons with one state directory would take each other's runs for
	// killed ones.
	crash, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer func() { crash.Close() }()
	if err := unix.Flock(int(crash.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, nil, fmt.Errorf("lock %s, does another daemon use it?: %w", path, err)
	}
	r = &Run{path: filepath.Join(dir, "run.json")}
	b, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var last record
	if json.Unmarshal(b, &last) != nil { // it is only about the past
		last = record{}
	}
	if ended, err = howEnded(&last, crash); err != nil {
		return nil, nil, err
	}
	r.file.Earlier = last.Earlier
	if ended != nil {
		r.file.Earlier.Unasked++
		r.file.Earlier.Last = ended
	}
	r.file.Boot, r.file.Going = bootID(), true
	if err := r.save(); err != nil {
		return nil, nil, err
	}
	if err := debug.SetCrashOutput(crash, debug.CrashOptions{}); err != nil {
		return nil, nil, fmt.Errorf("direct crashes to %s: %w", path, err)
	}
	return r, ended, nil
}

// howEnded says how the run ended that left a record and what is in the file crash. It empties that file.
func howEnded(last *record, crash *os.File) (*control.Ended, error) {
	said, err := io.ReadAll(io.LimitReader(crash, maxCrash))
	if err != nil {
		return nil, err
	}
	if len(said) > 0 {
		st, err := crash.Stat()
		if err != nil {
			return nil, err
		}
		kept := crash.Name() + ".last"
		if err := keep(crash, kept); err != nil {
			return nil, err
		}
		kind := control.EndedByPanic
		if strings.HasPrefix(string(said), "SIG") {
			kind = control.EndedBySignal
		}
		return &control.Ended{Time: st.ModTime(), Kind: kind, What: summary(string(said)), File: kept}, nil
	}
	switch {
	case last.Failed != nil:
		return last.Failed, nil
	case last.Going && last.Boot == bootID():
		return &control.Ended{
			Time: time.Now(), Kind: control.EndedByKill, What: "no word was left: SIGKILL, or memory ran out",
		}, nil
	}
	return nil, nil
}

// keep copies the file crash, which stays locked, and empties it.
func keep(crash *os.File, path string) error {
	if _, err := crash.Seek(0, io.SeekStart); err != nil {
		return err
	}
	kept, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o640))
	if err != nil {
		return err
	}
	defer kept.Cleanup() //nolint:errcheck // after the replacement there is nothing to clean up
	if _, err := io.Copy(kept, crash); err != nil {
		return err
	}
	if err := kept.CloseAtomicallyReplace(); err != nil {
		return err
	}
	if err := crash.Truncate(0); err != nil {
		return err
	}
	_, err = crash.Seek(0, io.SeekStart)
	return err
}

// Restarts says how often earlier runs ended without being asked to.
func (r *Run) Restarts() control.Restarts {
	if r == nil {
		return control.Restarts{}
	}
	return r.file.Earlier
}

// End records that this run was asked to end (why is nil), and may then take as long as it likes and be killed for
// that; or that it fails, and why. A run may first be asked and then fail.
func (r *Run) End(why error) error {
	if r == nil || why == nil && !r.file.Going {
		return nil
	}
	r.file.Going = false
	if why != nil {
		r.file.Failed = &control.Ended{Time: time.Now(), Kind: control.EndedByFailure, What: why.Error()}
	}
	return r.save()
}

func (r *Run) save() error {
	b, err := json.MarshalIndent(&r.file, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	if err := renameio.WriteFile(r.path, append(b, '\n'), 0o640, renameio.WithTempDir(filepath.Dir(r.path))); err != nil {
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	return nil
}

// bootID changes with each start of the machine.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // no two runs are then known to be of one boot
	}
	return strings.TrimSpace(string(b))
}
