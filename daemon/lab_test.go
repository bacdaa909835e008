package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// The tests of this package run the real programs: ctsyncd, ctsync and ctsync-exporter as built from this tree,
// Debian's conntrackd, and the kernel, in namespaces joined by a veth pair named sync0.

var binDir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ctsync-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // ctsync-exporter runs as another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", dir, "ctsync/cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	binDir = dir
	return m.Run()
}

// router is one member of the pair.
type router struct {
	t    *testing.T
	ns   *nstest.NS
	name string
	dir  string // of its configuration, socket and state
	addr netip.Addr
	peer netip.Addr
	log  *logBuffer
	cmd  *exec.Cmd
	kern *ctnetlink.Conn // the test's own hand in the kernel

	forged bool // somebody speaks in the peer's name
}

// newPair makes two routers joined by sync0, with conntrack running in both.
func newPair(t *testing.T) (a, b *router) {
	t.Helper()
	nsA, nsB := nstest.New(t), nstest.New(t)
	nstest.Veth(t, nsA, "sync0", []string{"10.255.0.1/24", "fd00:ff::1/64"}, nsB, "sync0",
		[]string{"10.255.0.2/24", "fd00:ff::2/64"})
	return newRouter(t, nsA, "a", "10.255.0.1", "10.255.0.2"), newRouter(t, nsB, "b", "10.255.0.2", "10.255.0.1")
}

// newRouter is a router in a namespace that has its links.
func newRouter(t *testing.T, ns *nstest.NS, name, addr, peer string) *router {
	t.Helper()
	r := &router{
		t: t, ns: ns, name: name, dir: t.TempDir(), addr: netip.MustParseAddr(addr), peer: netip.MustParseAddr(peer),
		log: &logBuffer{},
	}
	var err error
	ns.Do(func() { r.kern, err = ctnetlink.Dial() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kern.Close() })
	return r
}

// flushKernel empties the router's conntrack table.
func (r *router) flushKernel() {
	r.t.Helper()
	nstest.RequireCommand(r.t, "conntrack", "conntrack")
	r.ns.Run(r.t, "conntrack", "-F")
}

func (r *router) socket() string { return filepath.Join(r.dir, "ctsync.sock") }

// options are what a test changes of the usual configuration.
type options struct {
	multicast bool
	named     bool // multicast, and mcast-peer names the peer
	ipv6      bool
	links     int    // dedicated links: 0 and 1 are sync0, 2 adds sync1
	expect    bool   // replicate all expectations
	noCache   bool   // of conntrackd: DisableExternalCache
	timeout   int    // of conntrackd: CommitTimeout in seconds; 0 = none
	extra     string // more top-level lines
}

// onLink is the address that a router with addr on sync0 has on link i.
func (o options) onLink(addr netip.Addr, i int) string {
	last := addr.As4()[3]
	if o.ipv6 {
		return fmt.Sprintf("fd00:%x::%d", 0xff-i, last)
	}
	return fmt.Sprintf("10.%d.0.%d", 255-i, last)
}

// writeConfig writes the configuration of r's ctsyncd and returns its path.
func (r *router) writeConfig(o options) string {
	r.t.Helper()
	links := ""
	for i := range max(o.links, 1) {
		links += fmt.Sprintf("[interface.sync%d]\nport = %d\n", i, 3780+i)
		if !o.multicast {
			links += fmt.Sprintf("peer = %q\n", o.onLink(r.peer, i))
		} else if o.named {
			links += fmt.Sprintf("mcast-peer = %q\n", o.onLink(r.peer, i))
		}
	}
	extra := o.extra
	if o.expect {
		extra += "expect-sync = [\"all\"]\n"
	}
	if o.multicast && o.ipv6 {
		extra += "mcast-group = \"ff02::3780\"\n"
	}
	text := fmt.Sprintf("socket = %q\nstate-directory = %q\n%s\n[failover-mechanism.vrrp]\nsync-group = \"syncgrp\"\n%s",
		r.socket(), r.dir, extra, links)
	path := filepath.Join(r.dir, "ctsync.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// start runs ctsyncd and waits until it is ready.
func (r *router) start(o options) {
	r.t.Helper()
	r.spawn(filepath.Join(binDir, "ctsyncd"), "--config", r.writeConfig(o), "--log", "stderr")
	r.eventually(20*time.Second, "is ready", func() bool {
		if r.exited() {
			r.t.Fatalf("ctsyncd on %s ended at once:\n%s", r.name, r.log)
		}
		return strings.Contains(r.log.since(), "ready")
	})
}

func (r *router) spawn(name string, args ...string) {
	r.t.Helper()
	r.log.mark()
	r.cmd = r.ns.Exec(context.Background(), name, args...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	cmd := r.cmd
	go cmd.Wait()
	r.t.Cleanup(func() { r.believesThePeer(cmd) })
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if strings.Contains(r.log.String(), "map[") {
			r.t.Errorf("the log of %s has lines that nobody can read:\n%s", r.name, r.log)
		}
		if r.t.Failed() && r.cmd == cmd {
			r.t.Logf("log of %s:\n%s", r.name, r.log)
		}
	})
}

// believesThePeer says it if a daemon that runs took its one peer for two: no real speaker of the protocol gives one
// number to two messages.
func (r *router) believesThePeer(cmd *exec.Cmd) {
	if r.forged || r.cmd != cmd || r.exited() || r.isConntrackd() || r.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	program := filepath.Join(binDir, "ctsync")
	out, err := r.ns.Exec(ctx, program, "--socket", r.socket(), "show", "statistics", "--json").Output()
	var s control.Statistics
	if err != nil || json.Unmarshal(out, &s) != nil {
		return // it is stopped, or its socket was moved
	}
	if n := s.Tracking.Contradicted; n > 0 {
		r.t.Errorf("router %s: %d messages contradict earlier ones of the peer", r.name, n)
	}
}

// exited reports whether the process that spawn started has ended.
func (r *router) exited() bool { return r.cmd.Process.Signal(syscall.Signal(0)) != nil }

// stop ends the daemon by a signal and waits for its end.
func (r *router) stop(sig syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
	nstest.Eventually(r.t, 10*time.Second, r.exited, func() string { return "daemon of " + r.name + " ends" })
}

// ctsync runs the command line inside the namespace.
func (r *router) ctsync(args ...string) string {
	r.t.Helper()
	return r.ns.Run(r.t, filepath.Join(binDir, "ctsync"), append([]string{"--socket", r.socket()}, args...)...)
}

func (r *router) statistics() (s control.Statistics) {
	r.t.Helper()
	r.unmarshal(&s, "show", "statistics", "--json")
	return s
}

func (r *router) activeLink() control.LinkStatistics {
	r.t.Helper()
	s := r.statistics()
	return s.ActiveLink()
}

func (r *router) status() (s control.Status) {
	r.t.Helper()
	r.unmarshal(&s, "show", "status", "--json")
	return s
}

func (r *router) unmarshal(v any, args ...string) {
	r.t.Helper()
	out := r.ctsync(args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		r.t.Fatalf("ctsync %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// cached returns the lines of a cache without age, sorted.
func (r *router) cached(name string) []string {
	r.t.Helper()
	return flowLines(r.ctsync("show", "cache", name))
}

// flowLines keeps the lines of conntrackd's layout that describe flows, without what differs between the two ends: the
// reply tuple (the external cache has none), the flags and the age.
func flowLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "src=") {
			continue
		}
		fields := strings.Fields(line)
		var keep []string
		seen := map[string]bool{}
		for _, f := range fields {
			key, _, isPair := strings.Cut(f, "=")
			if strings.HasPrefix(f, "[") {
				break
			}
			if isPair && seen[key] {
				continue
			}
			seen[key] = true
			keep = append(keep, f)
		}
		lines = append(lines, strings.Join(keep, " "))
	}
	slices.Sort(lines)
	return lines
}

func (r *router) eventually(within time.Duration, what string, cond func() bool) {
	r.t.Helper()
	nstest.Eventually(r.t, within, cond, func() string { return "router " + r.name + " " + what + "\n" + r.log.since() })
}

// create makes flows in r's kernel.
func (r *router) create(flows []flow.Flow) {
	r.t.Helper()
	errs := make([]unix.Errno, len(flows))
	if err := r.kern.Create(flows, errs); err != nil {
		r.t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 {
			r.t.Fatalf("create flow %d %+v: %v", i, flows[i].Orig, e)
		}
	}
}

// kernelKeys returns the original tuples of r's kernel table that keep accepts.
func (r *router) kernelFlows(keep func(*flow.Flow) bool) map[flow.Tuple]flow.Flow {
	r.t.Helper()
	m := map[flow.Tuple]flow.Flow{}
	if _, err := r.kern.Dump(0, func(f *flow.Flow) error {
		if keep(f) {
			m[f.Orig] = *f
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// testFlow is the i-th of many established TCP flows, every fourth behind source NAT.
func testFlow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, SrcPort: uint16(1024 + i%60000), DstPort: 443,
			Src: flow.Addr{10, 1, byte(i / 60000), 2}, Dst: flow.Addr{10, 2, 0, 2},
		},
		Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState,
		Status: flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed, Timeout: 3600, TCPState: flow.TCPEstablished,
	}
	f.Reply = f.Orig.Inverse()
	if i%4 == 0 {
		f.Reply.Dst = flow.Addr{10, 2, byte(i / 60000), 1}
	}
	return f
}

func isTestFlow(f *flow.Flow) bool { return f.Orig.Proto == flow.TCP && f.Orig.DstPort == 443 }

func testFlows(n int) []flow.Flow {
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = testFlow(i)
	}
	return flows
}

// logBuffer collects a daemon's output.
type logBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	from int
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mark makes since start here.
func (l *logBuffer) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = l.b.Len()
}

func (l *logBuffer) since() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()[l.from:]
}
