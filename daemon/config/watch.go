package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"ctsync/daemon/owned"
)

// The times of Watch.
const (
	quiet = 200 * time.Millisecond // without an event before it reads the file: an editor writes in several steps
	limit = 2 * time.Second        // after which it reads the file anyway
	retry = time.Second            // between attempts while a directory is missing
)

// maxLinks is how many symbolic links a path may go through, as in the kernel (MAXSYMLINKS).
const maxLinks = 40

// Watch calls changed when the content of the file at path changes, or when the file disappears or comes back, until
// ctx ends. It also calls changed once at the start, when it watches everything, so that no change between Load and
// Watch is missed: to load a file that has not changed must be harmless. All calls come from one goroutine.
//
// It watches directories and not the file, because a watch on a file ends when an editor renames another file over it.
// They are the directories of the path, of its target and of every symbolic link in between, so that it also notices a
// link that was replaced (inotify(7)).
//
// The error is nil if ctx ended, and otherwise says why Watch cannot watch.
func Watch(ctx context.Context, path string, changed func()) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	defer notifier.Close()
	w := &watcher{path: path, notifier: notifier}
	w.rearm()
	w.sum = fingerprint(path)
	changed()
	return w.run(ctx, changed)
}

type watcher struct {
	path     string
	notifier *fsnotify.Watcher
	watched  []string
	sum      [sha256.Size]byte
}

func (w *watcher) run(ctx context.Context, changed func()) error {
	var first time.Time // of the events since the file was last read; zero without one
	due := time.NewTimer(retry)
	due.Stop()
	schedule := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		due.Reset(min(quiet, max(0, first.Add(limit).Sub(now))))
	}
	schedule() // at the first rearm a directory may have been missing
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-w.notifier.Events:
			if !open {
				return fmt.Errorf("watch configuration: %w", fsnotify.ErrClosed)
			}
			schedule()
		case _, open := <-w.notifier.Errors: // above all an overflow: something changed, it is not known what
			if !open {
				return fmt.Errorf("watch configuration: %w", fsnotify.ErrClosed)
			}
			schedule()
		case <-due.C:
			first = time.Time{}
			if !w.rearm() {
				due.Reset(retry)
			}
			if sum := fingerprint(w.path); sum != w.sum {
				w.sum = sum
				changed()
			}
		}
	}
}

// rearm watches the directories that matter now, and reports whether all of them exist. It removes and adds each watch,
// because a directory that was deleted and made again is another inode under the same name.
func (w *watcher) rearm() bool {
	for _, dir := range w.watched {
		_ = w.notifier.Remove(dir) // the directory may not exist any more
	}
	dirs, complete := directories(w.path)
	w.watched = w.watched[:0]
	for _, dir := range dirs {
		if err := w.notifier.Add(dir); err != nil {
			complete = false
			continue
		}
		w.watched = append(w.watched, dir)
	}
	return complete
}

// fingerprint returns the SHA-256 of the content of the file, or the zero value if it cannot be read.
func fingerprint(path string) (sum [sha256.Size]byte) {
	f, err := owned.OpenRegular(path)
	if err != nil {
		return sum
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return sum
	}
	return sha256.Sum256(data)
}

// directories lists the directories in which an entry decides what path means: those of the symbolic links that path
// goes through, and that of the final file. complete says that it could follow path to the end; the file itself may be
// missing.
func directories(path string) (dirs []string, complete bool) {
	seen := make(map[string]bool)
	add := func(dir string) {
		if !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	add(filepath.Dir(path))
	done, rest := "/", strings.Split(filepath.Clean(path), "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, name)
		if len(rest) == 0 {
			add(done)
		}
		target, err := os.Readlink(next)
		if err != nil { // not a link, or missing
			if _, err := os.Lstat(next); err != nil {
				return dirs, len(rest) == 0
			}
			done = next
			continue
		}
		if links++; links > maxLinks {
			return dirs, false
		}
		add(done)
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return dirs, true
}
