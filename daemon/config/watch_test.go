package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ctsync/daemon/config"
)

// patience is the deadline of everything that happens "soon".
const patience = 20 * time.Second

// watching is a running Watch. Each call of changed puts what the file then held into seen, "" when it was not there.
type watching struct {
	t    *testing.T
	path string
	seen chan string
	done chan error
	stop context.CancelFunc
}

// watch starts Watch and waits for its first call, which must find the text first.
func watch(t *testing.T, path, first string) *watching {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &watching{t: t, path: path, seen: make(chan string, 100), done: make(chan error, 1), stop: stop}
	go func() {
		w.done <- config.Watch(ctx, path, func() {
			text, _ := os.ReadFile(path)
			w.seen <- string(text)
		})
	}()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-w.done:
			if err != nil {
				t.Errorf("Watch: %v", err)
			}
		case <-time.After(patience):
			t.Error("Watch goes on after its context ended")
		}
	})
	w.expect(first)
	return w
}

// expect waits for a call that finds text; calls in between may find what a writer had only half done.
func (w *watching) expect(text string) {
	w.t.Helper()
	deadline := time.After(patience)
	var got []string
	for {
		select {
		case s := <-w.seen:
			if s == text {
				return
			}
			got = append(got, s)
		case <-deadline:
			w.t.Fatalf("no call of changed found %q, only %q", text, got)
		}
	}
}

// replace renames a new file over path, as editors and configuration tools do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	must(t, os.Rename(path+".new", path))
}

// point makes link a symbolic link to target in one step.
func point(t *testing.T, link, target string) {
	t.Helper()
	must(t, os.Symlink(target, link+".new"))
	must(t, os.Rename(link+".new", link))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"written in place": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "1")
			w := watch(t, path, "1")
			write(t, path, "2")
			w.expect("2")
			write(t, path, "3")
			w.expect("3")
		},
		"renamed over, again and again": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "0")
			w := watch(t, path, "0")
			for i := 1; i < 4; i++ {
				replace(t, path, fmt.Sprint(i))
				w.expect(fmt.Sprint(i))
			}
		},
		"removed and made again": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "1")
			w := watch(t, path, "1")
			must(t, os.Remove(path))
			w.expect("")
			write(t, path, "2")
			w.expect("2")
		},
		"not there at first": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "f")
			w := watch(t, path, "")
			write(t, path, "1")
			w.expect("1")
		},
		"directory not there at first": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "sub", "f")
			w := watch(t, path, "")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			write(t, path, "1")
			w.expect("1")
			replace(t, path, "2")
			w.expect("2")
		},
		"directory removed and made again": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "sub", "f")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			write(t, path, "1")
			w := watch(t, path, "1")
			must(t, os.RemoveAll(filepath.Dir(path)))
			w.expect("")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			write(t, path, "2")
			w.expect("2")
			replace(t, path, "3")
			w.expect("3")
		},
		"directory replaced at once": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "sub", "f")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			write(t, path, "1")
			must(t, os.Mkdir(filepath.Join(dir, "new"), 0o700))
			write(t, filepath.Join(dir, "new", "f"), "2")
			w := watch(t, path, "1")
			must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "old")))
			must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "sub")))
			w.expect("2")
			replace(t, path, "3")
			w.expect("3")
		},
		"Kubernetes swaps ..data": func(t *testing.T, dir string) {
			for _, version := range []string{"v1", "v2", "v3"} {
				must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
				write(t, filepath.Join(dir, version, "f"), version)
			}
			point(t, filepath.Join(dir, "..data"), "v1")
			path := filepath.Join(dir, "f")
			point(t, path, "..data/f")
			w := watch(t, path, "v1")
			point(t, filepath.Join(dir, "..data"), "v2")
			w.expect("v2")
			must(t, os.RemoveAll(filepath.Join(dir, "v1")))
			point(t, filepath.Join(dir, "..data"), "v3")
			w.expect("v3")
		},
		"target of a link elsewhere": func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
			must(t, os.Mkdir(filepath.Join(dir, "b"), 0o700))
			target := filepath.Join(dir, "b", "target")
			write(t, target, "1")
			path := filepath.Join(dir, "a", "f")
			point(t, path, target)
			w := watch(t, path, "1")
			write(t, target, "2")
			w.expect("2")
			replace(t, target, "3")
			w.expect("3")
		},
		"link in the middle of a chain": func(t *testing.T, dir string) {
			for _, d := range []string{"a", "b", "c1", "c2"} {
				must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
			}
			write(t, filepath.Join(dir, "c1", "f"), "1")
			write(t, filepath.Join(dir, "c2", "f"), "2")
			point(t, filepath.Join(dir, "b", "f"), "../c1/f")
			path := filepath.Join(dir, "a", "f")
			point(t, path, "../b/f")
			w := watch(t, path, "1")
			point(t, filepath.Join(dir, "b", "f"), "../c2/f")
			w.expect("2")
		},
		"directory of the path is a link": func(t *testing.T, dir string) {
			for _, d := range []string{"v1", "v2"} {
				must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
				write(t, filepath.Join(dir, d, "f"), d)
			}
			point(t, filepath.Join(dir, "etc"), "v1")
			w := watch(t, filepath.Join(dir, "etc", "f"), "v1")
			point(t, filepath.Join(dir, "etc"), "v2")
			w.expect("v2")
			replace(t, filepath.Join(dir, "v2", "f"), "3")
			w.expect("3")
		},
		"links in a circle end somewhere": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "f")
			must(t, os.Symlink("f", path))
			w := watch(t, path, "")
			replace(t, path, "1")
			w.expect("1")
		},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, t.TempDir())
		})
	}
}

// A change of another file in the directory is no change, nor is a file written again with the same text.
func TestWatchIsQuietWithoutAChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "1")
	w := watch(t, path, "1")
	for range 20 {
		replace(t, path, "1")
		write(t, filepath.Join(dir, "neighbour"), "x")
		must(t, os.Chmod(path, 0o640))
		time.Sleep(30 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // more than the quiet time: a false call would come now
	replace(t, path, "2")
	select {
	case text := <-w.seen:
		if text != "2" {
			t.Errorf("changed was called without a change, the file held %q", text)
		}
	case <-time.After(patience):
		t.Error("the real change was not seen")
	}
}

// A file that is written all the time is read nevertheless.
func TestWatchReadsABusyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "start")
	w := watch(t, path, "start")
	deadline := time.Now().Add(patience)
	for n := 0; len(w.seen) == 0; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("not one call during %d writes", n)
		}
		write(t, path, fmt.Sprint(n))
		time.Sleep(20 * time.Millisecond)
	}
	write(t, path, "end")
	w.expect("end")
}
