package query

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
	"ctsync/daemon/transport"
	"ctsync/daemon/wire"
)

// looper is a Reader of a core without kernel and link.
type looper struct {
	*Reader
	core *core.Core
}

// looped serves such a core. held is called with the CPU time of each visit to the loop.
func looped(t testing.TB, held func(time.Duration)) *looper {
	t.Helper()
	start := time.Now()
	return loopedAt(t, held, func() int64 { return int64(time.Since(start)) })
}

// loopedAt is looped with a clock.
func loopedAt(t testing.TB, held func(time.Duration), now func() int64) *looper {
	t.Helper()
	var in *loop.Inbox[*core.Core]
	c := coretest.New(coretest.Inbox(t), func(o *core.Options) { in, o.Now = o.Inbox, now })
	around := func(run func()) { run() }
	if held != nil {
		around = func(run func()) {
			began := threadTime()
			run()
			held(threadTime() - began)
		}
	}
	coretest.Serve(t, c, in, around)
	return &looper{&Reader{Loop: in}, c}
}

// watchedEvents is how many events wait for a watcher at most.
var watchedEvents = cap(control.NewEventBatch().Events)

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// someFlow is the i-th of many different flows.
func someFlow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: [...]flow.Proto{flow.TCP, flow.UDP, flow.TCP, flow.ICMP}[i%4], SrcPort: uint16(i), DstPort: [...]uint16{443, 53, 80, 8 << 8}[i%4],
			Src: flow.Addr{10, byte(i % 7), byte(i >> 16), byte(i % 251)}, Dst: flow.Addr{192, 0, 2, byte(i % 13)},
		},
		Has: flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark, Status: flow.StatusSeenReply, Timeout: uint32(i * 7919 % 1000), Mark: uint32(i % 5),
	}
	if i%11 == 0 {
		f.Orig.Family, f.Orig.Src[10] = flow.IPv6, byte(i)
	}
	if f.Orig.Proto == flow.TCP {
		f.Has, f.TCPState = f.Has|flow.HasTCPState, uint8(1+i%4)
	}
	if i%3 == 0 {
		f.Has, f.Helper = f.Has|flow.HasHelper, [16]byte{'f', 't', 'p'}
	}
	f.Reply = f.Orig.Inverse()
	if i%4 == 1 {
		f.Reply.Dst[1]++
	}
	return f
}

func fill(t testing.TB, d *looper, n int) {
	t.Helper()
	for i := range n {
		f := someFlow(i)
		if err := d.core.Peer.External.New(&f, d.core.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func parsed(t testing.TB, s string) *expr.Expr {
	t.Helper()
	e, err := expr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func listing(t testing.TB, d *looper, q control.FlowQuery) (list []flow.Flow, last uint32) {
	t.Helper()
	if err := d.Flows(context.Background(), q, func(f *flow.Flow, m control.Meta) error {
		list, last = append(list, *f), m.Place
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list, last
}

// Pages that continue each other are the list, whatever begins and ends meanwhile.
func TestPagesContinueEachOther(t *testing.T) {
	const n = 5000
	d := looped(t, nil)
	fill(t, d, n)
	q := control.FlowQuery{Table: control.TableExternal, Filter: parsed(t, "nat:yes"), Limit: 97}
	seen := map[flow.Tuple]int{}
	for more := true; more; {
		list, last := listing(t, d, q)
		for _, f := range list {
			seen[f.Orig]++
		}
		more = len(list) == q.Limit
		q.From = last + 1
		if err := d.Loop.Do(context.Background(), func(c *core.Core) { // others come and go
			f := someFlow(n + int(last))
			_ = c.Peer.External.New(&f, c.Now())
			f = someFlow(int(last) / 4 * 4) // not translated
			c.Peer.External.Destroy(&f.Orig, c.Now())
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < n; i += 4 {
		f := someFlow(i)
		if seen[f.Orig] != 1 {
			t.Fatalf("flow %d was listed %d times", i, seen[f.Orig])
		}
	}
}

// Idle times and timeouts are those of the moment of the question, whatever a comparison did before.
func TestTimesAreOfNow(t *testing.T) {
	var now int64
	d := loopedAt(t, nil, func() int64 { return now * int64(time.Second) })
	quiet, busy := someFlow(1), someFlow(2)
	quiet.Timeout, busy.Timeout = 120, 120
	for _, f := range []*flow.Flow{&quiet, &busy} {
		if err := d.core.Own.Internal.New(f, d.core.Now()); err != nil {
			t.Fatal(err)
		}
	}
	now, quiet.Timeout, busy.Timeout = 60, 60, 118
	if err := d.Loop.Do(context.Background(), func(c *core.Core) {
		c.BeginCompare()
		c.Merge([]flow.Flow{quiet, busy})
		now = 63
	}); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string][]flow.Flow{
		"idle>62s": {quiet}, "idle<62s": {busy}, "timeout<58": {quiet}, "timeout>100": {busy}, "": {quiet, busy},
	} {
		for _, sort := range []string{"", "timeout"} {
			q := control.FlowQuery{Table: control.TableInternal, Sort: sort, Limit: 10}
			if filter != "" {
				q.Filter = parsed(t, filter)
			}
			list, _ := listing(t, d, q)
			ok := len(list) == len(want)
			for i := range list {
				ok = ok && list[i].Orig == want[i].Orig && list[i].Timeout == want[i].Timeout-3
			}
			if !ok {
				t.Errorf("%q by %q: %v, want %v three seconds later", filter, sort, list, want)
			}
		}
	}
}

func TestSortedAndFiltered(t *testing.T) {
	d := loopedAt(t, nil, func() int64 { return 0 })
	fill(t, d, 5000)
	list, _ := listing(t, d, control.FlowQuery{Table: control.TableExternal, Filter: parsed(t, "proto:tcp mark:3"),
		Sort: "timeout", Desc: true, Skip: 3, Limit: 1100})
	var want []uint32
	for i := range 5000 {
		if f := someFlow(i); f.Orig.Proto == flow.TCP && f.Mark == 3 {
			want = append(want, f.Timeout)
		}
	}
	slices.Sort(want)
	slices.Reverse(want)
	var got []uint32
	for _, f := range list {
		got = append(got, f.Timeout)
	}
	if want = want[3:min(1103, len(want))]; !slices.Equal(got, want) {
		t.Errorf("%d flows, want %d, or in another order", len(got), len(want))
	}
	all := control.FlowQuery{Table: control.TableExternal}
	err := d.Flows(context.Background(), all, func(*flow.Flow, control.Meta) error { return loop.ErrStopped })
	if !errors.Is(err, loop.ErrStopped) {
		t.Errorf("a reader's error: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = d.Flows(ctx, all, func(*flow.Flow, control.Meta) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a reader who left: %v", err)
	}
}

// Groups are what counting every flow by the text of its key comes to.
func TestGroups(t *testing.T) {
	const n = 20000
	d := looped(t, nil)
	fill(t, d, n)
	text := map[string]func(f *flow.Flow) string{
		"source": func(f *flow.Flow) string { return f.Orig.Source().Addr().String() },
		"port": func(f *flow.Flow) string {
			if f.Orig.Proto == flow.ICMP {
				return "icmp"
			}
			return fmt.Sprint(f.Orig.Proto, "/", f.Orig.DstPort)
		},
		"source-network": func(f *flow.Flow) string {
			if f.Orig.Family == flow.IPv4 {
				return fmt.Sprintf("%d.%d.%d.0/24", f.Orig.Src[0], f.Orig.Src[1], f.Orig.Src[2])
			}
			p, _ := f.Orig.Source().Addr().Prefix(64)
			return p.String()
		},
		"destination": func(f *flow.Flow) string { return f.Orig.Destination().Addr().String() },
		"protocol":    func(f *flow.Flow) string { return f.Orig.Proto.String() },
		"state": func(f *flow.Flow) string {
			if s := f.StateName(); s != "" {
				return "tcp " + s
			}
			return f.Orig.Proto.String()
		},
		"mark": func(f *flow.Flow) string { return fmt.Sprint(f.Mark) },
		"helper": func(f *flow.Flow) string {
			return map[bool]string{true: "ftp", false: "none"}[f.Has.Is(flow.HasHelper)]
		},
		"family": func(f *flow.Flow) string { return f.Orig.Family.String() },
		"zone":   func(f *flow.Flow) string { return "0" },
	}
	filter := parsed(t, "!dport:80")
	for by, key := range text {
		want := map[string]uint64{}
		for i := range n {
			if f := someFlow(i); filter.Match(&f, flow.Ages{}) {
				want[key(&f)]++
			}
		}
		for _, limit := range []int{0, 2} {
			g, err := d.Groups(context.Background(), control.FlowQuery{Table: control.TableExternal, Filter: filter, Group: by,
				Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			var sum uint64
			for i, x := range g.Groups {
				if x.Flows != want[x.Key] || i > 0 && x.Flows > g.Groups[i-1].Flows {
					t.Errorf("%s %s: %d flows, want %d, or out of order", by, x.Key, x.Flows, want[x.Key])
				}
				sum += x.Flows
			}
			if shown := len(g.Groups); uint64(shown)+g.OtherCount != uint64(len(want)) || limit > 0 && shown > limit ||
				sum+g.Other.Flows != g.Flows || g.Unnamed.Flows != 0 {
				t.Errorf("%s limit %d: %d and %d groups of %d, %d and %d flows of %d", by, limit, shown, g.OtherCount, len(want), sum, g.Other.Flows, g.Flows)
			}
		}
	}
	if got := len(control.GroupKeys); got != len(groupings) {
		t.Errorf("%d group keys, %d groupings", got, len(groupings))
	}
}

// Keys beyond the bound are counted together, and those within it exactly.
func TestGroupsAreBounded(t *testing.T) {
	g := newCounting(groupings["source"], 10)
	for i := range 1000 {
		f := flow.Flow{Orig: flow.Tuple{Family: flow.IPv4, Src: flow.Addr{10, 0, byte(i % 50)}}, Bytes: [2]uint64{1, 2}}
		g.add(&f)
	}
	a := g.answer(control.FlowQuery{Group: "source", Sort: "key", Limit: 4})
	if len(a.Groups) != 4 || a.Groups[3].Key != "10.0.3.0" || a.Groups[3].Flows != 20 || a.OtherCount != 6 ||
		a.Other.Flows != 120 || a.Unnamed.Flows != 800 || a.Flows != 1000 || a.Bytes != 3000 {
		t.Errorf("%+v", a)
	}
}

// watch subscribes and returns what arrives; each batch waits until it is taken.
func watch(t *testing.T, d *looper, q control.FlowQuery) (batches chan control.EventBatch, cancel func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	batches = make(chan control.EventBatch)
	done := make(chan error, 1)
	go func() {
		done <- d.Watch(ctx, q, func(b *control.EventBatch) error {
			select {
			case batches <- control.EventBatch{Events: slices.Clone(b.Events), Lost: b.Lost, Overruns: b.Overruns}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	if b := <-batches; len(b.Events) != 0 || b.Lost != 0 {
		t.Fatalf("the first batch is %+v", b)
	}
	cancelled := false
	cancel = func() error {
		if cancelled {
			return nil
		}
		cancelled = true
		stop()
		return <-done
	}
	t.Cleanup(func() { _ = cancel() })
	return batches, cancel
}

// A watcher who does not read loses events, and learns how many; the loop goes on, and others lose nothing.
func TestSlowWatcherLosesEvents(t *testing.T) {
	d := looped(t, nil)
	slow, _ := watch(t, d, control.FlowQuery{})
	quick, _ := watch(t, d, control.FlowQuery{Table: control.TableInternal})
	blocks := 3 * watchedEvents / ctnetlink.BlockSize
	var read uint64
	for i := range blocks {
		b := coretest.Block(ctnetlink.EventNew, i*ctnetlink.BlockSize)
		if err := d.Loop.Do(context.Background(), func(c *core.Core) { c.Apply(b) }); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < ctnetlink.BlockSize; {
			batch := <-quick
			if batch.Lost != 0 {
				t.Fatalf("the quick one lost %d", batch.Lost)
			}
			got += len(batch.Events)
			read += uint64(len(batch.Events))
		}
	}
	if read != uint64(blocks*ctnetlink.BlockSize) {
		t.Errorf("the quick one has %d events", read)
	}
	var got, lost uint64
	for got+lost < read {
		b := <-slow
		for i := range b.Events {
			if lost > 0 {
				t.Fatal("an event behind a loss that was not reported yet")
			}
			if want := uint16(got); b.Events[i].Flow.Orig.SrcPort != want {
				t.Fatalf("event of port %d, want %d", b.Events[i].Flow.Orig.SrcPort, want)
			}
			got++
		}
		lost += b.Lost
	}
	if lost == 0 || got+lost != read {
		t.Errorf("the slow one: %d events, %d lost", got, lost)
	}
}

// What an event leaves out is filled in, and a filter looks at the whole flow.
func TestEventsAreWhole(t *testing.T) {
	d := looped(t, nil)
	link := &coretest.Link{}
	coretest.Open(d.core, []transport.Config{{Interface: "sync0"}}, link)
	all, cancel := watch(t, d, control.FlowQuery{})
	external, _ := watch(t, d, control.FlowQuery{Table: control.TableExternal, Filter: parsed(t, "mark:7")})
	f := someFlow(5)
	f.Mark, f.ID, f.Has = 7, 1, f.Has|flow.HasID
	partial := flow.Flow{Orig: f.Orig, Reply: f.Reply, Has: flow.HasReply | flow.HasStatus | flow.HasID,
		Status: flow.StatusAssured, ID: 1}
	end := partial
	end.Has, end.Bytes = end.Has|flow.HasCounters, [2]uint64{100, 1}
	older := end
	older.ID = 9
	kinds := []ctnetlink.Kind{ctnetlink.EventNew, ctnetlink.EventUpdate, ctnetlink.EventDestroy, ctnetlink.EventDestroy}
	b := &ctnetlink.Block{}
	for i, x := range []flow.Flow{f, partial, older, end} {
		b.Kind[i], b.Flow[i] = kinds[i], x
	}
	b.N = 4
	filtered := f
	filtered.Orig.Src = flow.Addr{127, 0, 0, 1}
	if err := d.Loop.Do(context.Background(), func(c *core.Core) {
		c.Own.Filter = flow.NewFilter(flow.Rules{Ignore: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		c.Apply(b)
		b.N, b.Flow[0] = 1, filtered
		c.Apply(b)
		peer := coretest.NewPeer(t, c, link)
		peer.Say(wire.CTNew, f)
		peer.Say(wire.CTUpdate, partial)
		peer.Say(wire.CTDestroy, flow.Flow{Orig: f.Orig})
		c.Apply(&ctnetlink.Block{}) // passes on what was gathered
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 7 {
		for _, e := range (<-all).Events {
			got = append(got, fmt.Sprintf("%s %s mark %d assured %v bytes %d", e.Table(), e.Kind, e.Flow.Mark,
				e.Flow.Status&flow.StatusAssured != 0, e.Flow.Bytes[0]))
			if e.At.IsZero() {
				t.Error("an event without time")
			}
		}
	}
	want := []string{
		"internal new mark 7 assured false bytes 0", "internal update mark 7 assured true bytes 0", "internal destroy mark 0 assured true bytes 100",
		"internal destroy mark 7 assured true bytes 100",
		"external new mark 7 assured false bytes 0", "external update mark 7 assured true bytes 0", "external destroy mark 7 assured true bytes 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	n := 0
	for n < 3 {
		n += len((<-external).Events)
	}
	if err := cancel(); !errors.Is(err, context.Canceled) {
		t.Errorf("a watcher who left: %v", err)
	}
	room := 0
	if err := d.Loop.Do(context.Background(), func(c *core.Core) {
		for c.Tap.Watch(control.NewWatcher("")) {
			room++
		}
	}); err != nil || room != control.MaxWatchers-1 {
		t.Errorf("room for %d watchers (%v), want %d", room, err, control.MaxWatchers-1)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	d := looped(t, nil)
	for range control.MaxWatchers {
		watch(t, d, control.FlowQuery{})
	}
	err := d.Watch(context.Background(), control.FlowQuery{}, func(*control.EventBatch) error { return nil })
	if e := (*control.Error)(nil); !errors.As(err, &e) || e.Code != control.CodeBusy {
		t.Errorf("one more than allowed: %v", err)
	}
}

// With watchers the loop allocates nothing either.
func TestWatchedHotPathDoesNotAllocate(t *testing.T) {
	c := coretest.New()
	w := control.NewWatcher("")
	c.Tap.Watch(w)
	blocks := []*ctnetlink.Block{coretest.Block(ctnetlink.EventNew, 1), coretest.Block(ctnetlink.EventUpdate, 1),
		coretest.Block(ctnetlink.EventDestroy, 1)}
	spare := control.NewEventBatch()
	once := func() {
		for _, b := range blocks {
			c.Apply(b)
		}
		spare = w.Take(spare)
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
