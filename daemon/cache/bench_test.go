package cache

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

const million = 1_000_000

// nth returns flow i of a synthetic table. Like on a router that translates, one in nat is source-NATed (0: none).
func nth(i int, fam flow.Family, nat int) (f flow.Flow) {
	f.Orig = flow.Tuple{Family: fam, Proto: flow.TCP, SrcPort: uint16(i), DstPort: 443}
	n := 4
	if fam == flow.IPv6 {
		n = 16
	}
	f.Orig.Src[0], f.Orig.Dst[0] = 10, 192
	binary.BigEndian.PutUint16(f.Orig.Src[n-2:], uint16(i>>16))
	binary.BigEndian.PutUint16(f.Orig.Dst[n-2:], uint16(i%977))
	f.Reply = f.Orig.Inverse()
	if nat > 0 && i%nat == 0 {
		f.Reply.Dst[0] = 198
	}
	f.Has = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID |
		flow.HasTCPState | flow.HasTCPWScale | flow.HasTCPFlags
	f.Status, f.Timeout, f.ID, f.TCPState = 0x0e, 432000, uint32(i)*2654435761, 3
	return f
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

type statser interface{ Stats() Stats }

// bytesPerFlow measures what n flows cost in the cache that fill makes.
func bytesPerFlow(n int, fill func() statser) (perFlow, reported float64) {
	before := heap()
	s := fill()
	after := heap()
	perFlow = float64(after-before) / float64(n)
	reported = float64(s.Stats().Bytes) / float64(n)
	runtime.KeepAlive(s)
	return perFlow, reported
}

// cpu reports the CPU time per operation, which other work on the machine falsifies less than the elapsed time.
func cpu(b *testing.B) (done func()) {
	spent := func() int64 {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

func fillInternal(n int, fam flow.Family, nat int) *Internal {
	c := NewInternal(0)
	for i := range n {
		f := nth(i, fam, nat)
		if err := c.New(&f, int64(i)); err != nil {
			panic(err)
		}
	}
	return c
}

func fillExternal(n int, fam flow.Family, nat int) *External {
	c := NewExternal(0)
	for i := range n {
		f := nth(i, fam, nat)
		if err := c.New(&f, int64(i)); err != nil {
			panic(err)
		}
	}
	return c
}

func TestMemoryPerFlow(t *testing.T) {
	tests := []struct {
		fam    flow.Family
		nat    int
		budget float64
	}{{flow.IPv4, 0, 95}, {flow.IPv4, 4, 100}, {flow.IPv4, 1, 115}, {flow.IPv6, 0, 125}, {flow.IPv6, 1, 170}}
	for _, tc := range tests {
		for _, n := range []int{100_000, 170_000} {
			for _, kind := range []string{"internal", "external"} {
				got, reported := bytesPerFlow(n, func() statser {
					if kind == "internal" {
						return fillInternal(n, tc.fam, tc.nat)
					}
					return fillExternal(n, tc.fam, tc.nat)
				})
				t.Logf("%d flows, family %d, 1 in %d translated, %s: %.1f B/flow (Stats: %.1f)",
					n, tc.fam, tc.nat, kind, got, reported)
				if got > tc.budget {
					t.Errorf("over the budget of %.0f", tc.budget)
				}
				if reported < 0.93*got || reported > 1.07*got {
					t.Errorf("Stats().Bytes is %.1f B/flow, measured %.1f", reported, got)
				}
			}
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	for _, fam := range []flow.Family{flow.IPv4, flow.IPv6} {
		b.Run(fmt.Sprint("family", fam), func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			var c *Internal
			var f flow.Flow
			for i := range b.N {
				if i%million == 0 {
					b.StopTimer()
					c = nil
					runtime.GC()
					c = NewInternal(0)
					b.StartTimer()
				}
				f = nth(i%million, fam, 4)
				if err := c.New(&f, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkMillion(b *testing.B, op func(c *Internal, f *flow.Flow, i int)) {
	c := fillInternal(million, flow.IPv4, 4)
	var o Outgoing
	for c.Next(&o) {
		c.Sent(o.Ref, 1)
		c.Acked(o.Ref, 1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	defer cpu(b)()
	var f flow.Flow
	for i := range b.N {
		f = nth(i*7919%million, flow.IPv4, 4)
		op(c, &f, i)
	}
}

func BenchmarkLookup(b *testing.B) {
	benchmarkMillion(b, func(c *Internal, f *flow.Flow, _ int) {
		if _, ok := c.Lookup(&f.Orig); !ok {
			b.Fatal("not found")
		}
	})
}

func BenchmarkLookupMiss(b *testing.B) {
	benchmarkMillion(b, func(c *Internal, f *flow.Flow, _ int) {
		f.Orig.Zone = 9
		if _, ok := c.Lookup(&f.Orig); ok {
			b.Fatal("found")
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	benchmarkMillion(b, func(c *Internal, f *flow.Flow, i int) {
		f.TCPState = uint8(i)
		if err := c.Update(f, 0); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkDestroy ends a flow in a full table, sends that, has it acknowledged, and puts a new flow in its place.
func BenchmarkDestroy(b *testing.B) {
	var o Outgoing
	benchmarkMillion(b, func(c *Internal, f *flow.Flow, i int) {
		seq := uint32(i)
		c.Destroy(f, 0)
		for c.Next(&o) {
			c.Sent(o.Ref, seq)
			c.Acked(o.Ref, seq)
		}
		if err := c.New(f, 0); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkExternal is what the messages of the peer do to a full table: a bulk update of what is there already, and an
// end with a new flow in its place.
func BenchmarkExternal(b *testing.B) {
	for _, tc := range []struct {
		name string
		op   func(x *External, f *flow.Flow) error
	}{
		{"update", func(x *External, f *flow.Flow) error { return x.Update(f, 0) }},
		{"delete and insert", func(x *External, f *flow.Flow) error {
			x.Destroy(&f.Orig, 0)
			return x.New(f, 0)
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			x := fillExternal(million, flow.IPv4, 4)
			b.ReportAllocs()
			b.ResetTimer()
			defer cpu(b)()
			var f flow.Flow
			for i := range b.N {
				f = nth(i*7919%million, flow.IPv4, 4)
				if err := tc.op(x, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReconcile(b *testing.B) {
	benchmarkMillion(b, func(c *Internal, f *flow.Flow, i int) {
		if i%million == 0 {
			c.BeginReconcile()
		}
		if changed, err := c.Reconcile(f, 0); changed || err != nil {
			b.Fatal(changed, err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	c := fillExternal(million, flow.IPv4, 4)
	for name, scan := range map[string]func(Ref, int, func(*Entry) bool) Ref{"whole": c.Scan, "brief": c.ScanBrief} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			var from Ref
			for n := 0; n < b.N; {
				from = scan(from, min(1000, b.N-n), func(*Entry) bool { n++; return true })
			}
		})
	}
}

func BenchmarkPage(b *testing.B) {
	c := fillExternal(million, flow.IPv4, 4)
	for _, skip := range []int{0, 10_000, 500_000} {
		b.Run(fmt.Sprint("skip", skip), func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for range b.N {
				if got := page(&c.store, BySource, true, skip, 50, 1000, false, nil); len(got) != 50 {
					b.Fatal(len(got))
				}
			}
		})
	}
}

// threadTime is the CPU time of the calling thread: a pause that another process causes is not in it.
func threadTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// BenchmarkLongest reports the longest single call while a million flows are inserted, and the calls that concern all
// of them at once.
func BenchmarkLongest(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	worst := map[string]int64{}
	timed := func(name string, op func()) {
		before := threadTime()
		op()
		worst[name] = max(worst[name], threadTime()-before)
	}
	for range b.N {
		c := NewInternal(0)
		var f flow.Flow
		var o Outgoing
		insert := func() { _ = c.New(&f, 0) }
		for i := range million {
			f = nth(i, flow.IPv4, 4)
			timed("insert", insert)
		}
		for c.Next(&o) {
			c.Sent(o.Ref, 1)
		}
		for i := range million / 2 {
			f = nth(i, flow.IPv4, 4)
			c.Destroy(&f, 0)
		}
		timed("PeerForgot", c.PeerForgot)
		timed("BeginReconcile", c.BeginReconcile)
		timed("Flush", c.Flush)
		x := fillExternal(million, flow.IPv4, 4)
		timed("BeginSweep", x.BeginSweep)
		timed("Stats", func() { x.Stats() })
		timed("Reset", x.Reset)
	}
	for name, ns := range worst {
		b.ReportMetric(float64(ns)/1e3, name+"-µs")
	}
}

// BenchmarkGC is a full collection with a million flows in each cache.
func BenchmarkGC(b *testing.B) {
	for _, n := range []int{0, million} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, x := fillInternal(n, flow.IPv4, 4), fillExternal(n, flow.IPv4, 4)
			b.ResetTimer()
			defer cpu(b)()
			for range b.N {
				runtime.GC()
			}
			runtime.KeepAlive(c)
			runtime.KeepAlive(x)
		})
	}
}
