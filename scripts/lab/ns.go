package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// NS is the name of a network namespace.
type NS string

// Command returns a command that will run inside the namespace. `ip netns exec` replaces itself with the program, so
// the process id is the program's own.
func (ns NS) Command(argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(ns)}, argv...)...)
}

// Run runs a command inside the namespace and returns its output, which is also in the error.
func (ns NS) Run(argv ...string) (string, error) {
	return command("ip", append([]string{"netns", "exec", string(ns)}, argv...)...)
}

// IP runs an ip command on the namespace.
func (ns NS) IP(args ...string) error {
	_, err := command("ip", append([]string{"-n", string(ns)}, args...)...)
	return err
}

// Sysctl sets variables of the namespace, each given as key=value.
func (ns NS) Sysctl(settings ...string) error {
	_, err := ns.Run(append([]string{"sysctl", "-qw"}, settings...)...)
	return err
}

// FlushFlows empties the namespace's conntrack table.
func (ns NS) FlushFlows() error {
	_, err := ns.Run("conntrack", "-F")
	return err
}

// Firewall loads a ruleset written for nft.
func (ns NS) Firewall(rules string) error {
	cmd := ns.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load firewall: %w: %s", err, out)
	}
	return nil
}

// Do runs f on a thread inside the namespace and waits for it. Sockets that f makes stay in the namespace and may be
// used by any goroutine. The thread is never unlocked, so it ends with f, and no other goroutine runs in the namespace.
func (ns NS) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open(filepath.Join("/run/netns", string(ns)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", ns, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// pids lists the processes inside the namespace.
func (ns NS) pids() ([]int, error) {
	out, err := command("ip", "netns", "pids", string(ns))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(out) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("ip netns pids %s: %w", ns, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// killAll kills every process inside the namespace. They are all the lab's, because the namespace is.
func (ns NS) killAll() error {
	pids, err := ns.pids()
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue
		}
		if e := syscall.Kill(pid, syscall.SIGKILL); e != nil && !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("kill %d: %w", pid, e))
		}
	}
	return err
}
