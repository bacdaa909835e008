package outlook

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
	"ctsync/daemon/wire"
)

// pair is an Outlook on a core whose peer says what the test wants.
type pair struct {
	*Outlook
	peer *coretest.Peer
	log  *strings.Builder

	entries, limit int
	hooked         map[flow.Family]bool // nil: this kernel does not say
	master         bool
}

func newPair(t *testing.T) *pair {
	t.Helper()
	var in *loop.Inbox[*core.Core]
	c, l := coretest.NewOpen(coretest.Inbox(t), func(o *core.Options) { in = o.Inbox })
	p := &pair{peer: coretest.NewPeer(t, c, l), log: &strings.Builder{}, limit: 1000}
	p.hooked = map[flow.Family]bool{flow.IPv4: true, flow.IPv6: true}
	p.Outlook = &Outlook{
		Loop: in, Log: slog.New(slog.NewTextHandler(p.log, nil)),
		Virtual: func() ([]netip.Addr, bool) { return nil, false },
		Master:  func() bool { return p.master },
		Table:   func() (int, int) { return p.entries, p.limit },
		Hooked: func(f flow.Family) (bool, error) {
			if p.hooked == nil {
				return false, kernel.ErrNoHooks
			}
			return p.hooked[f], nil
		},
	}
	coretest.Run(t, c.Run)
	return p
}

// say lets the peer announce n flows from number from on.
func (p *pair) say(t *testing.T, from, n int) {
	t.Helper()
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = coretest.Flow(from + i)
	}
	if err := p.Loop.Do(context.Background(), func(*core.Core) { p.peer.Say(wire.CTNew, flows...) }); err != nil {
		t.Fatal(err)
	}
}

// sees looks once, and wants one warning with that text, or none.
func (p *pair) sees(t *testing.T, want string) {
	t.Helper()
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := p.Warnings()
	if want == "" && len(w) != 0 || want != "" && (len(w) != 1 || !strings.Contains(w[0], want)) {
		t.Errorf("warnings %q, want %q", w, want)
	}
}

func TestPeersTableDoesNotFit(t *testing.T) {
	p := newPair(t)
	p.say(t, 0, 800)
	p.entries = 200
	p.sees(t, "")
	p.entries = 201
	p.sees(t, "does not fit here: 800 flows of the peer and 201 of this router, but nf_conntrack_max is 1000")
	p.master = true
	p.sees(t, "")
	if got := p.log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "level=WARN") ||
		!strings.Contains(got, "no longer") {
		t.Errorf("log:\n%s", got)
	}
}

func TestTableIsNearlyFull(t *testing.T) {
	p := newPair(t)
	p.entries = 901
	p.sees(t, "the kernel's conntrack table is nearly full: 901 of 1000; raise net.netfilter.nf_conntrack_max")
	p.sees(t, "the kernel's conntrack table is nearly full")
	p.entries = 900
	p.sees(t, "")
	if got := p.log.String(); strings.Count(got, "\n") != 2 {
		t.Errorf("log:\n%s", got)
	}
}

func TestUnhooked(t *testing.T) {
	p := newPair(t)
	p.entries = 5
	p.hooked[flow.IPv6] = false
	p.sees(t, "") // nobody speaks IPv6
	p.hooked[flow.IPv4] = false
	p.sees(t, "conntrack is not hooked in here: no rule uses it")
	if p.Unhooked() == "" {
		t.Error("a takeover is not told")
	}
	p.hooked = nil
	p.sees(t, "")
	p.say(t, 0, 3)
	p.sees(t, "")
	p.entries = 0 // not even the datagrams of the session
	p.sees(t, "conntrack seems not to be hooked in here")
	p.Hooked = func(flow.Family) (bool, error) { return false, errors.New("no answer") }
	p.sees(t, "")
}

func TestPeerWatch(t *testing.T) {
	var now int64
	c, l := coretest.NewOpen(func(o *core.Options) { o.Now = func() int64 { return now } })
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	var w peerWatch
	w.hear(c, log)
	now = 1e9
	peer := coretest.NewPeer(t, c, l)
	for range 3 {
		now += 2e9
		w.hear(c, log)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "fell silent") {
		t.Fatalf("log:\n%s", got)
	}
	now += 10e9
	peer.Say(wire.CTNew)
	w.hear(c, log)
	w.hear(c, log)
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `the peer is back" peer=10.0.0.2 silent=16s`) {
		t.Errorf("log:\n%s", got)
	}
}
