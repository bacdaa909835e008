package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// TestPageExample runs the example of VyOS's documentation of conntrack-sync: two routers that replicate TCP, UDP and
// ICMP over the multicast group 225.0.0.50. The active one has as many connections in its internal cache as the standby
// has in its external one, and a failover by keepalived swaps them.
func TestPageExample(t *testing.T) {
	nstest.Require(t)
	nstest.RequireCommand(t, "keepalived", "keepalived")
	nstest.RequireCommand(t, "nft", "nftables")
	t.Chdir("../..")
	l, err := New("page")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Tails(30))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	l.Bin = t.TempDir()
	if out, err := exec.Command("go", "build", "-o", l.Bin+"/", "./cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l.Settings = map[string]string{
		"accept-protocol": `["tcp", "udp", "icmp"]`,
		"mcast-group":     `"225.0.0.50"`,
		// The page leaves it at a minute. A standby that gets no goodbye takes over after 3.6 s, and the purge touches
		// only flows that it has announced by then.
		"purge-timeout": "6",
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	n, err := l.Network()
	if err != nil {
		t.Fatal(err)
	}
	startPair(t, ctx, n)
	tenConnections(t, n)

	active, standby := n.Router[0], n.Router[1]
	awaitCounts(t, ctx, active, 10, 0)
	awaitCounts(t, ctx, standby, 0, 10)
	active.VRRP.Stop()
	if err := Wait(ctx, 15*time.Second, "the standby becomes master", standby.Master); err != nil {
		t.Fatal(err)
	}
	awaitCounts(t, ctx, standby, 10, 0)
	awaitCounts(t, ctx, active, 0, 10)
}

// startPair starts daemons and keepalived; the first router becomes master.
func startPair(t *testing.T, ctx context.Context, n *Network) {
	t.Helper()
	for i, r := range n.Router {
		var err error
		if r.Daemon, err = n.NewDaemon(Ctsync, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Daemon.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := n.StartVRRP(r); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			continue
		}
		if err := Wait(ctx, 15*time.Second, r.Name+" becomes master", r.Master); err != nil {
			t.Fatal(err)
		}
	}
}

// tenConnections opens four TCP and four UDP connections from the client through the routers to the server, and starts
// two series of pings. They stay open until the test ends.
func tenConnections(t *testing.T, n *Network) {
	t.Helper()
	address := net.JoinHostPort(ServerAddress, "7")
	if err := n.Server.Do(func() error {
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			tcp.Close()
			return err
		}
		t.Cleanup(func() { tcp.Close(); udp.Close() })
		go echo(udp)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.Client.Do(func() error {
		for i := range 8 {
			network := []string{"tcp", "udp"}[i%2]
			conn, err := net.DialTimeout(network, address, 5*time.Second)
			if err != nil {
				return err
			}
			t.Cleanup(func() { conn.Close() })
			go hello(conn)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := n.Start(n.Client, fmt.Sprintf("ping%d", i), nil, "ping", "-i", "1", ServerAddress); err != nil {
			t.Fatal(err)
		}
	}
}

// hello sends something every second until the connection is closed, so that the connection does not expire.
func hello(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("hello")); errors.Is(err, net.ErrClosed) {
			return // another error comes from the failover: the next try may succeed
		}
		time.Sleep(time.Second)
	}
}

func echo(conn net.PacketConn) {
	b := make([]byte, 64)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(b[:n], from)
	}
}

// currentConnections are the first counters of each cache in `ctsync show statistics`, as on the page.
var currentConnections = regexp.MustCompile(`cache (internal|external):\ncurrent active connections:\s+(\d+)\n`)

// awaitCounts waits until the statistics of r show these numbers of connections in its two caches.
func awaitCounts(t *testing.T, ctx context.Context, r *Router, internal, external int) {
	t.Helper()
	show := r.Daemon.Show()[1]
	want := map[string]int{"internal": internal, "external": external}
	var out []byte
	what := fmt.Sprintf("%s has %d connections in its internal cache and %d in the other", r.Name, internal, external)
	if err := Wait(ctx, 90*time.Second, what, func() bool {
		out, _ = exec.Command(show[0], show[1:]...).Output()
		found := currentConnections.FindAllSubmatch(out, -1)
		same := len(found) == len(want)
		for _, m := range found {
			count, err := strconv.Atoi(string(m[2]))
			same = same && err == nil && count == want[string(m[1])]
		}
		return same
	}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
