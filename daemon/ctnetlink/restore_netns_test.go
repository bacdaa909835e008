package ctnetlink

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// rules translate both sides of what crosses the router, ports included, and drop what conntrack does not know.
const rules = `
table inet router {
	chain pre {
		type nat hook prerouting priority dstnat
		ip daddr 10.0.1.254 tcp dport 8080 dnat ip to 10.0.2.2:80
		ip daddr 10.0.1.254 udp dport 8053 dnat ip to 10.0.2.2:53
		ip6 daddr fd00:1::fe tcp dport 8080 dnat ip6 to [fd00:2::2]:80
		ip6 daddr fd00:1::fe udp dport 8053 dnat ip6 to [fd00:2::2]:53
	}
	chain post {
		type nat hook postrouting priority srcnat
		ip daddr 10.0.2.2 meta l4proto { tcp, udp } snat ip to 10.0.2.254:20000-20999
		ip6 daddr fd00:2::2 meta l4proto { tcp, udp } snat ip6 to [fd00:2::fe]:20000-20999
	}
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		ct state new iifname "in" jump fresh
	}
	chain fresh {
		accept
	}
	chain input { # else a retransmission that finds no entry is answered with a reset
		type filter hook input priority filter; policy accept
		meta l4proto { tcp, udp } drop
	}
}
`

// router joins a client and a server by a router with rules.
func router(t *testing.T) (client, r, server *nstest.NS) {
	nstest.RequireCommand(t, "nft", "nftables")
	client, r, server = nstest.New(t), nstest.New(t), nstest.New(t)
	nstest.Veth(t, client, "eth", []string{"10.0.1.2/24", "fd00:1::2/64"}, r, "in",
		[]string{"10.0.1.254/24", "fd00:1::fe/64"})
	nstest.Veth(t, server, "eth", []string{"10.0.2.2/24", "fd00:2::2/64"}, r, "out",
		[]string{"10.0.2.254/24", "fd00:2::fe/64"})
	r.Sysctl(t, "net.ipv4.ip_forward", "1")
	r.Sysctl(t, "net.ipv6.conf.all.forwarding", "1")
	r.Run(t, "sh", "-c", "nft -f - <<'EOF'\n"+rules+"\nEOF")
	return client, r, server
}

// echo answers every line on network at addr in ns with the address of who sent it.
func echo(t *testing.T, ns *nstest.NS, network, addr string) {
	t.Helper()
	var err error
	if strings.HasPrefix(network, "udp") {
		var pc net.PacketConn
		ns.Do(func() { pc, err = net.ListenPacket(network, addr) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		go func() {
			b := make([]byte, 2000)
			for {
				_, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				pc.WriteTo([]byte(from.String()+"\n"), from)
			}
		}()
		return
	}
	var l net.Listener
	ns.Do(func() { l, err = net.Listen(network, addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, c.RemoteAddr())
				}
			}()
		}
	}()
}

// exchange sends a line and returns the answer.
func exchange(c net.Conn, within time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, "who am I?"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

// TestRestoreLiveConnections takes the entries of live translated connections out of a router and puts them back: the
// kernel's own entries come back equal, and the connections go on, through a firewall that lets nothing new through.
func TestRestoreLiveConnections(t *testing.T) {
	for _, liberal := range []bool{true, false} {
		t.Run(fmt.Sprintf("liberal=%v", liberal), func(t *testing.T) { restoreLive(t, liberal) })
	}
}

func restoreLive(t *testing.T, liberal bool) {
	client, r, server := router(t)
	c := dial(t, r)
	c.SetLiberal(liberal)
	conns := map[string]net.Conn{}
	before := map[string]string{}
	for _, s := range []struct{ network, listen, dial string }{
		{"tcp4", "10.0.2.2:80", "10.0.1.254:8080"},
		{"tcp6", "[fd00:2::2]:80", "[fd00:1::fe]:8080"},
		{"udp4", "10.0.2.2:53", "10.0.1.254:8053"},
		{"udp6", "[fd00:2::2]:53", "[fd00:1::fe]:8053"},
	} {
		echo(t, server, s.network, s.listen)
		var conn net.Conn
		var err error
		client.Do(func() { conn, err = net.Dial(s.network, s.dial) })
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range 3 { // so that UDP is assured
			if before[s.network], err = exchange(conn, 30*time.Second); err != nil {
				t.Fatalf("%s: %v", s.network, err)
			}
		}
		if !strings.Contains(before[s.network], ":20") {
			t.Fatalf("%s: not translated: %s", s.network, before[s.network])
		}
		conns[s.network] = conn
	}
	live := takeOut(t, c, r)
	if len(live) != len(conns) {
		t.Fatalf("%d flows, want %d: %+v", len(live), len(conns), live)
	}
	if answer, err := exchange(conns["udp4"], 200*time.Millisecond); err == nil {
		t.Fatalf("the firewall lets pass what it does not know: %s", answer)
	}
	mustApply(t, c.Create, live)
	checkRestored(t, c, live, liberal)
	for network, conn := range conns {
		if after, err := exchange(conn, 30*time.Second); err != nil || after != before[network] {
			t.Errorf("%s: %q before, %q after, error %v", network, before[network], after, err)
		}
	}
}

// takeOut closes the firewall for new connections, and dumps and deletes the translated flows.
func takeOut(t *testing.T, c *Conn, r *nstest.NS) (live []flow.Flow) {
	t.Helper()
	r.Run(t, "nft", "flush chain inet router fresh")
	if _, err := c.Dump(0, func(f *flow.Flow) error {
		if f.SNAT() && f.DNAT() {
			live = append(live, *f)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, c, 0)
	return live
}

func checkRestored(t *testing.T, c *Conn, want []flow.Flow, liberal bool) {
	t.Helper()
	got := make([]flow.Flow, len(want))
	errs := make([]unix.Errno, len(want))
	if err := c.GetBatch(want, got, errs); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		for dir := range w.TCPFlags {
			w.TCPFlags[dir] &= tcpFlagsSent
			if liberal && w.Orig.Proto == flow.TCP {
				w.TCPFlags[dir] |= flow.TCPFlagBeLiberal
			}
		}
		if diff := sameFlow(settled(w), settled(got[i])); errs[i] != 0 || diff != "" {
			t.Errorf("%v (-before +restored)\n%s", errs[i], diff)
		}
		if w.Orig.Proto == flow.TCP && w.TCPWScale[0] == 0 {
			t.Error("no window scale to restore")
		}
	}
}
