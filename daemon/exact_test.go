package daemon_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// exactCase is a flow and what it shows.
type exactCase struct {
	name string
	f    flow.Flow
}

// exactTuple makes a tuple of two "address:port"; for ICMP give the id and type<<8|code.
func exactTuple(p flow.Proto, src, dst string) flow.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	t := flow.Tuple{
		Family: flow.IPv4, Proto: p, Src: flow.AddrFrom(s.Addr()), Dst: flow.AddrFrom(d.Addr()), SrcPort: s.Port(), DstPort: d.Port(),
	}
	if s.Addr().Is6() {
		t.Family = flow.IPv6
	}
	return t
}

// exactFlow is a flow as the kernel holds it after two packets in each direction.
func exactFlow(orig flow.Tuple) flow.Flow {
	f := flow.Flow{
		Orig: orig, Reply: orig.Inverse(), Has: flow.HasReply | flow.HasStatus | flow.HasTimeout, Timeout: 3000,
		Status: flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed,
	}
	switch orig.Proto {
	case flow.TCP:
		f.Has |= flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags
		f.TCPState, f.TCPWScale = flow.TCPEstablished, [2]uint8{7, 9}
		f.TCPFlags = [2]uint8{flow.TCPFlagWindowScale | flow.TCPFlagSackPerm, flow.TCPFlagWindowScale | flow.TCPFlagSackPerm}
	case flow.SCTP:
		f.Has |= flow.HasSCTP
		f.SCTPState, f.SCTPVTag = 4, [2]uint32{0x01020304, 0xf1f2f3f4}
	}
	return f
}

// exactNAT makes replies go from src to dst.
func exactNAT(orig flow.Tuple, src, dst string) flow.Flow {
	f := exactFlow(orig)
	f.Reply = exactTuple(orig.Proto, src, dst)
	if orig.Proto.IsICMP() {
		f.Reply.DstPort = orig.Inverse().DstPort
	}
	return f
}

// translatedFlows are source and destination NAT of every protocol that has ports, and of ICMP, in both families.
func translatedFlows() (list []exactCase) {
	for i, p := range []flow.Proto{flow.TCP, flow.UDP, flow.SCTP} {
		v4 := func(n int) flow.Tuple { return exactTuple(p, fmt.Sprintf("10.1.1.1:%d", 2000+10*i+n), "10.2.1.1:80") }
		v6 := func(n int) flow.Tuple { return exactTuple(p, fmt.Sprintf("[fd01::1]:%d", 2000+10*i+n), "[fd02::1]:80") }
		list = append(list,
			exactCase{fmt.Sprintf("protocol %d source NAT", p), exactNAT(v4(0), "10.2.1.1:80", "192.0.2.1:40000")},
			exactCase{fmt.Sprintf("protocol %d destination NAT", p),
				exactNAT(v4(1), "10.3.0.1:8080", fmt.Sprintf("10.1.1.1:%d", 2001+10*i))},
			exactCase{fmt.Sprintf("protocol %d NAT of both", p), exactNAT(v4(2), "10.3.0.1:8080", "192.0.2.1:40002")},
			exactCase{fmt.Sprintf("protocol %d source NAT, IPv6", p), exactNAT(v6(0), "[fd02::1]:80", "[2001:db8::1]:40000")},
			exactCase{fmt.Sprintf("protocol %d NAT of both, IPv6", p), exactNAT(v6(1), "[fd03::1]:8080", "[2001:db8::1]:40001")},
		)
	}
	const echo, echo6 = 8 << 8, 128 << 8
	v4 := func(id int) flow.Tuple {
		return exactTuple(flow.ICMP, fmt.Sprintf("10.1.1.1:%d", id), fmt.Sprintf("10.2.1.1:%d", echo))
	}
	v6 := func(id int) flow.Tuple {
		return exactTuple(flow.ICMPv6, fmt.Sprintf("[fd01::1]:%d", id), fmt.Sprintf("[fd02::1]:%d", echo6))
	}
	return append(list,
		exactCase{"ICMP source NAT with another id", exactNAT(v4(1), "10.2.1.1:777", "192.0.2.1:0")},
		exactCase{"ICMP destination NAT", exactNAT(v4(2), "10.3.0.1:2", "10.1.1.1:0")},
		exactCase{"ICMPv6 source NAT with another id", exactNAT(v6(3), "[fd02::1]:778", "[2001:db8::1]:0")},
		exactCase{"ICMPv6 destination NAT", exactNAT(v6(4), "[fd03::1]:4", "[fd01::1]:0")},
	)
}

// attributedFlows have each attribute that protocol v1 carries.
func attributedFlows() (list []exactCase) {
	port := 3000
	add := func(name string, proto flow.Proto, v6 bool, change func(*flow.Flow)) flow.Flow {
		port++
		t := exactTuple(proto, fmt.Sprintf("10.1.2.1:%d", port), "10.2.2.1:21")
		if v6 {
			t = exactTuple(proto, fmt.Sprintf("[fd01::2]:%d", port), "[fd02::2]:69")
		}
		f := exactFlow(t)
		change(&f)
		list = append(list, exactCase{name, f})
		return f
	}
	zone := func(z uint16) func(*flow.Flow) {
		return func(f *flow.Flow) { f.Orig.Zone, f.Reply.Zone = z, z }
	}
	helper := func(name string) func(*flow.Flow) {
		return func(f *flow.Flow) {
			copy(f.Helper[:], name)
			f.Has |= flow.HasHelper
			f.Status |= flow.StatusHelper
		}
	}
	add("mark", flow.TCP, false, func(f *flow.Flow) { f.Mark, f.Has = 0xfedcba98, f.Has|flow.HasMark })
	add("zone", flow.UDP, false, zone(7))
	add("highest zone, IPv6", flow.TCP, true, zone(65535))
	add("labels", flow.TCP, false, func(f *flow.Flow) {
		f.Labels, f.Has = [16]byte{0x20, 4: 0x02, 15: 0x80}, f.Has|flow.HasLabels
	})
	add("window scale of 14 and 0", flow.TCP, true, func(f *flow.Flow) { f.TCPWScale = [2]uint8{14, 0} })
	add("sequence adjustment", flow.TCP, false, func(f *flow.Flow) {
		f.Has |= flow.HasSeqAdj
		f.Status |= flow.StatusSeqAdjust
		f.SeqAdj[0] = flow.SeqAdj{CorrectionPos: 1000, OffsetAfter: 11}
		f.SeqAdj[1] = flow.SeqAdj{CorrectionPos: 0xfffffff0, OffsetBefore: 0xffffffff, OffsetAfter: 0x80000000}
	})
	add("synproxy", flow.TCP, false, func(f *flow.Flow) {
		f.Has |= flow.HasSynproxy
		f.Synproxy = flow.Synproxy{ISN: 0x11223344, ITS: 0x55667788, TSOff: 0xa1a2a3a4}
	})
	add("helper, IPv6", flow.UDP, true, helper("tftp"))
	master := add("helper", flow.TCP, false, helper("ftp"))
	add("expected by another flow", flow.TCP, false, func(f *flow.Flow) {
		f.Orig = exactTuple(flow.TCP, "10.2.2.1:20", "10.1.2.1:3999")
		f.Reply, f.Master = f.Orig.Inverse(), master.Orig
		f.Has |= flow.HasMaster
		f.Status |= flow.StatusExpected
	})
	return list
}

// TestExact follows every attribute that protocol v1 carries from the kernel of one router, by event, wire and cache,
// into the kernel of the other, which must then say the same of each flow.
func TestExact(t *testing.T) {
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.useLabels()
		r.start(options{extra: "tcp-window-tracking = true\n"})
		r.kern.SetLiberal(false)
	}
	list := append(translatedFlows(), attributedFlows()...)
	for i := range list {
		errs := make([]unix.Errno, 1)
		if err := a.kern.Create([]flow.Flow{list[i].f}, errs); err != nil || errs[0] != 0 {
			t.Fatalf("%s: create: %v, %v", list[i].name, err, errs[0])
		}
	}
	same(t, a, b, len(list), 20*time.Second)
	want := a.kernelFlows(isExact)
	outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(list))})
	got := b.kernelFlows(isExact)
	b.nothingToRepair()
	for _, l := range list {
		w, was := want[l.f.Orig]
		g, is := got[l.f.Orig]
		if !was || !is {
			t.Errorf("%s: in the kernel of a %v, of b %v", l.name, was, is)
			continue
		}
		if off := int64(w.Timeout) - int64(g.Timeout); off < -1 || off > 30 {
			t.Errorf("%s: timeout %d, had %d", l.name, g.Timeout, w.Timeout)
		}
		for _, f := range []*flow.Flow{&w, &g} { // what a router says of its own copy alone
			f.ID, f.Use, f.Timeout = 0, 0, 0
		}
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%s (-a +b):\n%s", l.name, diff)
		}
		if l.f.Reply != g.Reply {
			t.Errorf("%s: reply %+v, want %+v", l.name, g.Reply, l.f.Reply)
		}
	}
}

// nothingToRepair compares r's internal cache with its kernel: what a commit has put into one it has put into the
// other.
func (r *router) nothingToRepair() {
	r.t.Helper()
	before := r.statistics().Kernel
	r.ctsync("resync")
	if k := r.statistics().Kernel; k.Repairs == before.Repairs || k.Repaired != before.Repaired {
		r.t.Errorf("comparison with the kernel of %s: %d made, %d differences", r.name, k.Repairs-before.Repairs, k.Repaired-before.Repaired)
	}
}

func isExact(f *flow.Flow) bool {
	return isOurs(f) || f.Orig.Src == (flow.Addr{10, 2, 2, 1})
}

// TestWindowTrackingSwitchedOn: window scales that were left out when a flow was announced are sent when they matter,
// on both routers, whichever learns of it first.
func TestWindowTrackingSwitchedOn(t *testing.T) {
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.start(options{})
		r.kern.SetLiberal(false)
	}
	var flows []flow.Flow
	for _, l := range attributedFlows() {
		if l.f.Has.Is(flow.HasTCPWScale) && l.f.TCPWScale != ([2]uint8{}) {
			flows = append(flows, l.f)
		}
	}
	a.create(flows)
	scaled := func() (n int) {
		for _, e := range b.entries("show", "cache", "external") {
			if e.JSON.TCPWScale != nil {
				n++
			}
		}
		return n
	}
	b.eventually(10*time.Second, "has the flows", func() bool {
		return b.statistics().External.Active == uint64(len(flows))
	})
	if n := scaled(); n != 0 || len(flows) == 0 {
		t.Fatalf("%d of %d flows have window scales that nobody needs", n, len(flows))
	}
	for _, r := range []*router{b, a} {
		r.reload("tcp-window-tracking = true", fmt.Sprintf("[interface.sync0]\nport = 3780\npeer = %q\n", r.peer))
	}
	b.eventually(20*time.Second, "has the window scales", func() bool { return scaled() == len(flows) })
	b.takeover()
	for _, f := range b.kernelFlows(isExact) {
		if (f.TCPFlags[0]|f.TCPFlags[1])&flow.TCPFlagBeLiberal != 0 {
			t.Errorf("%s: TCP flags %x, but its windows are known", flowText(&f), f.TCPFlags)
		}
	}
}

// TestBeLiberalStays: the kernel was met without the window scales of these flows, so the scales of zero that it
// reports are none, and no router may hold the flows to them after however many takeovers.
func TestBeLiberalStays(t *testing.T) {
	const n = 20
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.start(options{extra: "tcp-window-tracking = true\n"})
	}
	a.create(testFlows(n))
	for _, pair := range [][2]*router{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		same(t, from, to, n, 20*time.Second)
		to.flushKernel()
		to.eventually(10*time.Second, "sees its kernel empty", func() bool { return to.statistics().Internal.Active == 0 })
		outcomes(t, to.takeover(), control.CommitResult{Created: n})
		for _, f := range to.kernelFlows(isTestFlow) {
			if f.TCPFlags[0]&f.TCPFlags[1]&flow.TCPFlagBeLiberal == 0 {
				t.Errorf("on %s: %s: TCP flags %x, scales %d", to.name, flowText(&f), f.TCPFlags, f.TCPWScale)
			}
		}
	}
}
