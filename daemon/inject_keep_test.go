package daemon_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// stream is a UDP flow of this test's own packets inside a router: from 10.1.0.1:5000 to 10.1.0.2:6000, both its own.
type stream struct {
	r    *router
	a, b *net.UDPConn
}

var streamTuple = flow.Tuple{
	Family: flow.IPv4, Proto: flow.UDP, Src: flow.Addr{10, 1, 0, 1}, Dst: flow.Addr{10, 1, 0, 2}, SrcPort: 5000, DstPort: 6000,
}

// newStream prepares one; timeout is what the kernel gives to UDP flows, in seconds.
func (r *router) newStream(timeout string) *stream {
	r.t.Helper()
	r.useLabels() // a rule that needs conntrack turns it on
	for _, key := range []string{"udp_timeout", "udp_timeout_stream"} {
		r.ns.Sysctl(r.t, "net.netfilter.nf_conntrack_"+key, timeout)
	}
	s := &stream{r: r}
	r.ns.Run(r.t, "ip", "addr", "add", "10.1.0.1/32", "dev", "lo")
	r.ns.Run(r.t, "ip", "addr", "add", "10.1.0.2/32", "dev", "lo")
	var errA, errB error
	from, to := &net.UDPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 5000}, &net.UDPAddr{IP: net.IPv4(10, 1, 0, 2), Port: 6000}
	r.ns.Do(func() {
		s.a, errA = net.DialUDP("udp4", from, to)
		s.b, errB = net.DialUDP("udp4", to, from)
	})
	if errA != nil || errB != nil {
		r.t.Fatal(errA, errB)
	}
	r.t.Cleanup(func() { s.a.Close(); s.b.Close() })
	return s
}

// packet sends one packet in each direction.
func (s *stream) packet() {
	s.r.t.Helper()
	for _, c := range []*net.UDPConn{s.a, s.b} {
		if _, err := c.Write([]byte("x")); err != nil {
			s.r.t.Fatal(err)
		}
	}
}

// present reports whether r's kernel has the stream's flow.
func (s *stream) present(r *router) bool {
	_, ok := r.kernelFlows(isOurs)[streamTuple]
	return ok
}

// TestInjectKeepsAlive has a UDP flow that is busy at a for much longer than its timeout, which raises no event there:
// b's kernel keeps it for as long, and not longer.
func TestInjectKeepsAlive(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	s := a.newStream("3")
	b.start(injecting)
	a.start(options{})
	for began := time.Now(); time.Since(began) < 16*time.Second; time.Sleep(500 * time.Millisecond) {
		s.packet()
		if time.Since(began) > 3*time.Second && !s.present(b) {
			t.Fatalf("the flow is gone from b after %v", time.Since(began))
		}
	}
	i := b.injected()
	if i.Refreshed == 0 || i.Lost != 0 {
		t.Errorf("timers set again %d times, %d flows lost: %+v", i.Refreshed, i.Lost, i)
	}
	a.eventually(100*time.Second, "ends the flow", func() bool { return a.statistics().Internal.Active == 0 })
	b.kernelHas(0)
}

// TestInjectSilentPeer injects a flow whose peer dies: nobody sets its timer again.
func TestInjectSilentPeer(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	short, long := kind(plainUDP, 7000), kind(plainTCP, 7001)
	short.Timeout = 2
	peer.announce(b, []flow.Flow{short, long})
	b.kernelHas(2)
	peer.stop()
	b.eventually(40*time.Second, "forgets the short one", func() bool { return len(b.kernelFlows(isOurs)) == 1 })
	if _, ok := b.kernelFlows(isOurs)[long.Orig]; !ok {
		t.Error("the wrong one is left")
	}
}

// TestInjectBusy has the peer end a flow of which packets pass here too, which no event reports: it stays, and is ours.
func TestInjectBusy(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	s := b.newStream("100")
	busy, idle := kind(plainUDP, 7002), kind(plainUDP, 7003)
	busy.Orig = streamTuple
	busy.Reply = busy.Orig.Inverse()
	busy.Timeout, idle.Timeout = 600, 600
	peer.announce(b, []flow.Flow{busy, idle})
	b.kernelHas(2)
	s.packet()
	b.eventually(10*time.Second, "sees the packets", func() bool {
		return b.kernelFlows(isOurs)[streamTuple].Timeout <= 100
	})
	if n := b.statistics().Internal.Active; n != 0 {
		t.Fatalf("%d flows in the internal cache: this test needs one without events", n)
	}
	peer.say(b, wire.CTDestroy, busy, idle)
	b.kernelHas(1)
	b.eventually(10*time.Second, "takes it for its own", func() bool { return b.statistics().Internal.Active == 1 })
	if i := b.injected(); i.KeptBusy != 1 || i.Destroyed != 1 || i.Flows != 0 || !s.present(b) {
		t.Errorf("%+v, present %v", i, s.present(b))
	}
}

// TestInjectLost deletes flows of the peer behind the daemon's back: those that the peer still keeps alive come back.
func TestInjectLost(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, injecting)
	living, closed := translated(kind(snatTCP, 7004)), kind(plainTCP, 7005)
	closed.TCPState = flow.TCPTimeWait
	peer.announce(b, []flow.Flow{living, closed})
	first := b.kernelHas(2)
	b.delete([]flow.Flow{living, closed})
	b.eventually(20*time.Second, "puts it back", func() bool {
		return len(b.kernelFlows(isOurs)) == 1 && b.injected().Lost == 1
	})
	got := b.kernelFlows(isOurs)[living.Orig]
	if got.Reply != living.Reply || got.TCPState != flow.TCPEstablished || got.ID == first[living.Orig].ID {
		t.Errorf("put back: %+v", got)
	}
	if s := b.statistics(); s.Internal.Active != 0 || s.Session.Sent["destroy"] != 0 {
		t.Errorf("the peer was sent: %s", fmt.Sprint(s.Session.Sent))
	}
}
