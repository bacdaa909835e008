package daemon_test

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// scripted is a peer that says what a test wants: flows that no kernel of this machine would hold, silence, garbage. It
// speaks with the session of package session over a plain socket.
type scripted struct {
	t     *testing.T
	conn  *net.UDPConn
	to    netip.AddrPort
	start time.Time
	done  chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	session *session.FTFW
	table   []flow.Flow // what a bulk answers with
	resyncs int         // how often the whole table was asked for
	wanted  bool        // it is being asked for now
}

// newScripted takes the place of r's daemon.
func newScripted(r *router) *scripted {
	r.t.Helper()
	s := &scripted{t: r.t, to: netip.AddrPortFrom(r.peer, 3780), start: time.Now(), done: make(chan struct{})}
	var err error
	r.ns.Do(func() {
		s.conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.addr, 3780)))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s.session = session.New(session.Config{Seq: uint32(s.start.Unix())}, session.Handler{
		Flow: func(wire.Type, *flow.Flow) {}, Acked: func(session.Ref, uint32) {}, Lost: func(session.Ref, uint32) {},
		ResyncRequested: func() { s.resyncs++; s.wanted = true },
	}, 0)
	s.wg.Go(s.read)
	s.wg.Go(s.write)
	r.t.Cleanup(s.stop)
	return s
}

func (s *scripted) now() int64 { return int64(time.Since(s.start)) }

func (s *scripted) read() {
	b := make([]byte, 65536)
	for {
		n, _, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.session.Receive(s.now(), b[:n])
		s.mu.Unlock()
	}
}

func (s *scripted) write() {
	for {
		s.mu.Lock()
		if s.wanted && s.session.Room() > len(s.table) {
			s.wanted = false
			s.session.BulkStarted()
			s.sendFlows(wire.CTNew, s.table)
			s.session.BulkSent()
		}
		s.session.Tick(s.now())
		s.flush()
		s.mu.Unlock()
		select {
		case <-s.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *scripted) sendFlows(typ wire.Type, flows []flow.Flow) {
	for i := range flows {
		s.session.SendFlow(s.now(), typ, &flows[i], session.Ref(i+1))
	}
	s.session.Finish()
}

func (s *scripted) flush() {
	buf, ends := s.session.Output()
	from := 0
	for _, end := range ends {
		_, _ = s.conn.WriteToUDPAddrPort(buf[from:end], s.to) // the protocol repeats what is lost
		from = end
	}
	s.session.Reset()
}

// say says flows, without making them the peer's table.
func (s *scripted) say(r *router, typ wire.Type, flows ...flow.Flow) {
	s.t.Helper()
	r.eventually(10*time.Second, "hears its peer", func() bool { return r.status().Established })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendFlows(typ, flows)
	s.flush()
}

// announce makes flows the peer's table and sends them, and waits until r's external cache, or its kernel where there
// is none, has them.
func (s *scripted) announce(r *router, flows []flow.Flow) {
	s.t.Helper()
	r.eventually(10*time.Second, "hears its peer", func() bool { return r.status().Established })
	s.mu.Lock()
	s.table = flows
	s.sendFlows(wire.CTNew, flows)
	s.flush()
	s.mu.Unlock()
	r.eventually(10*time.Second, "has the flows", func() bool {
		st := r.statistics()
		if st.Inject != nil {
			return st.Inject.Flows == uint64(len(flows)) && st.Inject.Waiting == 0
		}
		return st.External.Active == uint64(len(flows))
	})
}

// expect says expectations.
func (s *scripted) expect(r *router, list []flow.Expectation) {
	s.t.Helper()
	s.mu.Lock()
	for i := range list {
		s.session.SendExpectation(s.now(), wire.ExpNew, &list[i], session.Ref(1<<31+i))
	}
	s.session.Finish()
	s.flush()
	s.mu.Unlock()
	r.eventually(10*time.Second, "has the expectations", func() bool {
		x := r.statistics().Expect
		return x != nil && x.External.Active == uint64(len(list))
	})
}

// asked returns how often the whole table was asked for.
func (s *scripted) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resyncs
}

// stop falls silent. The socket is closed.
func (s *scripted) stop() {
	select {
	case <-s.done:
		return
	default:
	}
	close(s.done)
	s.conn.Close()
	s.wg.Wait()
}

// TestResetWithoutPeer keeps the external cache: it may be all that is left of a dead peer's connections.
func TestResetWithoutPeer(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, options{})
	flows := mixture()
	peer.announce(b, flows)
	peer.stop()
	b.eventually(10*time.Second, "misses its peer", func() bool {
		return strings.Contains(strings.Join(b.status().Why, "\n"), "silent")
	})
	out, err := b.ns.Exec(t.Context(), filepath.Join(binDir, "ctsync"), "--socket", b.socket(), "reset",
		"external-cache").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the peer does not answer") {
		t.Errorf("reset without a peer: %v: %s", err, out)
	}
	if n := b.statistics().External.Active; n != uint64(len(flows)) {
		t.Errorf("%d flows are left of %d", n, len(flows))
	}
}
