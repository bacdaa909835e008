package daemon_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
	"ctsync/daemon/wire"
)

// TestCacheLimit makes more flows than either cache may hold, and then raises the limit in the running daemons' files.
func TestCacheLimit(t *testing.T) {
	const limit, n = 300, 500
	a, b := newPair(t)
	small, large := options{extra: fmt.Sprintf("cache-limit = %d\n", limit)}, options{extra: "cache-limit = 100000\n"}
	b.start(small)
	a.start(large)
	a.create(testFlows(n))
	b.eventually(10*time.Second, "has its external cache full", func() bool {
		return b.statistics().External.Full > 0 && a.statistics().Session.Unacknowledged == 0
	})
	s := b.statistics().External
	if s.Active != limit || s.Limit != limit || s.Full < n-limit || s.CreateFailed < n-limit {
		t.Errorf("external cache: %+v", s)
	}
	b.create(testFlows(n))
	b.eventually(10*time.Second, "counts all refusals", func() bool {
		s := b.statistics().Internal
		return s.Active == limit && s.Full >= n-limit && s.CreateFailed >= n-limit
	})
	for _, name := range []string{"cache=internal", "cache=external"} {
		if !strings.Contains(b.log.String(), "cache is full") || !strings.Contains(b.log.String(), name) {
			t.Errorf("the log says nothing of %s", name)
		}
	}

	b.writeConfig(large)
	b.eventually(10*time.Second, "has the new limit", func() bool {
		s := b.statistics()
		return s.Internal.Limit == 100000 && s.External.Limit == 100000
	})
	b.ctsync("resync")
	b.ctsync("request")
	b.eventually(10*time.Second, "has all flows", func() bool {
		s := b.statistics()
		return s.Internal.Active == n && s.External.Active == n
	})
	if s := b.status(); len(s.NeedRestart) != 0 {
		t.Errorf("a restart is asked for: %v", s.NeedRestart)
	}
}

// addLink makes the sync interface again, as newPair did.
func addLink(t *testing.T, a, b *router) {
	t.Helper()
	nstest.Veth(t, a.ns, "sync0", []string{"10.255.0.1/24", "fd00:ff::1/64"}, b.ns, "sync0",
		[]string{"10.255.0.2/24", "fd00:ff::2/64"})
}

// TestInterfaceComesAndGoes starts the daemons before their interface exists, and takes it away while they run.
func TestInterfaceComesAndGoes(t *testing.T) {
	for _, o := range []options{{}, {multicast: true}} {
		t.Run(fmt.Sprintf("multicast=%v", o.multicast), func(t *testing.T) {
			t.Parallel()
			const n = 200
			a, b := newPair(t)
			a.ns.Run(t, "ip", "link", "del", "sync0")
			a.start(o)
			b.start(o)
			flows := testFlows(3 * n)
			a.create(flows[:n])
			a.eventually(10*time.Second, "caches and says why it is alone", func() bool {
				why := strings.Join(a.status().Why, "\n")
				return a.statistics().Internal.Active == n && strings.Contains(why, "sync link on sync0 is not usable")
			})
			addLink(t, a, b)
			inStep(t, a, b, 30*time.Second)
			sent := a.activeLink().PacketsSent

			a.ns.Run(t, "ip", "link", "del", "sync0")
			a.create(flows[n : 2*n])
			a.delete(flows[:n/2])
			a.eventually(10*time.Second, "notices", func() bool { return !a.status().InStep })
			addLink(t, a, b)
			inStep(t, a, b, 30*time.Second)
			if got := a.activeLink().PacketsSent; got < sent {
				t.Errorf("the counter of datagrams went from %d to %d", sent, got)
			}
			a.create(flows[2*n:])
			inStep(t, a, b, 30*time.Second)
		})
	}
}

// sendFrom sends datagrams to r's daemon from an address inside ns.
func sendFrom(t *testing.T, ns *nstest.NS, from string, r *router, datagrams ...[]byte) {
	t.Helper()
	var conn *net.UDPConn
	var err error
	ns.Do(func() {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, d := range datagrams {
		if _, err := conn.WriteToUDPAddrPort(d, netip.AddrPortFrom(r.addr, 3780)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStrangersAndGarbage sends what the peer never would, from an address that is not the peer's and from the peer's
// own.
func TestStrangersAndGarbage(t *testing.T) {
	const n = 100
	a, b := newPair(t)
	a.ns.Run(t, "ip", "addr", "add", "10.255.0.99/24", "dev", "sync0")
	b.start(options{})
	a.start(options{})
	a.create(testFlows(n))
	inStep(t, a, b, 20*time.Second)
	a.stop(syscall.SIGKILL)
	want := b.cached("external")

	// What a real peer might say: a hello, a request for the table, the end of a flow.
	gone := testFlow(0)
	seq := uint32(time.Now().Unix())
	hello := wire.AppendControl(nil, wire.Hello, seq, 0, 0)
	sendFrom(t, a.ns, "10.255.0.99:0", b, hello, wire.AppendControl(nil, wire.Resync, seq+1, seq+1, seq+1),
		wire.AppendFlow(nil, wire.CTDestroy, 0, seq+2, &gone))
	b.eventually(10*time.Second, "counts the stranger", func() bool { return b.activeLink().Dropped["wrong source"] == 3 })
	before := b.statistics()
	if before.Tracking.Malformed.Total() != 0 || before.Session.PeerRestarts > 1 {
		t.Errorf("the stranger was heard: %+v %+v", before.Tracking, before.Session)
	}

	header := func(first, flags byte, size int, body ...byte) []byte {
		return append([]byte{first, flags, byte(size >> 8), byte(size), 0, 0, 0, 1}, body...)
	}
	garbage := [][]byte{
		{1},                                     // not even a header
		[]byte("GET / HTTP/1.1\r\n\r\n"),        // another protocol
		header(0x20, 0, 8),                      // another version
		header(0x10, 0, 0xffff),                 // longer than the datagram
		header(0x10, 0, 4),                      // shorter than its header
		header(0x1f, 0, 8),                      // a type that nobody defined
		header(0x1a, 0xff, 8, 0, 0, 0, 0, 0, 0), // flags that exclude each other, cut off
		make([]byte, 1400),
	}
	sendFrom(t, a.ns, "10.255.0.1:3780", b, garbage...)
	b.eventually(10*time.Second, "counts the garbage", func() bool {
		return b.statistics().Tracking.Malformed.Total() >= uint64(len(garbage))
	})
	after := b.statistics()
	if after.External.Active != n || after.External.Updated != before.External.Updated ||
		after.External.Created != before.External.Created || after.External.Destroyed != before.External.Destroyed {
		t.Errorf("garbage changed the external cache: %+v, was %+v", after.External, before.External)
	}
	if got := b.cached("external"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Error("garbage changed the external cache")
	}
	t.Logf("malformed: %+v", after.Tracking.Malformed)
	a.start(options{})
	inStep(t, a, b, 20*time.Second)
}

// TestStopsAtOnce ends daemons that hold 50 000 flows, by SIGTERM and by SIGKILL, and starts them again.
func TestStopsAtOnce(t *testing.T) {
	const n = 50000
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	a.create(testFlows(n))
	inStep(t, a, b, 60*time.Second)
	for _, r := range []*router{a, b} {
		began := time.Now()
		r.stop(syscall.SIGTERM)
		took := time.Since(began)
		t.Logf("SIGTERM to %s with %d flows: %v", r.name, n, took)
		if took > time.Second {
			t.Errorf("daemon %s took %v to end", r.name, took)
		}
		if _, err := os.Stat(r.socket()); err == nil {
			t.Errorf("daemon %s left its socket", r.name)
		}
	}
	b.start(options{})
	a.start(options{})
	inStep(t, a, b, 60*time.Second)

	// In the middle of a change, too.
	fresh := make([]flow.Flow, n)
	for i := range fresh {
		fresh[i] = testFlow(n + i)
	}
	a.create(fresh)
	began := time.Now()
	a.stop(syscall.SIGTERM)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a busy daemon took %v to end", took)
	}
	a.start(options{})
	inStep(t, a, b, 60*time.Second)
}

// TestOneDaemonPerSocket refuses a second daemon, and takes over the socket of a dead one.
func TestOneDaemonPerSocket(t *testing.T) {
	_, b := newPair(t)
	b.start(options{})
	second, err := b.ns.Exec(t.Context(), filepath.Join(binDir, "ctsyncd"), "--config",
		filepath.Join(b.dir, "ctsync.toml"), "--log", "stderr").CombinedOutput()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(second), "another daemon is serving it") ||
		!strings.Contains(string(second), b.socket()) {
		t.Errorf("second daemon: %v: %s", err, second)
	}
	if strings.Count(strings.TrimSpace(string(second)), "\n") != 0 {
		t.Errorf("the refusal is not one line: %s", second)
	}
	b.ctsync("show", "status") // the first one still has its socket

	b.stop(syscall.SIGKILL)
	if _, err := os.Stat(b.socket()); err != nil {
		t.Fatalf("no stale socket to try: %v", err)
	}
	b.start(options{})
	b.ctsync("show", "status")
}
