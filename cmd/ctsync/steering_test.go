package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/nstest"
)

// steering is a text that would steer a terminal: its title, its colours, its clipboard, its lines, its direction.
const steering = "EVIL\x1b]0;EVIL\x07\x1b[31m\x1b]52;c;RVZJTA==\x1b\\\r\b\x7f\u009b31m\u0085\u202eEVIL\u2066\u200f"

// forbidden are pieces of it that must not reach a terminal. Some sequences that begin like them are our own.
var forbidden = []string{
	"\x1b]0;EVIL", "\x1b[31m\x1b]52", "\x1b]52;", "\x1b\\", "\x07", "\b", "\x7f", "\u009b", "\u0085", "\u202e", "\u2066", "\u200f",
}

// poison sets every text that v reaches to steering, and everything else to something that is shown.
func poison(v reflect.Value) {
	switch {
	case !v.CanSet():
		return
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Now()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			poison(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poison(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		poison(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		poison(key)
		poison(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(steering)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(1)
	case reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(1)
	}
}

func poisoned[T any]() (v T) {
	poison(reflect.ValueOf(&v).Elem())
	return v
}

// steeringServer answers every call as a daemon would, with steering in every text, and refuses some.
func steeringServer(t *testing.T, refuse bool) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	text := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Ctsync-Error")
		fmt.Fprintf(w, "%s\n%s \x9b31m\n", steering, steering)
		w.(http.Flusher).Flush()
		failed, _ := json.Marshal(poisoned[control.Error]())
		w.Header().Set("Ctsync-Error", string(failed))
	}
	value := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v) }
	}
	mux := http.NewServeMux()
	started := time.Now()
	mux.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		s := poisoned[control.Status]()
		started = started.Add(time.Second) // as after a restart
		s.Started, s.InStep, s.NeedRestart = started, false, nil
		json.NewEncoder(w).Encode(s)
	})
	mux.HandleFunc("/v1/statistics", value(poisoned[control.Statistics]()))
	mux.HandleFunc("/v1/snapshot", value(poisoned[control.Snapshot]()))
	mux.HandleFunc("/v1/transitions", value([]control.Transition{poisoned[control.Transition]()}))
	mux.HandleFunc("/v1/log", value(poisoned[control.LogPage]()))
	mux.HandleFunc("/v1/notify", value(poisoned[control.Transition]()))
	mux.HandleFunc("/v1/actions", value(control.ActionLine{Result: new(poisoned[control.Result]())}))
	mux.HandleFunc("/v1/flows", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("group") {
			json.NewEncoder(w).Encode(poisoned[control.Groups]())
			return
		}
		text(w, r)
	})
	for _, path := range []string{"/v1/differences", "/v1/events", "/v1/resend"} {
		mux.HandleFunc(path, text)
	}
	srv := &http.Server{Handler: mux}
	if refuse {
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(poisoned[control.Error]())
		})
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return socket
}

// steered are commands that print what a socket says: all that there are, in several forms.
var steered = []string{
	"show status", "show statistics", "show statistics --detail", "show statistics network", "show statistics link",
	"show statistics rsqueue", "show statistics expect", "show statistics runtime", "show transitions", "show log",
	"show table", "show table --wide", "show table --sort age --limit 5", "show table --group-by source",
	"show cache internal", "show cache external --xml", "show cache external expect", "show diff internal",
	"show diff external", "events", "notify master", "commit", "flush", "resync", "bulk", "request", "purge",
	"reset internal-cache", "reset external-cache", "restart", "__line bash ctsync\\ show\\ table\\ --filter\\ src:",
	"tui",
}

// Whatever a socket says, no command lets it steer the terminal, and it is still there to be read.
func TestSocketDoesNotSteerTheTerminal(t *testing.T) {
	covered(t)
	for _, refuse := range []bool{false, true} {
		socket := steeringServer(t, refuse)
		for _, command := range steered {
			if command == "tui" {
				continue // below
			}
			args := strings.Fields(strings.ReplaceAll(command, `\ `, "\x00"))
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "\x00", " ")
			}
			for _, format := range [][]string{nil, {"--json"}} {
				t.Run(fmt.Sprint(command, format, refuse), func(t *testing.T) {
					t.Parallel()
					out := onPTY(t, func(tty *os.File) {
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						defer cancel()
						run(ctx, slices.Concat([]string{"--socket", socket}, format, args), time.Now(), tty, tty)
					})
					harmless(t, out)
				})
			}
		}
	}
}

// covered fails for commands that are not in steered.
func covered(t *testing.T) {
	t.Helper()
	exempt := []string{"completion", "help", "help filter", "tui", "filter"}
	var look func(c command)
	look = func(c command) {
		path := strings.TrimPrefix(c.Path, "ctsync ")
		among := slices.ContainsFunc(steered, func(s string) bool { return s == path || strings.HasPrefix(s, path+" ") })
		if len(c.Commands) == 0 && !c.Topic && !among && !slices.Contains(exempt, path) {
			t.Errorf("%q is not tried", path)
		}
		for _, sub := range c.Commands {
			look(sub)
		}
	}
	look(describe((&app{}).root()))
}

// harmless fails if out has anything that steers, but for the monitor's and a progress's own sequences.
func harmless(t *testing.T, out []byte) {
	t.Helper()
	for _, s := range forbidden {
		if bytes.Contains(out, []byte(s)) {
			t.Errorf("%q reached the terminal: %.300q", s, out)
		}
	}
	own := strings.NewReplacer(clearLine, "", "\r\n", "\n")
	for _, r := range own.Replace(string(out)) {
		if !unicode.IsGraphic(r) && r != '\n' && r != '\t' {
			t.Errorf("%q reached the terminal: %.300q", r, out)
			break
		}
	}
}

// onPTY calls f with a terminal and returns what reached it.
func onPTY(t *testing.T, f func(tty *os.File)) []byte {
	t.Helper()
	pty, tty := openTerminal(t, unix.Winsize{Row: 40, Col: 120})
	var out bytes.Buffer
	done := make(chan struct{})
	go func() { defer close(done); io.Copy(&out, pty) }() // ends with EIO when the last one has closed the terminal
	f(tty)
	tty.Close()
	<-done
	pty.Close()
	return out.Bytes()
}

// The same for the monitor, in all its views, and for --watch.
func TestSocketDoesNotSteerTheMonitor(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, "ctsync")); err != nil { // see testMain
		t.Fatal(err)
	}
	for _, refuse := range []bool{false, true} {
		for _, args := range [][]string{{"tui"}, {"show", "status", "--watch=100ms"}, {"show", "log", "--follow"}} {
			t.Run(fmt.Sprint(args, refuse), func(t *testing.T) {
				t.Parallel()
				pty, tty := openTerminal(t, unix.Winsize{Row: 40, Col: 120})
				args = append(args, "--socket", steeringServer(t, refuse))
				cmd := exec.Command(filepath.Join(dir, "ctsync"), args...)
				cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8")
				cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
				cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				tty.Close()
				var mu sync.Mutex
				var out bytes.Buffer
				done := make(chan struct{})
				go func() {
					defer close(done)
					b := make([]byte, 4096)
					for {
						n, err := pty.Read(b)
						mu.Lock()
						out.Write(b[:n])
						mu.Unlock()
						if err != nil {
							return
						}
					}
				}()
				shown := func() bool { mu.Lock(); defer mu.Unlock(); return bytes.Contains(out.Bytes(), []byte("EVIL")) }
				nstest.Eventually(t, 20*time.Second, shown, func() string { return fmt.Sprintf("%.500q", out.String()) })
				if args[0] == "tui" {
					for key := '1'; key <= '9'; key++ {
						fmt.Fprintf(pty, "%c", key)
						time.Sleep(200 * time.Millisecond)
					}
					pty.WriteString("\rqq")
				}
				time.Sleep(300 * time.Millisecond)
				cmd.Process.Signal(unix.SIGTERM)
				cmd.Wait()
				<-done
				for _, s := range forbidden {
					if bytes.Contains(out.Bytes(), []byte(s)) {
						at := bytes.Index(out.Bytes(), []byte(s))
						t.Errorf("%q reached the terminal: %.100q", s, out.Bytes()[max(at-50, 0):])
					}
				}
			})
		}
	}
}
