package ctnetlink

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// cpu returns the processor time that the process has used, which is what the figures of the package are about: the
// wall clock includes what others did on the machine.
func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, used time.Duration, items int) {
	b.ReportMetric(float64(used.Nanoseconds())/float64(items), "cpu-ns/flow")
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range []sample{
		{"tcp", plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))},
		{"tcp6", plain(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80"))},
		{"udp", plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))},
		{"everything", everything()},
	} {
		b.Run(s.name, func(b *testing.B) {
			msg := appendKernel(nil, &s.f)
			var f flow.Flow
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeFlow(msg, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendCreate(b *testing.B) {
	for _, s := range []sample{
		{"tcp", plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))},
		{"tcp snat", nat(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"), "10.2.0.1:80", "192.0.2.1:40000")},
		{"everything", everything()},
	} {
		b.Run(s.name, func(b *testing.B) {
			buf := make([]byte, 0, maxMessage)
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendCreate(buf[:0], &s.f, true)
			}
		})
	}
}

const benchFlows = 100_000

// BenchmarkCreate100k makes 100,000 flows, an eighth source-translated, in an empty table; deleting them is not
// counted. What Create does is the last variant.
func BenchmarkCreate100k(b *testing.B) {
	acked := func(b []byte, f *flow.Flow, liberal bool) []byte {
		at := len(b)
		b = AppendCreate(b, f, liberal)
		setAck(b[at:])
		return b
	}
	for _, tc := range []struct {
		name  string
		batch int
		app   func(b []byte, f *flow.Flow, liberal bool) []byte
	}{
		{"1 per send, acked", 1, AppendCreate},
		{"500 per send, each acked", batchSize, acked},
		{"64 per send, last acked", 64, AppendCreate},
		{"500 per send, last acked", batchSize, AppendCreate},
	} {
		b.Run(tc.name, func(b *testing.B) {
			c := dial(b, nstest.New(b))
			c.batch = tc.batch
			fs := many(benchFlows)
			errs := make([]unix.Errno, len(fs))
			var used time.Duration
			b.ReportAllocs()
			for b.Loop() {
				before := cpu(b)
				err := c.apply(len(fs), errs, func(b []byte, i int) []byte { return tc.app(b, &fs[i], c.liberal) })
				if err != nil || errs[0] != 0 || errs[len(fs)-1] != 0 {
					b.Fatal(err, errs[0], errs[len(fs)-1])
				}
				used += cpu(b) - before
				b.StopTimer()
				if err := c.Delete(fs, errs); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			reportCPU(b, used, b.N*len(fs))
		})
	}
}

// BenchmarkDump100k dumps 100,000 flows.
func BenchmarkDump100k(b *testing.B) {
	c := dial(b, nstest.New(b))
	mustApply(b, c.Create, many(benchFlows))
	n := 0
	before := cpu(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Dump(0, func(*flow.Flow) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, cpu(b)-before, n)
}

// BenchmarkGet100k looks 100,000 flows up.
func BenchmarkGet100k(b *testing.B) {
	c := dial(b, nstest.New(b))
	fs := many(benchFlows)
	mustApply(b, c.Create, fs)
	out := make([]flow.Flow, len(fs))
	errs := make([]unix.Errno, len(fs))
	before := cpu(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.GetBatch(fs, out, errs); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, cpu(b)-before, b.N*len(fs))
}

// BenchmarkEvents100k reads 100,000 events that wait in the socket.
func BenchmarkEvents100k(b *testing.B) {
	ns := nstest.New(b)
	c := dial(b, ns)
	l := listen(b, ns, ListenConfig{Buffer: 256 << 20})
	fs := many(benchFlows)
	errs := make([]unix.Errno, len(fs))
	var used time.Duration
	var block Block
	take := func() {
		for n := 0; n < len(fs); n += block.N {
			if next(b, l, &block) {
				b.Fatal("overrun")
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := c.Create(fs, errs); err != nil {
			b.Fatal(err)
		}
		before := cpu(b)
		b.StartTimer()
		take()
		b.StopTimer()
		used += cpu(b) - before
		if err := c.Delete(fs, errs); err != nil {
			b.Fatal(err)
		}
		take()
		b.StartTimer()
	}
	reportCPU(b, used, b.N*len(fs))
}
