package ctnetlink

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// TestDecodeDatagrams walks datagrams that hold more, less or other things than one event.
func TestDecodeDatagrams(t *testing.T) {
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	kindOf := func(message, flags uint16) []byte {
		b, at := openMessage(nil, message, flags, 2)
		b = append(b, appendKernel(nil, &f)[headerLen:]...)
		closeMessage(b, at)
		return b
	}
	otherSubsystem := kindOf(msgCtNew, 0)
	otherSubsystem[5] = 3
	noTuple, at := openMessage(nil, msgCtNew, 0, 2)
	closeMessage(noTuple, at)

	l := Listener{in: newReceiver(8, 1024)}
	for _, d := range [][]byte{
		kindOf(msgCtNew, unix.NLM_F_CREATE|unix.NLM_F_EXCL),
		append(kindOf(msgCtNew, 0), kindOf(msgCtDelete, 0)...),
		{},
		{1, 2, 3},
		otherSubsystem,
		append(noTuple, kindOf(msgCtDelete, 0)...),
	} {
		copy(l.in.buf[l.n*l.in.size:], d)
		l.in.hdrs[l.n].len = uint32(len(d))
		l.n++
	}
	l.in.hdrs[l.n].hdr.Flags = unix.MSG_TRUNC
	l.n++
	var b Block
	l.decode(&b)
	want := []Kind{EventNew, EventUpdate, EventDestroy, EventDestroy}
	if b.N != len(want) {
		t.Fatalf("%d events, want %d", b.N, len(want))
	}
	for i, k := range want {
		if b.Kind[i] != k || b.Flow[i] != f {
			t.Errorf("event %d: %v %+v, want %v", i, b.Kind[i], b.Flow[i], k)
		}
	}
	if s := l.Stats(); s.Unknown != 1 || s.Malformed != 4 {
		t.Errorf("%+v, want 1 unknown and 4 malformed", s)
	}
}

// TestIgnoreProgram runs the filter of port ids in x/net's machine.
func TestIgnoreProgram(t *testing.T) {
	ids := []uint32{1, 0x01020304, 0xfffffffe}
	raw, err := filterProgram(ids, new(flow.Filter))
	if err != nil {
		t.Fatal(err)
	}
	prog, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("not a program")
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		pid  uint32
		pass bool
	}{{0, true}, {2, true}, {0x04030201, true}, {1, false}, {0x01020304, false}, {0xfffffffe, false}} {
		b, at := openMessage(nil, msgCtNew, 0, 2)
		closeMessage(b, at)
		binary.NativeEndian.PutUint32(b[12:], tc.pid)
		if n, err := vm.Run(b); err != nil || (n > 0) != tc.pass {
			t.Errorf("port id %#x: keeps %d bytes, error %v, want pass = %v", tc.pid, n, err, tc.pass)
		}
	}
}

// TestPacer drives the pacer through rates of events, like a listener that drains every event as it comes and, after a
// wait, those of the wait.
func TestPacer(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name  string
		limit time.Duration
		gap   time.Duration // between events
		waits time.Duration // in the end
	}{
		{"off", 0, time.Microsecond, 0},
		{"one a second", 5 * ms, time.Second, 0},
		{"just under four per limit", 5 * ms, 1300 * time.Microsecond, 0},
		{"1000/s", 5 * ms, ms, 5 * ms},
		{"50000/s", 5 * ms, 20 * time.Microsecond, 5 * ms},
		{"50000/s, less patient", ms, 20 * time.Microsecond, ms},
		{"500000/s", 5 * ms, 2 * time.Microsecond, pacerEnough * 2 * time.Microsecond},
	} {
		p := newPacer(tc.limit)
		now := time.Hour
		if p.delay(1, now) != 0 {
			t.Errorf("%s: waits after the very first event", tc.name)
		}
		var d time.Duration
		for range 100 {
			n := max(1, int(d/tc.gap))
			now += time.Duration(n) * tc.gap
			if d = p.delay(n, now); d > tc.limit {
				t.Fatalf("%s: waits %v", tc.name, d)
			}
		}
		if off := (d - tc.waits).Abs(); off > tc.waits/100 {
			t.Errorf("%s: waits %v, want %v", tc.name, d, tc.waits)
		}
		if now += 10 * time.Second; p.delay(1, now) != 0 && tc.limit > 0 {
			t.Errorf("%s: waits for company after a pause", tc.name)
		}
	}
}
