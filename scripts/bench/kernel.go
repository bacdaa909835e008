package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// settings are the kernel settings that must be raised for a million flows. They are the machine's, not a namespace's.
type settings struct{ max, buckets string }

const (
	maxFile     = "/proc/sys/net/netfilter/nf_conntrack_max"
	bucketsFile = "/sys/module/nf_conntrack/parameters/hashsize"
)

// raised has room for four million flows and the probes, and as many buckets as a router of that size has.
var raised = settings{max: "5000000", buckets: "1048576"}

func readSettings() (s settings, err error) {
	for _, file := range []struct {
		path string
		to   *string
	}{{maxFile, &s.max}, {bucketsFile, &s.buckets}} {
		b, e := os.ReadFile(file.path)
		*file.to = strings.TrimSpace(string(b))
		err = errors.Join(err, e)
	}
	return s, err
}

// write sets the number of buckets first, because some kernels derive nf_conntrack_max from it.
func (s settings) write() error {
	return errors.Join(os.WriteFile(bucketsFile, []byte(s.buckets), 0), os.WriteFile(maxFile, []byte(s.max), 0))
}

// raise raises the settings and returns a function that restores them. A separate process does that: it waits for the
// end of this one, however this one ends.
func raise() (restore func() error, err error) {
	before, err := readSettings()
	if err != nil {
		return nil, fmt.Errorf("read conntrack settings: %w (is nf_conntrack loaded?)", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "guard", before.max, before.buckets)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must not stop it
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	restore = func() error {
		if err := errors.Join(pipe.Close(), cmd.Wait()); err != nil {
			return fmt.Errorf("restore conntrack settings: %w", err)
		}
		return nil
	}
	if err := raised.write(); err != nil {
		return nil, errors.Join(fmt.Errorf("raise conntrack settings: %w", err), restore())
	}
	return restore, nil
}

// guard writes s when its standard input ends.
func guard(s settings) error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.write()
}
