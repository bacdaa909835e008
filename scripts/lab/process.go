package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end after SIGTERM.
const stopGrace = 3 * time.Second

// ownGroup puts a process into a group of its own, so that Ctrl-C reaches only the lab's program, which then stops the
// others in order.
var ownGroup = &syscall.SysProcAttr{Setpgid: true}

// Process is a program that runs inside a namespace of the lab, with its output in a file of the run directory.
type Process struct {
	Name string
	Log  string // path of its output
	PID  int

	done chan struct{}
	err  error // valid once done is closed
}

// Start runs a program inside ns. Its output goes to name.log; env is added to the environment.
func (l *Lab) Start(ns NS, name string, env []string, argv ...string) (*Process, error) {
	path := l.Path(name + ".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := ns.Command(argv...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, Log: path, PID: cmd.Process.Pid, done: make(chan struct{})}
	go p.wait(cmd)
	l.mu.Lock()
	l.procs = append(l.procs, p)
	l.mu.Unlock()
	return p, nil
}

func (p *Process) wait(cmd *exec.Cmd) {
	p.err = cmd.Wait()
	close(p.done)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *Process) signalStop() {
	if p.Running() {
		_ = syscall.Kill(p.PID, syscall.SIGTERM)
	}
}

// Stop asks the process to end, kills it if it does not, and waits.
func (p *Process) Stop() {
	p.signalStop()
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.Kill()
	}
}

// Kill kills the process and its children at once, as a power cut would, and waits.
func (p *Process) Kill() {
	if !p.Running() {
		return
	}
	pids := append(children(p.PID), p.PID)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // so that none reacts to the end of another
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
}

// children lists the direct children of a process.
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// Tail returns the last lines of the process's output.
func (p *Process) Tail(lines int) string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// Tails returns the last lines of output of each process of the lab, to find out what went wrong.
func (l *Lab) Tails(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, p := range l.procs {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Name, p.Tail(lines))
	}
	return b.String()
}
