package daemon_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/wire"
)

// forge returns what sends datagrams to another router in the name of r: from its address, as anybody on the network
// could.
func (r *router) forge(to *router) func(datagram []byte) {
	r.t.Helper()
	to.forged = true
	var conn net.Conn
	var err error
	r.ns.Do(func() { conn, err = net.Dial("udp", fmt.Sprintf("%v:3780", to.addr)) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return func(d []byte) { _, _ = conn.Write(d) }
}

// TestForgedMessage: one ALIVE of 8 bytes with the peer's next number makes a message of the peer be lost. It is
// noticed, said, and repaired.
func TestForgedMessage(t *testing.T) {
	const n = 200
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.inStep(20 * time.Second)
	b.inStep(20 * time.Second)
	say := b.forge(a)
	flows := testFlows(n)
	a.eventually(30*time.Second, "notices a forged message", func() bool {
		say(wire.AppendControl(nil, wire.Alive, a.statistics().Session.PeerSequence+1, 0, 0))
		if len(flows) > 0 {
			b.create(flows[:1])
			flows = flows[1:]
		}
		time.Sleep(50 * time.Millisecond)
		return a.statistics().Tracking.Contradicted > 0
	})
	b.create(flows)
	if !strings.Contains(a.log.since(), "another sender speaks with the peer's numbers") {
		t.Error("the log says nothing")
	}
	same(t, b, a, n, 20*time.Second)
	a.inStep(60 * time.Second)
}

// TestForgedHellos: a flood of forged hellos, in the peer's name and from everywhere, does not fill the log.
func TestForgedHellos(t *testing.T) {
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.inStep(20 * time.Second)
	say := b.forge(a)
	before := strings.Count(a.log.String(), "\n")
	sent := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); sent++ {
		say(wire.AppendControl(nil, wire.Alive|wire.Hello, uint32(sent)*10_000, 0, 0))
	}
	lines := strings.Count(a.log.String(), "\n") - before
	restarts := a.statistics().Session.PeerRestarts
	t.Logf("%d forged hellos, %d taken for a start, %d lines", sent, restarts, lines)
	if restarts < 1000 {
		t.Errorf("the flood did not arrive: %d starts", restarts)
	}
	if lines > 12 {
		t.Errorf("%d lines in 5 s:\n%s", lines, a.log.since())
	}
	a.inStep(60 * time.Second)
	b.inStep(60 * time.Second)
}
