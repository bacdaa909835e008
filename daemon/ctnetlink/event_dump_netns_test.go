package ctnetlink

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// extraRules give some flows what most do not have: a mark, a label, a zone, a helper, SYNPROXY.
const extraRules = `
table inet extra {
	ct helper ftp { type "ftp" protocol tcp; l3proto ip; }
	chain early {
		type filter hook prerouting priority raw
		udp dport 5003 ct zone set 3
		udp sport 5003 ct zone set 3
		tcp dport 81 tcp flags syn notrack
	}
	chain attributes {
		type filter hook prerouting priority mangle
		udp dport 5001 ct mark set 7
		udp dport 5002 ct label set 1
		tcp dport 21 ct helper set "ftp"
	}
	chain answers {
		type filter hook postrouting priority mangle
		udp sport 5004 ct mark set 9
	}
	chain proxied {
		type filter hook forward priority -10
		tcp dport 81 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
	}
}
`

// TestEventsAndDumpAgree lets real packets cross a router and compares what the events carry of their flows with what a
// dump carries: no value differs, and a comparison sends nothing. An event leaves out what did not change, and a mark
// of zero; a dump does not. The timeouts in the dump show which flow had packets since its last event, and when.
func TestEventsAndDumpAgree(t *testing.T) {
	client, r, server := router(t)
	r.Sysctl(t, "net.netfilter.nf_conntrack_acct", "1")
	r.Sysctl(t, "net.netfilter.nf_conntrack_timestamp", "1")
	r.Sysctl(t, "net.netfilter.nf_conntrack_tcp_loose", "0") // SYNPROXY needs it
	r.Run(t, "sh", "-c", "nft -f - <<'EOF'\n"+extraRules+"\nEOF")
	client.Run(t, "ip", "route", "add", "10.0.2.0/24", "via", "10.0.1.254")
	client.Run(t, "ip", "route", "add", "fd00:2::/64", "via", "fd00:1::fe")
	server.Run(t, "ip", "route", "add", "10.0.1.0/24", "via", "10.0.2.254")
	server.Run(t, "ip", "route", "add", "fd00:1::/64", "via", "fd00:2::fe")
	l, c := listen(t, r, ListenConfig{Buffer: 8 << 20}), dial(t, r)
	busy := traffic(t, client, server)
	start := time.Now()
	clock := func() int64 { return int64(time.Since(start)) }

	n := cache.NewInternal(0)
	events := map[flow.Tuple][]flow.Attr{}
	var b Block
	for quiet := 0; quiet < 10; quiet++ { // until no event comes for half a second
		time.Sleep(50 * time.Millisecond)
		for more := true; more; more = b.N > 0 {
			if overrun, err := l.Read(&b); err != nil || overrun {
				t.Fatal(err, overrun)
			}
			if b.N > 0 {
				quiet = 0
			}
			for i := range b.N {
				apply(t, n, b.Kind[i], &b.Flow[i], clock())
				events[b.Flow[i].Orig] = append(events[b.Flow[i].Orig], b.Flow[i].Has)
			}
		}
	}
	var o cache.Outgoing
	for n.Next(&o) {
		n.Sent(o.Ref, 1)
		n.Acked(o.Ref, 1)
	}

	const quiet = 4 * time.Second
	time.Sleep(quiet)
	if _, err := exchange(busy, 5*time.Second); err != nil { // raises no event
		t.Fatal(err)
	}
	time.Sleep(quiet)

	n.BeginReconcile()
	got := map[string]int{}
	var carried flow.Attr // with a value
	if _, err := c.Dump(0, func(f *flow.Flow) error {
		got[fmt.Sprint(f.Orig.Proto, " ", f.Orig.Family)]++
		if f.Orig.Zone != 0 {
			got["zone"]++
		}
		carried |= cache.Differences(f, &flow.Flow{})
		ref, attributes := n.Compare(f)
		if changed, err := n.Reconcile(f, clock()); changed || err != nil || ref == 0 || attributes != 0 {
			var e cache.Entry
			n.Load(ref, &e)
			t.Errorf("%v: changed %v, error %v, different in %v\n events %v\n cached %+v\n dumped %+v",
				f.Orig, changed, err, attributes, events[f.Orig], e.Flow, *f)
		}
		idle := 2 * quiet
		if int(f.Orig.SrcPort) == busy.LocalAddr().(*net.UDPAddr).Port {
			idle = quiet
		}
		var e cache.Entry
		n.Load(ref, &e)
		ages := e.At(clock())
		if off := ages.Idle - idle; off < -2*time.Second || off > 3*time.Second {
			t.Errorf("%v: idle for %v, want about %v", f.Orig, ages.Idle, idle)
		}
		if off := int64(e.Flow.Timeout) - int64(f.Timeout); off < -2 || off > 2 {
			t.Errorf("%v: %d seconds left, the kernel has %d", f.Orig, e.Flow.Timeout, f.Timeout)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if found, _ := n.Stale(0, 100, make([]cache.Entry, 100)); found != 0 || n.Dirty() != 0 {
		t.Errorf("%d flows are only cached, %d are to be sent", found, n.Dirty())
	}
	for _, kind := range []string{"tcp ipv4", "tcp ipv6", "udp ipv4", "udp ipv6", "icmp ipv4", "icmpv6 ipv6",
		"unknown ipv4", "zone"} {
		if got[kind] == 0 {
			t.Errorf("no flow of %s among %v", kind, got)
		}
	}
	const want = flow.HasStatus | flow.HasReply | flow.HasMark | flow.HasLabels | flow.HasHelper | flow.HasTCPState |
		flow.HasTCPWScale | flow.HasSeqAdj | flow.HasSynproxy
	if carried&want != want {
		t.Errorf("no flow has %v", want&^carried)
	}
}

// apply puts an event into a cache.
func apply(t *testing.T, n *cache.Internal, kind Kind, f *flow.Flow, now int64) {
	t.Helper()
	var err error
	switch kind {
	case EventNew:
		err = n.New(f, now)
	case EventUpdate:
		err = n.Update(f, now)
	case EventDestroy:
		n.Destroy(f, now)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// traffic sends packets of every kind from the client to the server. Most flows are answered, some are not. It returns
// one of the connections.
func traffic(t *testing.T, client, server *nstest.NS) net.Conn {
	t.Helper()
	for _, s := range []struct{ network, addr string }{
		{"tcp4", "10.0.2.2:80"}, {"tcp4", "10.0.2.2:81"}, {"tcp4", "10.0.2.2:21"}, {"tcp6", "[fd00:2::2]:80"},
		{"udp4", "10.0.2.2:53"}, {"udp6", "[fd00:2::2]:53"}, {"udp4", "10.0.2.2:5001"}, {"udp4", "10.0.2.2:5002"},
		{"udp4", "10.0.2.2:5003"}, {"udp4", "10.0.2.2:5004"},
	} {
		echo(t, server, s.network, s.addr)
	}
	open := func(network, addr string) net.Conn {
		t.Helper()
		var conn net.Conn
		var err error
		client.Do(func() { conn, err = net.DialTimeout(network, addr, 5*time.Second) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dialed := map[string]net.Conn{}
	for _, addr := range []string{
		"tcp 10.0.1.254:8080", "tcp 10.0.2.2:81", "tcp 10.0.2.2:21", "tcp [fd00:1::fe]:8080", "tcp [fd00:2::2]:80",
		"udp 10.0.1.254:8053", "udp [fd00:1::fe]:8053", "udp 10.0.2.2:53", "udp [fd00:2::2]:53",
		"udp 10.0.2.2:5001", "udp 10.0.2.2:5002", "udp 10.0.2.2:5003", "udp 10.0.2.2:5004",
	} {
		conn := open(addr[:3], addr[4:])
		if _, err := exchange(conn, 5*time.Second); err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		dialed[addr] = conn
	}
	closed := open("tcp", "10.0.1.254:8080")
	if _, err := exchange(closed, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for i := range 20 { // to new ports, unanswered
		for _, host := range []string{"10.0.2.2", "fd00:2::2"} {
			if _, err := open("udp", net.JoinHostPort(host, fmt.Sprint(7000+i))).Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := open("ip4:253", "10.0.2.2").Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	client.Run(t, "ping", "-c", "1", "-W", "5", "10.0.2.2")
	client.Run(t, "ping", "-c", "1", "-W", "5", "fd00:2::2")
	time.Sleep(2500 * time.Millisecond) // a UDP flow that goes on for two seconds is a stream
	for _, addr := range slices.Sorted(maps.Keys(dialed)) {
		if _, err := exchange(dialed[addr], 5*time.Second); err != nil {
			t.Fatalf("%s, later: %v", addr, err)
		}
	}
	return dialed["udp 10.0.2.2:53"]
}
