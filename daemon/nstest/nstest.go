// Package nstest gives privileged tests their own network namespaces.
//
// A namespace has a name (ip netns), so that both Go code and commands can enter it, and is deleted at the end of the
// test. Go code enters by Do, on a thread that no other goroutine ever uses.
package nstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var serial atomic.Int64

// NS is a network namespace with its loopback interface up.
type NS struct {
	Name string
	work chan func()
}

// Require skips the test, with the reason, where namespaces cannot be made. With CTSYNC_REQUIRE_NETNS=1 in the
// environment it fails instead.
func Require(t testing.TB) {
	t.Helper()
	reason := ""
	if os.Geteuid() != 0 {
		reason = "not root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		reason = "no ip command (Debian: iproute2)"
	}
	if reason == "" {
		return
	}
	if os.Getenv("CTSYNC_REQUIRE_NETNS") == "1" {
		t.Fatalf("network namespaces are required: %s", reason)
	}
	t.Skipf("network namespaces: %s", reason)
}

// RequireCommand is Require for a program that the test runs; pkg is the Debian package that has it.
func RequireCommand(t testing.TB, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CTSYNC_REQUIRE_NETNS") == "1" {
		t.Fatalf("%s is required (apt-get install %s)", name, pkg)
	}
	t.Skipf("no %s (apt-get install %s)", name, pkg)
}

// New makes a namespace and deletes it at the end of the test.
func New(t testing.TB) *NS {
	t.Helper()
	Require(t)
	ns := &NS{
		Name: fmt.Sprintf("ctst-%d-%d", os.Getpid(), serial.Add(1)),
		work: make(chan func()),
	}
	Command(t, "ip", "netns", "add", ns.Name)
	t.Cleanup(func() {
		close(ns.work)
		if out, err := exec.Command("ip", "netns", "del", ns.Name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del %s: %v: %s", ns.Name, err, out)
		}
	})
	entered := make(chan error)
	go ns.serve(entered)
	if err := <-entered; err != nil {
		t.Fatalf("enter namespace %s: %v", ns.Name, err)
	}
	ns.Run(t, "ip", "link", "set", "lo", "up")
	return ns
}

// serve runs functions inside the namespace. It locks its thread and never unlocks it: when the goroutine ends, the
// runtime destroys the thread, so that no other goroutine can end up in the namespace.
func (ns *NS) serve(entered chan<- error) {
	runtime.LockOSThread()
	fd, err := unix.Open(filepath.Join("/run/netns", ns.Name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		unix.Close(fd)
	}
	entered <- err
	if err != nil {
		return
	}
	for f := range ns.work {
		f()
	}
}

// Do runs f on a thread inside the namespace and waits for it. Sockets that f opens stay in the namespace, and any
// goroutine may use them. f must call neither t.Fatal (it runs on another goroutine) nor Do.
func (ns *NS) Do(f func()) {
	done := make(chan struct{})
	ns.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Run runs a command inside the namespace and returns its output; the test fails if the command does.
func (ns *NS) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return Command(t, "ip", append([]string{"netns", "exec", ns.Name, name}, args...)...)
}

// Exec returns a command that will run inside the namespace. The test starts and ends it.
func (ns *NS) Exec(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns.Name, name}, args...)...)
}

// Sysctl sets a sysctl inside the namespace; key uses slashes or dots.
func (ns *NS) Sysctl(t testing.TB, key, value string) {
	t.Helper()
	ns.Run(t, "sysctl", "-qw", key+"="+value)
}

// Veth joins a and b by a pair of interfaces with the given names and addresses (CIDR, either family), and brings
// both ends up. Duplicate address detection is off so that IPv6 addresses work at once.
func Veth(t testing.TB, a *NS, aName string, aAddrs []string, b *NS, bName string, bAddrs []string) {
	t.Helper()
	Command(t, "ip", "link", "add", aName, "netns", a.Name, "type", "veth", "peer", "name", bName, "netns", b.Name)
	for _, end := range []struct {
		ns    *NS
		name  string
		addrs []string
	}{{a, aName, aAddrs}, {b, bName, bAddrs}} {
		for _, addr := range end.addrs {
			args := []string{"addr", "add", addr, "dev", end.name}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad")
			}
			end.ns.Run(t, "ip", args...)
		}
		end.ns.Run(t, "ip", "link", "set", end.name, "up")
	}
}

// Command runs a command in the namespace of the test itself and returns its output; the test fails if the command
// does.
func Command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Eventually polls cond until it is true, and fails the test with the text of what if it takes longer than within.
func Eventually(t testing.TB, within time.Duration, cond func() bool, what func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
