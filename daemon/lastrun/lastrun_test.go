package lastrun

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

// The test binary runs as a daemon that ends in the way that asEnding says, with the state directory stateIn.
const (
	asEnding = "LASTRUN_TEST_ENDING"
	stateIn  = "LASTRUN_TEST_STATE"
)

// endings are the ways in which a program ends.
var endings = map[string]func(*Run){
	"asked":  func(r *Run) { _ = r.End(nil) },
	"failed": func(r *Run) { _ = r.End(errors.New("no such device")) },
	"asked, then failed": func(r *Run) {
		_ = r.End(nil)
		_ = r.End(errors.New("cannot stop"))
	},
	"asked, then killed": func(r *Run) { _ = r.End(nil); raise(unix.SIGKILL) },
	"exit":               func(*Run) { os.Exit(0) },
	"killed":             func(*Run) { raise(unix.SIGKILL) },
	"aborted":            func(*Run) { raise(unix.SIGABRT) },
	"panic":              func(*Run) { panic("two\nlines") },
	"error":              func(*Run) { panic(fmt.Errorf("open x: %w", os.ErrNotExist)) },
	"elsewhere":          func(*Run) { go func() { var m map[string]int; m["x"] = 1 }(); select {} },
	"again":              func(*Run) { defer func() { panic("second") }(); panic("first") },
	"nil":                func(*Run) { var r *record; fmt.Println(r.Boot) },
	"fatal":              func(*Run) { var mu sync.Mutex; mu.Unlock() },
	"long":               func(*Run) { panic(strings.Repeat("ä", 10000)) },
}

func raise(s unix.Signal) {
	_ = unix.Kill(os.Getpid(), s)
	time.Sleep(time.Minute)
}

func TestMain(m *testing.M) {
	if ending := os.Getenv(asEnding); ending != "" {
		r, _, err := Begin(os.Getenv(stateIn))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		endings[ending](r)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// end lets a process end in a way, and returns what it wrote on stderr.
func end(t *testing.T, dir, ending string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asEnding+"="+ending, stateIn+"="+dir)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == 9 {
		t.Fatalf("%s: %v: %s", ending, err, out)
	}
	return string(out)
}

// begin begins a run as the daemon after that one does, and ends it.
func begin(t *testing.T, dir string) (*Run, *control.Ended) {
	t.Helper()
	r, ended, err := Begin(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(t) })
	return r, ended
}

// Every way in which a process ends without being asked to is one line at the next start, and counted.
func TestEndings(t *testing.T) {
	here := regexp.QuoteMeta("lastrun/lastrun_test.go:") + `\d+`
	for ending, want := range map[string]string{
		"asked":              "",
		"asked, then killed": "",
		"failed":             "failure: no such device",
		"asked, then failed": "failure: cannot stop",
		"exit":               "kill: no word was left: SIGKILL, or memory ran out",
		"killed":             "kill: no word was left: SIGKILL, or memory ran out",
		"aborted":            "SIGABRT: abort",
		"panic":              "panic: two lines, at " + here,
		"error":              "panic: open x: file does not exist, at " + here,
		"elsewhere":          "panic: assignment to entry in nil map, at " + here,
		"again":              `panic: first panic: second, at ` + here,
		"nil":                "panic: runtime error: invalid memory address or nil pointer dereference, at " + here,
		"fatal":              "fatal error of Go's runtime, at " + here,
		"long":               "panic: ä{146}…, at " + here,
	} {
		t.Run(ending, func(t *testing.T) {
			dir := t.TempDir()
			end(t, dir, "asked")
			stderr := end(t, dir, ending)
			r, ended := begin(t, dir)
			got := ""
			if ended != nil {
				got, _, _ = strings.Cut(ended.String(), " (the stack is in "+dir+"/crash.last)")
				if age := time.Since(ended.Time); age < 0 || age > time.Minute {
					t.Errorf("it ended at %v", ended.Time)
				}
			}
			if !regexp.MustCompile("^(" + want + ")$").MatchString(got) {
				t.Errorf("%q, want %q", got, want)
			}
			if n := r.Restarts().Unasked; (n == 1) != (want != "") || n > 1 {
				t.Errorf("%d restarts", n)
			}
			if ended == nil || ended.File == "" {
				return
			}
			stack, err := os.ReadFile(ended.File)
			if err != nil || !strings.Contains(string(stack), "goroutine ") || !strings.HasSuffix(stderr, string(stack[1:])) {
				t.Errorf("the stack that was kept: %v\n%s\non stderr:\n%s", err, stack, stderr)
			}
		})
	}
}

// release takes the file of crashes from the runtime, which else keeps it locked in this process.
func release(t *testing.T) {
	t.Helper()
	if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
		t.Fatal(err)
	}
}

// The count goes on over runs that end in order, and the last fault stays known.
func TestCount(t *testing.T) {
	dir := t.TempDir()
	for _, ending := range []string{"panic", "killed", "asked", "aborted", "asked"} {
		end(t, dir, ending)
	}
	r, ended := begin(t, dir)
	if got := r.Restarts(); ended != nil || got.Unasked != 3 || got.Last.Kind != control.EndedBySignal {
		t.Errorf("%v, %+v, %v", ended, got, got.Last)
	}
}

// A machine that lost its power takes the daemon with it; a panic before that is one all the same.
func TestOtherBoot(t *testing.T) {
	for ending, want := range map[string]uint64{"killed": 0, "panic": 1} {
		dir := t.TempDir()
		end(t, dir, ending)
		path := filepath.Join(dir, "run.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = []byte(strings.ReplaceAll(string(b), bootID(), "another"))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := begin(t, dir)
		if got := r.Restarts().Unasked; got != want {
			t.Errorf("%s before this boot: %d restarts, want %d", ending, got, want)
		}
		release(t)
	}
}

// What is no record costs the past; a second daemon, a directory that is not there, or a link cost the record.
func TestTrouble(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"boot":`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, ended := begin(t, dir)
	if ended != nil || r.Restarts().Unasked != 0 {
		t.Errorf("a broken record: %v, %+v", ended, r.Restarts())
	}
	if _, _, err := Begin(dir); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a second daemon: %v", err)
	}
	if _, _, err := Begin(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	linked := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(linked, "crash")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Begin(linked); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link: %v", err)
	}
	var none *Run
	if err := none.End(errors.New("x")); err != nil || none.Restarts().Unasked != 0 {
		t.Errorf("no Run: %v", err)
	}
}
