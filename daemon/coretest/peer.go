package coretest

import (
	"net/netip"
	"testing"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/session"
	"ctsync/daemon/wire"
)

// Peer is a router that says what the test wants. Its methods must be called in the loop of the core, if that runs.
type Peer struct {
	c *core.Core
	l *Link
	s *session.FTFW
	n session.Ref

	addr netip.Addr
}

// NewPeer returns a peer at AddrB that has found c, whose one link is l.
func NewPeer(t testing.TB, c *core.Core, l *Link) *Peer {
	t.Helper()
	return NewPeerAt(t, c, l, AddrB)
}

// NewPeerAt returns a peer with an address of its own.
func NewPeerAt(t testing.TB, c *core.Core, l *Link, addr netip.Addr) *Peer {
	t.Helper()
	p := &Peer{c: c, l: l, addr: addr}
	p.s = session.New(session.Config{Seq: 1000}, session.Handler{
		Flow:        func(wire.Type, *flow.Flow) {},
		Expectation: func(wire.Type, *flow.Expectation) {},
		Acked:       func(session.Ref, uint32) {}, Lost: func(session.Ref, uint32) {},
		ResyncRequested: func() { p.s.BulkStarted(); p.s.BulkSent() }, // it has nothing
		PeerRestarted:   func() {}, Established: func() {}, ResyncSent: func() {}, BulkReceived: func() {},
	}, c.Now())
	for range 10 {
		p.exchange()
	}
	if !c.Answers() {
		t.Fatal("the core does not find the peer")
	}
	return p
}

// Say announces flows to the core.
func (p *Peer) Say(t wire.Type, flows ...flow.Flow) {
	for i := range flows {
		f := flows[i]
		p.n++
		p.s.SendFlow(p.c.Now(), t, &f, p.n)
	}
	p.exchange()
}

// exchange delivers what both have to say.
func (p *Peer) exchange() {
	p.s.Tick(p.c.Now())
	p.s.Finish()
	buf, ends := p.s.Output()
	at := 0
	for _, e := range ends {
		p.c.Receive(p.c.Links.Channels()[0], p.addr, buf[at:e])
		at = e
	}
	p.s.Reset()
	p.c.Transmit()
	p.c.Tick()
	p.l.Each(func(d []byte) { p.s.Receive(p.c.Now(), d) })
}
