package ctnetlink

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

func TestDump(t *testing.T) {
	c := dial(t, nstest.New(t))
	fs := many(5000)
	v6 := plain(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80"))
	mustApply(t, c.Create, append(fs, v6))
	for _, tc := range []struct {
		family flow.Family
		want   int
	}{{0, 5001}, {flow.IPv4, 5000}, {flow.IPv6, 1}} {
		seen := map[flow.Tuple]int{}
		interrupted, err := c.Dump(tc.family, func(f *flow.Flow) error { seen[f.Orig]++; return nil })
		if err != nil || interrupted || len(seen) != tc.want {
			t.Errorf("family %v: %d flows, interrupted %v, error %v; want %d",
				tc.family, len(seen), interrupted, err, tc.want)
		}
		for tuple, n := range seen {
			if n != 1 {
				t.Errorf("%v comes %d times", tuple, n)
			}
		}
	}
}

// TestDumpAfterError: a dump that failed half way does not spoil the next one on the same Conn.
func TestDumpAfterError(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	mustApply(t, c.Create, many(5000))
	count := func() (n int, err error) {
		ns.Do(func() { _, err = c.Dump(0, func(*flow.Flow) error { n++; return nil }) })
		return n, err
	}
	whole := c.in
	c.in = newReceiver(1, 1024) // no datagram of a dump fits
	if n, err := count(); !errors.Is(err, errDumpCut) {
		t.Fatalf("%d flows, error %v", n, err)
	}
	c.in = whole
	if n, err := count(); n != 5000 || err != nil {
		t.Errorf("the next dump: %d flows, error %v", n, err)
	}
}

// TestDumpStopped ends a dump early and uses the socket again.
func TestDumpStopped(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	fs := many(5000)
	mustApply(t, c.Create, fs)
	enough := errors.New("enough")
	calls := 0
	var err error
	ns.Do(func() { // a new socket is opened, which must be inside the namespace
		_, err = c.Dump(0, func(*flow.Flow) error {
			calls++
			if calls == 10 {
				return enough
			}
			return nil
		})
	})
	if !errors.Is(err, enough) || calls != 10 {
		t.Errorf("%d calls, error %v", calls, err)
	}
	var got flow.Flow
	if err := c.Get(&fs[0].Orig, flow.Original, &got); err != nil || got.Orig != fs[0].Orig {
		t.Errorf("get after a stopped dump: %v", err)
	}
	calls = 0
	if _, err := c.Dump(0, func(*flow.Flow) error { calls++; return nil }); err != nil || calls != len(fs) {
		t.Errorf("dump after a stopped dump: %d flows, error %v", calls, err)
	}
}

// TestDumped walks datagrams that a kernel in trouble would send.
func TestDumped(t *testing.T) {
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	message := func(typ, flags uint16, seq uint32, payload ...byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(nlHeaderLen+len(payload)))
		b = binary.NativeEndian.AppendUint16(b, typ)
		b = binary.NativeEndian.AppendUint16(b, flags)
		b = binary.NativeEndian.AppendUint32(b, seq)
		return append(append(b, 0, 0, 0, 0), payload...)
	}
	result := func(e unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, -uint32(e)) }
	entry := appendKernel(nil, &f)
	setSeq(entry, 5)
	interruptedEntry := append([]byte(nil), entry...)
	binary.NativeEndian.PutUint16(interruptedEntry[6:], unix.NLM_F_DUMP_INTR)
	other := append([]byte(nil), entry...)
	setSeq(other, 4)
	join := func(bs ...[]byte) (all []byte) {
		for _, b := range bs {
			all = append(all, b...)
		}
		return all
	}
	for _, tc := range []struct {
		name              string
		b                 []byte
		n                 int
		interrupted, done bool
		err               error
	}{
		{"more to come", join(entry, entry), 2, false, false, nil},
		{"end", join(entry, message(unix.NLMSG_DONE, 0, 5, result(0)...), entry), 1, false, true, nil},
		{"end without a result", message(unix.NLMSG_DONE, 0, 5), 0, false, true, nil},
		{"end with an error", message(unix.NLMSG_DONE, 0, 5, result(unix.ENOMEM)...), 0, false, true, unix.ENOMEM},
		{"error in the middle", join(entry, message(unix.NLMSG_ERROR, 0, 5, result(unix.EPERM)...), entry), 1, false, true, unix.EPERM},
		{"acknowledgement in the middle", join(message(unix.NLMSG_ERROR, 0, 5, result(0)...), entry), 1, false, false, nil},
		{"interrupted", join(interruptedEntry, entry), 2, true, false, nil},
		{"interrupted at the end", message(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 5, result(0)...), 0, true, true, nil},
		{"of another dump", join(other, message(unix.NLMSG_DONE, 0, 4)), 0, false, false, nil},
		{"cut off", entry[:len(entry)-1], 0, false, false, ErrMalformed},
		{"rubbish after an entry", join(entry, []byte{1, 2, 3}), 1, false, false, ErrMalformed},
	} {
		n := 0
		c := Conn{seq: 5}
		interrupted, done, err := c.dumped(tc.b, func([]byte) { n++ })
		if n != tc.n || interrupted != tc.interrupted || done != tc.done || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d entries, interrupted %v, done %v, error %v", tc.name, n, interrupted, done, err)
		}
	}
}

// TestDCCP shows what this kernel does with DCCP: it tracks it whole, or, without its tracker (Linux 6.18 has none),
// as a protocol without ports.
func TestDCCP(t *testing.T) {
	c := dial(t, nstest.New(t))
	f := plain(tuple(flow.DCCP, "10.1.0.1:1001", "10.2.0.1:80"))
	f.Has |= flow.HasDCCP
	f.DCCPState, f.DCCPRole = 4, 1
	mustApply(t, c.Create, []flow.Flow{f})
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_dccp_loose"); err != nil {
		f.Orig.SrcPort, f.Orig.DstPort, f.Reply.SrcPort, f.Reply.DstPort = 0, 0, 0, 0
		f.DCCPState, f.DCCPRole = 0, 0
		f.Has &^= flow.HasDCCP
	}
	var got flow.Flow
	if err := c.Get(&f.Orig, flow.Original, &got); err != nil {
		t.Fatal(err)
	}
	if diff := sameFlow(f, settled(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
