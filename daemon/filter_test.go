package daemon

import (
	"context"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/config"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// udpFlow makes a flow of two "address:port".
func udpFlow(src, dst string) flow.Flow {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.UDP, Src: flow.AddrFrom(s.Addr()), Dst: flow.AddrFrom(d.Addr()), SrcPort: s.Port(), DstPort: d.Port(),
		},
		Has: flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID, Status: flow.StatusConfirmed, Timeout: 30, ID: 7,
	}
	if s.Addr().Is6() {
		f.Orig.Family = flow.IPv6
	}
	f.Reply = f.Orig.Inverse()
	return f
}

func TestNewFilter(t *testing.T) {
	unicast := config.Default()
	unicast.McastGroup = netip.Addr{}
	unicast.Interfaces = []config.Interface{
		{Name: "sync0", Port: 3780, Peer: netip.MustParseAddr("10.255.0.2")},
		{Name: "sync1", Port: 3781, Peer: netip.MustParseAddr("10.254.0.2")},
	}
	unicast.IgnoreAddress = prefixes("192.0.2.0/24", "2001:db8::1/128")
	protocols := config.Default()
	protocols.Interfaces = []config.Interface{{Name: "sync0", Port: 3780}, {Name: "sync1", Port: 3781}}
	protocols.AcceptProtocol = []flow.Proto{flow.TCP, flow.ICMPv6}
	local := map[string]netip.Addr{"sync0": netip.MustParseAddr("10.255.0.1"), "sync1": netip.MustParseAddr("10.254.0.1"), "gone0": netip.MustParseAddr("10.253.0.1")}
	own := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::2")}
	for _, tt := range []struct {
		name     string
		cfg      *config.Config
		proto    flow.Proto
		src, dst string
		want     bool
	}{
		{"sync channel to the peer", unicast, flow.UDP, "10.255.0.1:5", "10.255.0.2:3780", false},
		{"sync channel to us", unicast, flow.UDP, "10.255.0.2:5", "10.255.0.1:3780", false},
		{"second link to the peer", unicast, flow.UDP, "10.254.0.1:5", "10.254.0.2:3781", false},
		{"second link to us", unicast, flow.UDP, "10.254.0.2:5", "10.254.0.1:3781", false},
		{"second link, port of the first", unicast, flow.UDP, "10.254.0.1:5", "10.254.0.2:3780", true},
		{"link that is no longer configured", unicast, flow.UDP, "10.253.0.2:5", "10.253.0.1:3780", true},
		{"second link to the group", protocols, flow.UDP, "10.254.0.1:5", "225.0.0.50:3781", false},
		{"sync channel's port elsewhere", unicast, flow.UDP, "10.255.0.1:5", "10.255.0.3:3780", true},
		{"sync channel, other protocol", unicast, flow.TCP, "10.255.0.1:5", "10.255.0.2:3780", true},
		{"sync channel to the group", protocols, flow.UDP, "10.255.0.1:5", "225.0.0.50:3780", false},
		{"loopback", unicast, flow.TCP, "127.0.0.1:5", "127.0.0.1:80", false},
		{"loopback v6", unicast, flow.TCP, "[::1]:5", "[::1]:80", false},
		{"beside it", unicast, flow.TCP, "[fd00::1]:5", "[::2]:80", true},
		{"ignored source", unicast, flow.TCP, "192.0.2.9:5", "10.0.0.1:80", false},
		{"ignored destination", unicast, flow.TCP, "[fd00::1]:5", "[2001:db8::1]:80", false},
		{"own destination", unicast, flow.TCP, "10.0.0.1:5", "203.0.113.1:80", false},
		{"own source v6", unicast, flow.TCP, "[2001:db8::2]:5", "[fd00::1]:80", false},
		{"protocol", protocols, flow.TCP, "10.0.0.1:5", "10.0.0.2:80", true},
		{"other protocol", protocols, flow.SCTP, "10.0.0.1:5", "10.0.0.2:80", false},
	} {
		f := newFilter(tt.cfg, local, own)
		orig := udpFlow(tt.src, tt.dst).Orig
		orig.Proto = tt.proto
		if got := f.Pass(&orig); got != tt.want {
			t.Errorf("%s: Pass = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func eventsOf(kind ctnetlink.Kind, flows ...flow.Flow) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	for i, f := range flows {
		b.Kind[i], b.Flow[i] = kind, f
	}
	b.N = len(flows)
	return b
}

// TestFilterChangesUnderway follows flows that a filter lets through and then not any more: what the peer was told of
// ends there, whether the kernel says so first or the filter; what it was not told of is never mentioned.
func TestFilterChangesUnderway(t *testing.T) {
	p := newTestPair(t)
	known, ended, pending, passing := udpFlow("10.0.0.1:1", "192.0.2.1:1"), udpFlow("10.0.0.1:2", "192.0.2.1:2"),
		udpFlow("10.0.0.1:3", "192.0.2.1:3"), udpFlow("10.0.0.1:4", "10.0.0.2:4")
	p.a.applyEvents(eventsOf(ctnetlink.EventNew, known, ended, passing))
	p.exchange()
	p.exchange()
	if n := p.b.external.Len(); n != 3 {
		t.Fatalf("the peer has %d flows, want 3", n)
	}
	p.a.applyEvents(eventsOf(ctnetlink.EventNew, pending)) // dirty when the filter changes
	p.a.applyEvents(eventsOf(ctnetlink.EventUpdate, known))
	p.a.filter = flow.NewFilter(flow.Rules{Ignore: prefixes("192.0.2.0/24")})
	sent := p.a.session.Stats().Sent
	ended.Packets, ended.Bytes = [2]uint64{5, 5}, [2]uint64{500, 500}
	p.a.applyEvents(eventsOf(ctnetlink.EventNew, known, pending))
	p.a.applyEvents(eventsOf(ctnetlink.EventDestroy, ended))
	p.exchange()
	p.exchange()
	if now := p.a.session.Stats().Sent; now.New != sent.New || now.Update != sent.Update || now.Destroy != sent.Destroy+1 {
		t.Errorf("sent %+v, before %+v: want one DESTROY more", now, sent)
	}
	if n := p.b.external.Len(); n != 2 {
		t.Errorf("the peer has %d flows after the kernel ended one, want 2", n)
	}
	entries := make([]cache.Entry, 0, 4)
	p.a.internal.Scan(0, 10, func(e *cache.Entry) bool { entries = append(entries, *e); return true })
	if left := p.a.evictStale(entries); left != 1 || entries[0].Flow.Orig != passing.Orig {
		t.Errorf("%d entries are left, the first %+v", left, entries[0].Flow.Orig)
	}
	for range 3 {
		p.exchange()
	}
	if p.a.internal.Len() != 1 || p.b.external.Len() != 1 {
		t.Errorf("internal %d, external %d, want the one that passes", p.a.internal.Len(), p.b.external.Len())
	}
	if now := p.a.session.Stats().Sent; now.New != sent.New || now.Update != sent.Update || now.Destroy != sent.Destroy+2 {
		t.Errorf("sent %+v, before %+v: want two DESTROYs more", now, sent)
	}
	if c := p.a.counts; c.filtered != 3 || c.evicted != 2 || c.trafficPackets != 0 {
		t.Errorf("filtered %d, evicted %d, traffic of %d packets", c.filtered, c.evicted, c.trafficPackets)
	}
}

// TestFilterComparesWithKernel: a dump brings in nothing that does not pass.
func TestFilterComparesWithKernel(t *testing.T) {
	c, _ := newTestCore()
	c.filter = flow.NewFilter(flow.Rules{Ignore: prefixes("192.0.2.0/24")})
	c.internal.BeginReconcile()
	c.reconcileSlice([]flow.Flow{udpFlow("10.0.0.1:1", "192.0.2.1:1"), udpFlow("10.0.0.1:4", "10.0.0.2:4")})
	if n := c.internal.Len(); n != 1 {
		t.Errorf("%d flows, want 1", n)
	}
}

// hasAll is a kernel that has every flow it is asked for.
type hasAll struct {
	kernel
	asked []flow.Tuple
}

func (k *hasAll) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	for i := range keys {
		k.asked = append(k.asked, keys[i].Orig)
		out[i], errs[i] = keys[i], 0
	}
	return nil
}

// TestFilterEndsWhatAFlushHid: readers see nothing of a flow that was flushed, but the peer still knows of it.
func TestFilterEndsWhatAFlushHid(t *testing.T) {
	p := newTestPair(t)
	ignored, passing := udpFlow("10.0.0.1:1", "192.0.2.1:1"), udpFlow("10.0.0.1:4", "10.0.0.2:4")
	p.a.applyEvents(eventsOf(ctnetlink.EventNew, ignored, passing))
	p.exchange()
	p.a.internal.Flush()
	p.a.filter = flow.NewFilter(flow.Rules{Ignore: prefixes("192.0.2.0/24")})
	p.a.internal.BeginReconcile()

	p.a.in = testInbox(t)
	d, k := &Daemon{in: p.a.in, core: p.a}, &hasAll{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.a.run(ctx) }()
	err := d.reconcileStale(ctx, k)
	cancel()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	if len(k.asked) != 1 || k.asked[0] != passing.Orig {
		t.Errorf("the kernel was asked for %v", k.asked)
	}
	for range 3 {
		p.exchange()
	}
	if p.a.internal.Len() != 1 || p.b.external.Len() != 1 || p.a.counts.evicted != 1 {
		t.Errorf("internal %d, external %d, evicted %d, want 1 each", p.a.internal.Len(), p.b.external.Len(), p.a.counts.evicted)
	}
}

// TestFilterDoesNotLookAtThePeer: what the peer tells is kept, as with conntrackd, and shown, and left out of a commit.
func TestFilterDoesNotLookAtThePeer(t *testing.T) {
	c, _ := newTestCore()
	c.filter = flow.NewFilter(flow.Rules{Ignore: prefixes("192.0.2.0/24")})
	ignored, passing := udpFlow("10.0.0.1:1", "192.0.2.1:1"), udpFlow("10.0.0.1:4", "10.0.0.2:4")
	c.peerFlow(wire.CTNew, &ignored, c.now())
	c.peerFlow(wire.CTNew, &passing, c.now())
	var plan []planned
	c.external.Scan(0, 10, func(e *cache.Entry) bool { plan = append(plan, planned(e.Ref)); return true })
	m := &commitment{}
	m.result.Total = uint64(len(plan))
	m.load(c, plan)
	if len(plan) != 2 || len(m.flows) != 1 || m.flows[0].Orig != passing.Orig || m.result.Filtered != 1 {
		t.Errorf("%d in the cache, %d to commit, %d filtered", len(plan), len(m.flows), m.result.Filtered)
	}
}
