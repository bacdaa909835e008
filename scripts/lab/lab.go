// Package lab builds pairs of routers out of network namespaces for the demo and the benchmark, and removes them again.
//
// A lab consists of a run directory under /run (keepalived refuses scripts below directories that other users can write
// to) and of namespaces whose names start with the name of that directory. Nothing touches the machine's own namespace.
// state.json in the run directory names each namespace before it is made, so that Clean can remove what a killed
// program left behind.
//
// The lab reads the shipped files from scripts: the working directory must be the root of the module.
package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// root is where the run directories are. Clean looks nowhere else.
const root = "/run"

// prefix begins the name of every run directory and namespace.
const prefix = "ctlab-"

// Lab is a set of namespaces and the processes inside them.
type Lab struct {
	Dir string // run directory: configuration, sockets, logs
	Bin string // where ctsyncd and ctsync are

	// Settings are keys of ctsyncd's configuration, with values as in the file, that differ from the shipped file. The
	// shipped file must have the keys.
	Settings map[string]string

	mu    sync.Mutex
	name  string
	state state
	procs []*Process
}

// state is the content of state.json.
type state struct {
	Owner      int      // process id of the program that made the lab
	Kept       bool     // the lab was left running on purpose
	Namespaces []string // in the order in which they were made
}

// New makes a run directory named after the calling process and what, which is unique within it.
func New(what string) (*Lab, error) {
	l := &Lab{name: fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), what), state: state{Owner: os.Getpid()}}
	l.Dir = filepath.Join(root, l.name)
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	if err := l.save(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.Dir))
	}
	return l, nil
}

func (l *Lab) save() error {
	data, err := json.Marshal(l.state)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.Dir, "state.json"), data, 0o600)
}

// Path returns the path of a file in the run directory.
func (l *Lab) Path(name string) string { return filepath.Join(l.Dir, name) }

// Write makes a file in the run directory and returns its path. It replaces an older file in one step, because the
// kernel lets nobody write to a script that keepalived is just starting.
func (l *Lab) Write(name string, mode os.FileMode, content string) (string, error) {
	path := l.Path(name)
	next := path + ".new"
	if err := os.WriteFile(next, []byte(content), mode); err != nil {
		return "", err
	}
	if err := os.Chmod(next, mode); err != nil {
		return "", err
	}
	return path, os.Rename(next, path)
}

// Namespace makes a network namespace with its loopback interface up.
func (l *Lab) Namespace(short string) (NS, error) {
	ns := NS(l.name + "-" + short)
	l.mu.Lock()
	l.state.Namespaces = append(l.state.Namespaces, string(ns))
	err := l.save()
	l.mu.Unlock()
	if err != nil {
		return "", err
	}
	if _, err := command("ip", "netns", "add", string(ns)); err != nil {
		return "", err
	}
	return ns, ns.IP("link", "set", "lo", "up")
}

// Link joins two namespaces by a pair of virtual interfaces and brings both ends up.
func (l *Lab) Link(a NS, aName string, b NS, bName string) error {
	_, err := command("ip", "link", "add", aName, "netns", string(a), "type", "veth",
		"peer", "name", bName, "netns", string(b))
	if err != nil {
		return err
	}
	return errors.Join(a.IP("link", "set", aName, "up"), b.IP("link", "set", bName, "up"))
}

// Keep marks the lab as left running on purpose. Do not call Close afterwards.
func (l *Lab) Keep() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Kept = true
	return l.save()
}

// Close stops every process of the lab and removes its namespaces and its run directory. It may be called again.
func (l *Lab) Close() error {
	l.mu.Lock()
	procs, spaces := l.procs, l.state.Namespaces
	l.procs = nil
	l.mu.Unlock()
	for _, p := range procs {
		p.signalStop()
	}
	for _, p := range procs {
		p.Stop()
	}
	return remove(l.Dir, spaces)
}

// remove kills the processes left inside the namespaces, then removes the namespaces and the run directory.
func remove(dir string, spaces []string) error {
	var errs []error
	for _, name := range spaces {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if _, err := os.Stat(filepath.Join("/run/netns", name)); err != nil {
			continue
		}
		errs = append(errs, NS(name).killAll())
		_, err := command("ip", "netns", "del", name)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// Clean removes every lab that was left running on purpose or whose program has ended, and returns their run
// directories.
func Clean() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, prefix+"*", "state.json"))
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		var s state
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", file, err))
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", s.Owner)); err == nil && !s.Kept {
			continue // still running
		}
		dir := filepath.Dir(file)
		errs = append(errs, remove(dir, s.Namespaces))
		removed = append(removed, dir)
	}
	return removed, errors.Join(errs...)
}

// command runs a program in the machine's own namespace and returns its output, which is also in the error.
func command(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = ownGroup
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return string(out), nil
}
