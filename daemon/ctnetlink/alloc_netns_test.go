package ctnetlink

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// noAllocs fails if f allocates.
func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(20, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func TestCodecAllocatesNothing(t *testing.T) {
	f := everything()
	msg := appendKernel(nil, &f)
	var got flow.Flow
	noAllocs(t, "DecodeFlow", func() {
		if DecodeFlow(msg, &got) != nil {
			t.Error("malformed")
		}
	})
	noAllocs(t, "DecodeFlow of rubbish", func() { _ = DecodeFlow(msg[:len(msg)-1], &got) })
	b := make([]byte, 0, 4*maxMessage)
	noAllocs(t, "requests", func() {
		b = AppendGet(AppendDelete(AppendUpdate(AppendCreate(b[:0], &f, true), &f, true), &f), &f.Orig, flow.Reply)
	})
}

// TestKernelAllocatesNothing counts allocations on the paths through the kernel, per batch, dump and drain, so also per
// flow.
func TestKernelAllocatesNothing(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	l := listen(t, ns, ListenConfig{Buffer: 32 << 20, Coalesce: time.Microsecond})
	fs := many(700)
	out := make([]flow.Flow, len(fs))
	errs := make([]unix.Errno, len(fs))
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
		for _, e := range errs {
			if e != 0 {
				t.Error(e)
				return
			}
		}
	}
	noAllocs(t, "create and delete", func() {
		check(c.Create(fs, errs))
		check(c.Delete(fs, errs))
	})
	mustApply(t, c.Create, fs)
	noAllocs(t, "update", func() { check(c.Update(fs, errs)) })
	noAllocs(t, "get", func() { check(c.GetBatch(fs, out, errs)) })
	noAllocs(t, "refusals", func() {
		if err := c.Create(fs, errs); err != nil || errs[0] != unix.EEXIST {
			t.Errorf("%v, %v", err, errs[0])
		}
	})
	n := 0
	count := func(*flow.Flow) error { n++; return nil }
	noAllocs(t, "dump", func() {
		n = 0
		if _, err := c.Dump(0, count); err != nil || n != len(fs) {
			t.Errorf("%d flows, error %v", n, err)
		}
	})
	var b Block
	noAllocs(t, "events", func() {
		for n := 0; n < len(fs); n += b.N { // there are 45 times as many
			if next(t, l, &b) {
				t.Fatal("overrun")
			}
		}
	})
}
