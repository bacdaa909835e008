package ctnetlink

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

func listen(t testing.TB, ns *nstest.NS, cfg ListenConfig) *Listener {
	t.Helper()
	var l *Listener
	var err error
	ns.Do(func() { l, err = Listen(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

type event struct {
	Kind Kind
	Flow flow.Flow
}

// next is Read for those who have nothing else to do: it waits until there is something, but not for ever.
func next(t testing.TB, l *Listener, b *Block) (overrun bool) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
	for {
		overrun, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if b.N > 0 || overrun {
			return overrun
		}
		if n, err := unix.Poll(poll, 30_000); n == 0 || err != nil && err != unix.EINTR {
			t.Fatalf("waiting for events in vain, %v", err)
		}
	}
}

// read reads n events.
func read(t testing.TB, l *Listener, n int) []event {
	t.Helper()
	var got []event
	var b Block
	for len(got) < n {
		overrun := next(t, l, &b)
		if overrun {
			t.Fatalf("overrun after %d events", len(got))
		}
		for i := range b.N {
			got = append(got, event{b.Kind[i], b.Flow[i]})
		}
	}
	if len(got) > n {
		t.Fatalf("%d events, want %d: %+v", len(got), n, got[n:])
	}
	return got
}

// TestEvents lets every sample be made, changed and deleted, and looks at what the three events carry.
func TestEvents(t *testing.T) {
	ns := nstest.New(t)
	useLabels(t, ns)
	l := listen(t, ns, ListenConfig{Buffer: 8 << 20})
	c := dial(t, ns)
	c.SetLiberal(false)
	want := flows(samples())
	mustApply(t, c.Create, want)
	ids := map[flow.Tuple]uint32{}
	for i, e := range read(t, l, len(want)) {
		if e.Kind != EventNew || !e.Flow.Has.Is(flow.HasID) {
			t.Fatalf("%v, has %v", e.Kind, e.Flow.Has)
		}
		ids[e.Flow.Orig] = e.Flow.ID
		// Events carry no use count, no mark of zero without a reason, and are otherwise like a dump.
		w, got := want[i], settled(e.Flow)
		w.Has, got.Has = w.Has|flow.HasMark, got.Has|flow.HasMark
		if diff := sameFlow(w, got); diff != "" {
			t.Errorf("NEW (-want +got)\n%s", diff)
		}
	}
	changes := make([]flow.Flow, len(want))
	for i := range want {
		changes[i] = flow.Flow{Orig: want[i].Orig, Has: flow.HasMark, Mark: uint32(i)}
	}
	mustApply(t, c.Update, changes)
	for i, e := range read(t, l, len(want)) {
		f := &e.Flow
		if e.Kind != EventUpdate || f.ID != ids[f.Orig] || f.Mark != uint32(i) || !f.Has.Is(flow.HasMark) {
			t.Fatalf("%v %+v", e.Kind, e.Flow)
		}
	}
	mustApply(t, c.Delete, want)
	for i, e := range read(t, l, len(want)) {
		if e.Kind != EventDestroy || e.Flow.ID != ids[e.Flow.Orig] || e.Flow.Reply != want[i].Reply {
			t.Fatalf("%v %+v", e.Kind, e.Flow)
		}
		if e.Flow.Has&(flow.HasTCPWScale|flow.HasTCPFlags|flow.HasHelper|flow.HasSeqAdj|flow.HasLabels) != 0 {
			t.Fatalf("DESTROY has %v", e.Flow.Has)
		}
		if e.Flow.Orig.Proto == flow.TCP && !e.Flow.Has.Is(flow.HasTCPState) {
			t.Fatalf("DESTROY of TCP has %v", e.Flow.Has)
		}
	}
	s := l.Stats()
	seen := ListenStats{Events: uint64(3 * len(want)), BufferBytes: 8 << 20, Cover: CoverWhole}
	if diff := cmp.Diff(seen, s); diff != "" {
		t.Errorf("statistics (-want +got)\n%s", diff)
	}
}

// TestMarkCleared sets a mark back to 0: the UPDATE says so.
func TestMarkCleared(t *testing.T) {
	ns := nstest.New(t)
	l := listen(t, ns, ListenConfig{})
	c := dial(t, ns)
	f := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	f.Mark = 5
	mustApply(t, c.Create, []flow.Flow{f})
	mustApply(t, c.Update, []flow.Flow{{Orig: f.Orig, Has: flow.HasMark}})
	got := read(t, l, 2)
	if set, cleared := &got[0], &got[1]; set.Flow.Mark != 5 || cleared.Kind != EventUpdate ||
		cleared.Flow.Mark != 0 || !cleared.Flow.Has.Is(flow.HasMark) {
		t.Errorf("%+v", got)
	}
}

// TestBlocks reads more events than a block, and than a drain, holds.
func TestBlocks(t *testing.T) {
	for _, coalesce := range []time.Duration{0, time.Millisecond} {
		ns := nstest.New(t)
		l := listen(t, ns, ListenConfig{Buffer: 16 << 20, Coalesce: coalesce})
		c := dial(t, ns)
		fs := many(1000)
		mustApply(t, c.Create, fs)
		for i, e := range read(t, l, len(fs)) {
			if e.Kind != EventNew || e.Flow.Orig != fs[i].Orig {
				t.Fatalf("event %d is %v %v, want %v", i, e.Kind, e.Flow.Orig, fs[i].Orig)
			}
		}
	}
}

// TestIgnore shows what a filter on a port id holds back, and what arrives all the same.
func TestIgnore(t *testing.T) {
	ns := nstest.New(t)
	useLabels(t, ns) // its rule makes conntrack see packets
	l := listen(t, ns, ListenConfig{})
	own, other, third := dial(t, ns), dial(t, ns), dial(t, ns)
	if err := l.Ignore(own.PortID(), third.PortID()); err != nil {
		t.Fatal(err)
	}
	packets := plain(tuple(flow.UDP, "127.0.0.1:7001", "127.0.0.1:7002"))
	packets.Status = flow.StatusConfirmed
	deleted := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	expiring := plain(tuple(flow.UDP, "10.1.0.1:1002", "10.2.0.1:80"))
	expiring.Timeout = 1
	theirs := plain(tuple(flow.UDP, "10.1.0.1:1003", "10.2.0.1:80"))

	mustApply(t, own.Create, []flow.Flow{packets, deleted, expiring})
	mustApply(t, own.Update, []flow.Flow{{Orig: deleted.Orig, Has: flow.HasMark, Mark: 3}})
	mustApply(t, third.Create, []flow.Flow{plain(tuple(flow.UDP, "10.1.0.1:1004", "10.2.0.1:80"))})
	flush(t, third, flow.IPv6)
	mustApply(t, other.Create, []flow.Flow{theirs})
	if e := read(t, l, 1)[0]; e.Kind != EventNew || e.Flow.Orig != theirs.Orig {
		t.Fatalf("%v %v, want the flow of the other socket", e.Kind, e.Flow.Orig)
	}

	// A packet changes an entry that we made: port id 0.
	ns.Do(func() { answer(t, "127.0.0.1:7002", "127.0.0.1:7001") })
	if e := read(t, l, 1)[0]; e.Kind != EventUpdate || e.Flow.Orig != packets.Orig ||
		e.Flow.Status&flow.StatusSeenReply == 0 {
		t.Fatalf("%v %+v, want a reply seen", e.Kind, e.Flow)
	}
	// Somebody else deletes an entry that we made: their port id.
	mustApply(t, other.Delete, []flow.Flow{deleted})
	if e := read(t, l, 1)[0]; e.Kind != EventDestroy || e.Flow.Orig != deleted.Orig || e.Flow.Mark != 3 {
		t.Fatalf("%v %+v, want a deletion", e.Kind, e.Flow)
	}
	// It times out: port id 0. A lookup makes the kernel notice.
	var f flow.Flow
	nstest.Eventually(t, 30*time.Second, func() bool {
		return errors.Is(own.Get(&expiring.Orig, flow.Original, &f), unix.ENOENT)
	}, func() string { return "the entry does not expire" })
	if e := read(t, l, 1)[0]; e.Kind != EventDestroy || e.Flow.Orig != expiring.Orig {
		t.Fatalf("%v %+v, want an expiry", e.Kind, e.Flow)
	}
	// We delete what others made: our port id, held back. Then nothing is held back any more.
	mustApply(t, own.Delete, []flow.Flow{theirs})
	if err := l.Ignore(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, own.Create, []flow.Flow{theirs})
	if e := read(t, l, 1)[0]; e.Kind != EventNew || e.Flow.Orig != theirs.Orig {
		t.Fatalf("%v %+v, want our own flow", e.Kind, e.Flow)
	}
	if err := l.Ignore(); err != nil {
		t.Errorf("no filter to remove: %v", err)
	}
	if err := l.Ignore(make([]uint32, maxIgnored+1)...); err == nil {
		t.Error("more port ids than a program holds are accepted")
	}
	if err := l.Ignore(make([]uint32, maxIgnored)...); err != nil {
		t.Error(err)
	}
}

// answer sends one datagram; whoever listens at its destination is not there.
func answer(t *testing.T, from, to string) {
	laddr, err := net.ResolveUDPAddr("udp", from)
	if err != nil {
		t.Error(err)
		return
	}
	raddr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Error(err)
		return
	}
	c, err := net.DialUDP("udp", laddr, raddr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

// TestOverrun fills a small buffer: the loss is reported, the buffer grows up to its limit, and events go on.
func TestOverrun(t *testing.T) {
	ns := nstest.New(t)
	const first, limit = 64 << 10, 200 << 10
	l := listen(t, ns, ListenConfig{Buffer: first, MaxBuffer: limit})
	c := dial(t, ns)
	sizes := []int{l.Stats().BufferBytes}
	var b Block
	for round := range 4 {
		fs := many(3000)
		mustApply(t, c.Create, fs)
		flush(t, c, 0)
		overrun, events := drain(t, l, &b)
		if !overrun || events == 0 || events >= 6000 {
			t.Errorf("round %d: overrun %v after %d events", round, overrun, events)
		}
		sizes = append(sizes, l.Stats().BufferBytes)
	}
	if diff := cmp.Diff([]int{first, 2 * first, limit, limit, limit}, sizes); diff != "" {
		t.Errorf("buffer sizes (-want +got)\n%s", diff)
	}
	s := l.Stats()
	if s.Overruns < 4 || s.BufferGrown != 2 {
		t.Errorf("%+v", s)
	}
	f := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	mustApply(t, c.Create, []flow.Flow{f})
	if e := read(t, l, 1)[0]; e.Flow.Orig != f.Orig {
		t.Errorf("after overruns: %v", e.Flow.Orig)
	}
}

// drain reads until nothing waits any more.
func drain(t *testing.T, l *Listener, b *Block) (overrun bool, events int) {
	t.Helper()
	for {
		lost, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if b.N == 0 && !lost {
			return overrun, events
		}
		overrun = overrun || lost
		events += b.N
	}
}

// TestReadDoesNotWait: the caller does, for FD.
func TestReadDoesNotWait(t *testing.T) {
	ns := nstest.New(t)
	l := listen(t, ns, ListenConfig{Coalesce: time.Millisecond})
	var b Block
	if overrun, err := l.Read(&b); b.N != 0 || overrun || err != nil {
		t.Errorf("%d events, overrun %v, error %v of a kernel without flows", b.N, overrun, err)
	}
	if d := l.Gather(); d != 0 {
		t.Errorf("gathers for %v where nothing happens", d)
	}
}

// TestSettingsWhileListening changes buffer and pace under a reader; nothing that waits is lost.
func TestSettingsWhileListening(t *testing.T) {
	ns := nstest.New(t)
	l := listen(t, ns, ListenConfig{Buffer: 1 << 20, MaxBuffer: 2 << 20, Coalesce: time.Millisecond})
	c := dial(t, ns)
	want := flows(samples())
	mustApply(t, c.Create, want)
	for _, tt := range []struct{ least, most, size int }{
		{4 << 20, 8 << 20, 4 << 20},     // up to the least
		{2 << 20, 4 << 20, 4 << 20},     // already within
		{512 << 10, 1 << 20, 1 << 20},   // down to the most
		{512 << 10, 64 << 20, 1 << 20},  // only the limit
		{32 << 20, 64 << 20, 32 << 20},  // up again
		{256 << 10, 256 << 10, 1 << 18}, // the events that wait stay
	} {
		if err := l.SetMaxBuffer(tt.least, tt.most); err != nil {
			t.Fatal(err)
		}
		size, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if st := l.Stats(); err != nil || size != tt.size || st.BufferBytes != tt.size || st.BufferLimit != tt.most {
			t.Errorf("%+v: the kernel has %d (%v), stats %+v", tt, size, err, st)
		}
	}
	l.SetCoalesce(0)
	read(t, l, len(want))
	if d := l.Gather(); d != 0 || l.pace.limit != 0 {
		t.Errorf("events still gather for %v of %v", d, l.pace.limit)
	}
	l.SetCoalesce(5 * time.Millisecond)
	mustApply(t, c.Delete, want)
	read(t, l, len(want))
	if l.Gather(); l.pace.limit != 5*time.Millisecond {
		t.Errorf("events gather for at most %v", l.pace.limit)
	}
}
