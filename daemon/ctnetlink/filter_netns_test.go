package ctnetlink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// TestFilterEvents gives one socket a filter and another none: of the NEW and UPDATE events the kernel passes on just
// those that the filter lets pass in user space, of the DESTROY events all.
func TestFilterEvents(t *testing.T) {
	ns := nstest.New(t)
	useLabels(t, ns)
	l, all := listen(t, ns, ListenConfig{Buffer: 8 << 20}), listen(t, ns, ListenConfig{Buffer: 8 << 20})
	c := dial(t, ns)
	fs := flows(samples())
	rules := []flow.Rules{
		{},
		{Accept: []flow.Proto{flow.TCP, flow.ICMPv6}},
		{Accept: []flow.Proto{flow.SCTP, flow.UDP, flow.UDPLite, flow.GRE, flow.ICMP}, Ignore: []netip.Prefix{netip.MustParsePrefix("fd02::/64")}},
		{Endpoints: []flow.Endpoint{{Proto: flow.UDP, Addr: netip.MustParseAddrPort("10.2.0.1:53")}, {Proto: flow.TCP, Addr: netip.MustParseAddrPort("[fd02::1]:80")}}},
		{Ignore: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		{Ignore: []netip.Prefix{netip.MustParsePrefix("::/0")}},
		{Status: flow.StatusAssured}, {Status: flow.StatusSeenReply}, {IgnoreProto: []flow.Proto{flow.TCP}},
		{TCPStates: []uint8{flow.TCPEstablished}}, {TCPStates: []uint8{flow.TCPSynSent, flow.TCPTimeWait, flow.TCPClose}},
		{AcceptAt: []flow.Place{{Net: netip.MustParsePrefix("10.1.0.1/32"), Sides: flow.OrigSrc}}},
		{AcceptAt: []flow.Place{{Net: netip.MustParsePrefix("10.0.0.0/8"), Sides: flow.ReplySides}}},
		{IgnoreAt: []flow.Place{{Net: netip.MustParsePrefix("10.2.0.0/16"), Sides: flow.ReplySrc}}},
		{IgnoreAt: []flow.Place{{Net: netip.MustParsePrefix("fd01::/16"), Sides: flow.ReplyDst}}},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 { // prefixes around the addresses of the samples
		var r flow.Rules
		for range 1 + random.IntN(5) {
			orig := &fs[random.IntN(len(fs))].Orig
			a := []flow.Addr{orig.Src, orig.Dst}[random.IntN(2)].IP(orig.Family)
			r.Ignore = append(r.Ignore, netip.PrefixFrom(a, a.BitLen()-random.IntN(20)))
		}
		rules = append(rules, r)
	}
	changes := make([]flow.Flow, len(fs))
	for i := range fs {
		changes[i] = flow.Flow{Orig: fs[i].Orig, Has: flow.HasMark, Mark: uint32(i) + 1}
	}
	for _, r := range rules {
		f := flow.NewFilter(r)
		if err := l.Filter(f); err != nil {
			t.Fatal(err)
		}
		if got := l.Stats().Cover; got != CoverWhole {
			t.Fatalf("cover %v", got)
		}
		mustApply(t, c.Create, fs)
		mustApply(t, c.Update, changes)
		mustApply(t, c.Delete, fs)
		var want []event
		for _, e := range read(t, all, 3*len(fs)) {
			if e.Kind == EventDestroy || f.Pass(&e.Flow) {
				want = append(want, e)
			}
		}
		if diff := cmp.Diff(want, read(t, l, len(want))); diff != "" {
			t.Fatalf("rules %+v (-user space +kernel)\n%s", r, diff)
		}
		if n := waiting(t, l); n {
			t.Fatalf("rules %+v: more events than expected", r)
		}
	}
}

// waiting reports whether the socket has something to read.
func waiting(t *testing.T, l *Listener) bool {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if err == nil {
			return n > 0
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// TestFilterAndIgnore: what holds back our own events stays when the filter changes, and the reverse.
func TestFilterAndIgnore(t *testing.T) {
	ns := nstest.New(t)
	l := listen(t, ns, ListenConfig{})
	own, other := dial(t, ns), dial(t, ns)
	pass := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	ignored := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.3.0.1:80"))
	both := []flow.Flow{ignored, pass}
	only := func(kind Kind, f *flow.Flow) {
		t.Helper()
		if e := read(t, l, 1)[0]; e.Kind != kind || e.Flow.Orig != f.Orig {
			t.Fatalf("%v %v, want %v %v", e.Kind, e.Flow.Orig, kind, f.Orig)
		}
	}
	if err := l.Ignore(own.PortID()); err != nil {
		t.Fatal(err)
	}
	rules := flow.Rules{Ignore: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")}}
	if err := l.Filter(flow.NewFilter(rules)); err != nil {
		t.Fatal(err)
	}
	mustApply(t, own.Create, both)
	mustApply(t, own.Delete, both)
	mustApply(t, other.Create, both)
	only(EventNew, &pass)
	mustApply(t, other.Delete, both[:1])
	only(EventDestroy, &ignored)
	if err := l.Ignore(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, own.Delete, both[1:])
	only(EventDestroy, &pass)
	mustApply(t, own.Create, both)
	only(EventNew, &pass)
	if err := l.Filter(flow.Filter{}); err != nil {
		t.Fatal(err)
	}
	mustApply(t, own.Delete, both[:1])
	only(EventDestroy, &ignored)
	mustApply(t, own.Create, both[:1])
	only(EventNew, &ignored)
}

// TestFilterTooLarge: the protocols are still the kernel's, and what the program of before dropped passes.
func TestFilterTooLarge(t *testing.T) {
	ns := nstest.New(t)
	l := listen(t, ns, ListenConfig{})
	c := dial(t, ns)
	udp := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	tcp := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	r := flow.Rules{Accept: []flow.Proto{flow.UDP}, Ignore: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if err := l.Filter(flow.NewFilter(r)); err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		r.Ignore = append(r.Ignore, netip.MustParsePrefix(fmt.Sprintf("192.%d.%d.0/32", i>>8, i&255)))
	}
	if err := l.Filter(flow.NewFilter(r)); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats().Cover; got != CoverProtocols {
		t.Errorf("cover %v, want protocols", got)
	}
	mustApply(t, c.Create, []flow.Flow{tcp, udp})
	if e := read(t, l, 1)[0]; e.Flow.Orig != udp.Orig {
		t.Errorf("%v", e.Flow.Orig)
	}
}

// TestFilterLargeAfterLarge: a program that fits alone fits in the place of another one.
func TestFilterLargeAfterLarge(t *testing.T) {
	ns := nstest.New(t)
	large := func(first byte) flow.Filter {
		var r flow.Rules
		for i := range 1000 {
			r.Ignore = append(r.Ignore, netip.PrefixFrom(netip.AddrFrom4([4]byte{first, byte(i >> 8), byte(i), 1}), 32))
		}
		return flow.NewFilter(r)
	}
	fresh, l := listen(t, ns, ListenConfig{}), listen(t, ns, ListenConfig{})
	for _, err := range []error{fresh.Filter(large(11)), l.Filter(large(10)), l.Filter(large(11))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := l.Stats().Cover, fresh.Stats().Cover; got != want {
		t.Errorf("cover %v, want %v", got, want)
	}
}

// BenchmarkFilteredEvents makes and reads events of which 99 in a hundred are of flows that the filter does not let
// pass, with the filter in the kernel and with the filter in user space alone. The figures are per event: what the
// kernel does to make and deliver it, and for those that arrive to read, decode and judge it. "nobody listens" is what
// making the flow costs without any of this.
func BenchmarkFilteredEvents(b *testing.B) {
	f := flow.NewFilter(dozens())
	const n = 20_000
	fs := many(n)
	for i := range fs {
		if i%100 != 0 {
			fs[i].Orig.Src = flow.Addr{172, 16, 2, byte(i)}
			fs[i].Reply = fs[i].Orig.Inverse()
		}
	}
	for _, tc := range []struct {
		name             string
		listen, inKernel bool
	}{{"nobody listens", false, false}, {"user space", true, false}, {"kernel", true, true}} {
		b.Run(tc.name, func(b *testing.B) {
			ns := nstest.New(b)
			c := dial(b, ns)
			var l *Listener
			if tc.listen {
				l = listen(b, ns, ListenConfig{Buffer: 256 << 20})
			}
			if tc.inKernel {
				if err := l.Filter(f); err != nil {
					b.Fatal(err)
				}
			}
			errs := make([]unix.Errno, n)
			var used time.Duration
			for b.Loop() {
				before := cpu(b)
				if err := c.Create(fs, errs); err != nil || errs[0] != 0 || errs[n-1] != 0 {
					b.Fatal(err, errs[0], errs[n-1])
				}
				if tc.listen && passing(b, l, &f, n/100) != n/100 {
					b.Fatal("the filter is not right")
				}
				used += cpu(b) - before
				b.StopTimer()
				if err := c.Delete(fs, errs); err != nil {
					b.Fatal(err)
				}
				if tc.listen {
					discard(b, l, n)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*n), "cpu-ns/event")
		})
	}
}

// passing reads events until want of them have passed f, and all that wait.
func passing(b *testing.B, l *Listener, f *flow.Filter, want int) (passed int) {
	var block Block
	for passed < want {
		if next(b, l, &block) {
			b.Fatal("overrun")
		}
		for i := range block.N {
			if f.Pass(&block.Flow[i]) {
				passed++
			}
		}
	}
	return passed
}

// discard reads n DESTROY events and whatever comes before them.
func discard(b *testing.B, l *Listener, n int) {
	var block Block
	for n > 0 {
		if next(b, l, &block) {
			b.Fatal("overrun")
		}
		for i := range block.N {
			if block.Kind[i] == EventDestroy {
				n--
			}
		}
	}
}
