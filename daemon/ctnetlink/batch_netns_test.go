package ctnetlink

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// many makes n flows with different tuples: three quarters TCP and one UDP, every eighth source-translated.
func many(n int) []flow.Flow {
	fs := make([]flow.Flow, n)
	for i := range fs {
		t := flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, SrcPort: uint16(1024 + i%50000), DstPort: 80}
		binary.BigEndian.PutUint32(t.Src[:4], 0x0a640000+uint32(i/50000))
		t.Dst = flow.AddrFrom(netip.AddrFrom4([4]byte{10, 200, 0, 1}))
		if i%4 == 3 {
			t.Proto, t.DstPort = flow.UDP, 53
		}
		fs[i] = plain(t)
		if i%8 == 0 {
			fs[i].Reply.Dst = flow.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 50000)}))
			fs[i].Status |= natDone | flow.StatusSrcNAT
		}
	}
	return fs
}

// entries counts the flows of the kernel's table.
func entries(t *testing.T, c *Conn) (n int) {
	t.Helper()
	if _, err := c.Dump(0, func(*flow.Flow) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func mustApply(t testing.TB, do func([]flow.Flow, []unix.Errno) error, fs []flow.Flow) {
	t.Helper()
	errs := make([]unix.Errno, len(fs))
	if err := do(fs, errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 {
			t.Fatalf("%v: %v", fs[i].Orig, e)
		}
	}
}

func TestBatchErrors(t *testing.T) {
	c := dial(t, nstest.New(t))
	fs := many(1203)
	mustApply(t, c.Create, fs[100:101])
	mustApply(t, c.Create, fs[1202:]) // the last message of the last batch
	fs[0].Has &^= flow.HasTimeout
	fs[499] = helped(fs[499], "nosuch") // the last message of the first batch
	fs[500].Has, fs[500].Master = fs[500].Has|flow.HasMaster, tuple(flow.TCP, "10.9.9.9:1", "10.9.9.9:2")
	fs[700].Orig.Proto, fs[700].Orig.DstPort = flow.ICMP, 99<<8 // no such type
	want := make([]unix.Errno, len(fs))
	want[0], want[100], want[499], want[500] = unix.EINVAL, unix.EEXIST, unix.EOPNOTSUPP, unix.ENOENT
	want[700], want[1202] = unix.EINVAL, unix.EEXIST
	errs := make([]unix.Errno, len(fs)+5)
	for i := range errs {
		errs[i] = unix.EXDEV // what is there must go, but not beyond the flows
	}
	if err := c.Create(fs, errs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(want, unix.EXDEV, unix.EXDEV, unix.EXDEV, unix.EXDEV, unix.EXDEV), errs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := entries(t, c); n != len(fs)-4 {
		t.Errorf("%d entries, want %d", n, len(fs)-4)
	}
	if err := c.Create(nil, nil); err != nil {
		t.Errorf("nothing to create: %v", err)
	}
}

// TestLostAnswers gives the socket a receive buffer in which a batch of refusals does not fit.
func TestLostAnswers(t *testing.T) {
	c := dial(t, nstest.New(t))
	fs := many(2000)
	mustApply(t, c.Create, fs[:1700])
	if _, err := forceBuffer(c.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	errs := make([]unix.Errno, len(fs))
	create := func(b []byte, i int) []byte { return AppendCreate(b, &fs[i], true) }
	if lost, err := c.change(0, batchSize, errs, create); !lost || err != nil {
		t.Fatalf("nothing is lost: %v, error %v", lost, err)
	}
	if err := c.Create(fs[:1700], errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs[:1700] {
		if e != unix.EEXIST {
			t.Fatalf("flow %d: %v, want EEXIST", i, e)
		}
	}
	if err := c.Delete(fs, errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 && e != unix.ENOENT || i >= 1700 && e != unix.ENOENT {
			t.Fatalf("delete %d: %v", i, e)
		}
	}
	mustApply(t, c.Create, fs)
	got := make([]flow.Flow, len(fs))
	if err := c.GetBatch(fs, got, errs); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if errs[i] != 0 || got[i].Orig != fs[i].Orig {
			t.Fatalf("get %d: %v, %v", i, errs[i], got[i].Orig)
		}
	}
}

// TestShortSendBuffer gives the socket a send buffer in which a batch of requests does not fit.
func TestShortSendBuffer(t *testing.T) {
	c := dial(t, nstest.New(t))
	if _, err := forceBuffer(c.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	fs := many(1000)
	create := func(b []byte, i int) []byte { return AppendCreate(b, &fs[i], true) }
	if lost, err := c.change(0, batchSize, make([]unix.Errno, batchSize), create); !lost || err != nil {
		t.Fatalf("a batch fits: %v, error %v", lost, err)
	}
	mustApply(t, c.Create, fs)
	if n := entries(t, c); n != 1000 {
		t.Errorf("%d entries", n)
	}
}

func TestUpdate(t *testing.T) {
	ns := nstest.New(t)
	useLabels(t, ns)
	c := dial(t, ns)
	c.SetLiberal(false)
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	f.Mark, f.TCPState = 7, 2
	natted := zoned(nat(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"), "10.2.0.2:80", "192.0.2.1:99"), 0, 5)
	sctp := plain(tuple(flow.SCTP, "[fd01::1]:1001", "[fd02::1]:80"))
	fs := []flow.Flow{f, natted, sctp}
	mustApply(t, c.Create, fs)

	fs[0].Mark = 0
	fs[0].Timeout, fs[0].TCPState = 500, 3
	fs[0].TCPFlags[0] |= flow.TCPFlagBeLiberal
	fs[0].TCPWScale = [2]uint8{1, 2}
	fs[0].Has |= flow.HasSeqAdj | flow.HasSynproxy | flow.HasLabels
	fs[0].SeqAdj[1] = flow.SeqAdj{CorrectionPos: 5, OffsetAfter: 6}
	fs[0].Synproxy = flow.Synproxy{ISN: 1, ITS: 2, TSOff: 3}
	fs[0].Labels = [16]byte{4: 1}
	fs[0].Status |= flow.StatusSeqAdjust
	fs[1].Mark, fs[1].Timeout = 9, 100
	fs[2].SCTPState, fs[2].SCTPVTag = 5, [2]uint32{1, 2}
	mustApply(t, c.Update, fs)
	for _, want := range fs {
		var got flow.Flow
		if err := c.Get(&want.Orig, flow.Original, &got); err != nil {
			t.Error(err)
		} else if diff := sameFlow(want, settled(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}

	// What an update does not carry stays.
	partial := flow.Flow{Orig: fs[1].Orig, Has: flow.HasTimeout, Timeout: 50}
	mustApply(t, c.Update, []flow.Flow{partial})
	fs[1].Timeout = 50
	var got flow.Flow
	if err := c.Get(&fs[1].Reply, flow.Reply, &got); err != nil {
		t.Fatal(err)
	}
	if diff := sameFlow(fs[1], settled(got)); diff != "" {
		t.Errorf("after a partial update (-want +got)\n%s", diff)
	}

	errs := make([]unix.Errno, 3)
	weaker := fs[0]
	weaker.Status = flow.StatusConfirmed
	expected := fs[0]
	expected.Status |= flow.StatusExpected
	absent := plain(tuple(flow.TCP, "10.1.0.1:1", "10.2.0.1:1"))
	if err := c.Update([]flow.Flow{weaker, expected, absent}, errs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]unix.Errno{unix.EBUSY, unix.EBUSY, unix.ENOENT}, errs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUpdateLabelsWithoutRule(t *testing.T) {
	c := dial(t, nstest.New(t))
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	f.Has |= flow.HasLabels
	f.Labels = [16]byte{1}
	mustApply(t, c.Create, []flow.Flow{f}) // the kernel drops the labels
	f.Timeout = 77
	errs := make([]unix.Errno, 1)
	if err := c.Update([]flow.Flow{f}, errs); err != nil || errs[0] != unix.ENOSPC {
		t.Errorf("error %v, errno %v, want ENOSPC", err, errs[0])
	}
	var got flow.Flow
	if err := c.Get(&f.Orig, flow.Original, &got); err != nil || got.Timeout > 77 || got.Has.Is(flow.HasLabels) {
		t.Errorf("error %v, %+v", err, got)
	}
}

func TestLiberal(t *testing.T) {
	c := dial(t, nstest.New(t))
	f := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	fromPeer := plain(tuple(flow.TCP, "10.1.0.1:1002", "10.2.0.1:80"))
	fromPeer.Has &^= flow.HasTCPFlags
	stateAlone := plain(tuple(flow.TCP, "10.1.0.1:1003", "10.2.0.1:80"))
	stateAlone.Has &^= flow.HasTCPFlags | flow.HasTCPWScale
	mustApply(t, c.Create, []flow.Flow{f, fromPeer, stateAlone})
	for _, tc := range []struct {
		f      flow.Flow
		flags  [2]uint8
		wscale [2]uint8
	}{
		{f, [2]uint8{0x0b, 0x09}, [2]uint8{7, 9}},
		{fromPeer, [2]uint8{0x0b, 0x0b}, [2]uint8{7, 9}},
		{stateAlone, [2]uint8{0x08, 0x08}, [2]uint8{}},
	} {
		var got flow.Flow
		if err := c.Get(&tc.f.Orig, flow.Original, &got); err != nil {
			t.Fatal(err)
		}
		if got.TCPFlags != tc.flags || got.TCPWScale != tc.wscale || got.TCPState != 3 {
			t.Errorf("flags %x scales %v state %d, want %x and %v",
				got.TCPFlags, got.TCPWScale, got.TCPState, tc.flags, tc.wscale)
		}
	}
}

// A flow that no window scales are known of is be-liberal even where windows are tracked.
func TestLiberalWithoutScales(t *testing.T) {
	c := dial(t, nstest.New(t))
	c.SetLiberal(false)
	known := plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80"))
	unknown := plain(tuple(flow.TCP, "10.1.0.1:1002", "10.2.0.1:80"))
	unknown.Has &^= flow.HasTCPFlags | flow.HasTCPWScale
	flows := []flow.Flow{known, unknown}
	mustApply(t, c.Create, flows)
	mustApply(t, c.Update, flows)
	for i, liberal := range []bool{false, true} {
		var got flow.Flow
		if err := c.Get(&flows[i].Orig, flow.Original, &got); err != nil {
			t.Fatal(err)
		}
		for dir, flags := range got.TCPFlags {
			if flags&flow.TCPFlagBeLiberal != 0 != liberal {
				t.Errorf("flow %d direction %d: flags %x, want be-liberal %v", i, dir, flags, liberal)
			}
		}
	}
}

func TestDelete(t *testing.T) {
	c := dial(t, nstest.New(t))
	fs := []flow.Flow{
		plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80")),
		zoned(plain(tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:80")), 3, 3),
		zoned(plain(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80")), 4, 0),
		zoned(plain(tuple(flow.TCP, "10.1.0.1:1002", "10.2.0.1:80")), 0, 4),
		plain(icmp(flow.ICMP, "10.1.0.1:0", "10.2.0.1:0", 5, 8, 0)),
		plain(tuple(50, "10.1.0.1:0", "10.2.0.1:0")),
	}
	mustApply(t, c.Create, fs)
	var alive flow.Flow
	if err := c.Get(&fs[0].Orig, flow.Original, &alive); err != nil {
		t.Fatal(err)
	}
	errs := make([]unix.Errno, 1)
	older := alive
	older.ID++
	if err := c.Delete([]flow.Flow{older}, errs); err != nil || errs[0] != unix.ENOENT {
		t.Errorf("another id: error %v, errno %v", err, errs[0])
	}
	mustApply(t, c.Delete, []flow.Flow{alive})
	if n := entries(t, c); n != len(fs)-1 {
		t.Errorf("%d entries left", n)
	}
	mustApply(t, c.Delete, fs[1:])
	if n := entries(t, c); n != 0 {
		t.Errorf("%d entries left", n)
	}
	if err := c.Delete(fs[:1], errs); err != nil || errs[0] != unix.ENOENT {
		t.Errorf("absent: error %v, errno %v", err, errs[0])
	}
	if err := c.Get(&fs[0].Orig, flow.Original, &alive); !errors.Is(err, unix.ENOENT) || alive != (flow.Flow{}) {
		t.Errorf("get of an absent flow: %v, %+v", err, alive)
	}
}

func TestGetBatch(t *testing.T) {
	c := dial(t, nstest.New(t))
	fs := many(1100)
	mustApply(t, c.Create, fs[:1099])
	mustApply(t, c.Delete, fs[500:501])
	out := make([]flow.Flow, len(fs))
	errs := make([]unix.Errno, len(fs))
	for i := range out {
		out[i] = everything()
	}
	if err := c.GetBatch(fs, out, errs); err != nil {
		t.Fatal(err)
	}
	for i := range fs {
		want := unix.Errno(0)
		if i == 500 || i == 1099 {
			want = unix.ENOENT
		}
		if errs[i] != want || want == 0 && out[i].Orig != fs[i].Orig || want != 0 && out[i] != (flow.Flow{}) {
			t.Fatalf("%d: %v, %v", i, errs[i], out[i].Orig)
		}
	}
}
