package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

const second = int64(time.Second)

// hashes that force collisions: all keys in one place, and all keys in one shard with one tag.
func collide(s *store, kind int) {
	h4, h6 := s.v4.hash, s.v6.hash
	switch kind {
	case 1:
		s.v4.hash = func(key4) uint64 { return 0 }
		s.v6.hash = func(key6) uint64 { return ^uint64(0) }
	case 2:
		s.v4.hash = func(k key4) uint64 { return h4(k) & 7 }
		s.v6.hash = func(k key6) uint64 { return h6(k)&3 - 2 }
	}
}

func genAddr(fam flow.Family) *rapid.Generator[flow.Addr] {
	return rapid.Custom(func(t *rapid.T) (a flow.Addr) {
		n := 4
		if fam == flow.IPv6 {
			n = 16
		}
		for i := range n {
			a[i] = byte(rapid.IntRange(0, 3).Draw(t, "byte"))
		}
		return a
	})
}

func genTuple(fam flow.Family) *rapid.Generator[flow.Tuple] {
	return rapid.Custom(func(t *rapid.T) flow.Tuple {
		return flow.Tuple{
			Src: genAddr(fam).Draw(t, "src"), Dst: genAddr(fam).Draw(t, "dst"),
			SrcPort: rapid.Uint16().Draw(t, "sport"), DstPort: rapid.Uint16().Draw(t, "dport"),
			Family: fam, Proto: flow.Proto(rapid.Uint8().Draw(t, "proto")), Zone: rapid.Uint16().Draw(t, "zone"),
		}
	})
}

func gen16(t *rapid.T, label string) (b [16]byte) {
	copy(b[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, label))
	return b
}

// genFlow draws a flow with any attributes and zero fields for the absent ones, as the codecs make them.
func genFlow(orig flow.Tuple) *rapid.Generator[flow.Flow] {
	return rapid.Custom(func(t *rapid.T) flow.Flow {
		f := flow.Flow{Orig: orig, Has: flow.Attr(rapid.Uint32().Draw(t, "has")) & (flow.HasMask - 1)}
		u32 := func() uint32 { return rapid.Uint32().Draw(t, "u32") }
		u8 := func() uint8 { return rapid.Uint8().Draw(t, "u8") }
		on := func(a flow.Attr, set func()) {
			if f.Has.Is(a) {
				set()
			}
		}
		on(flow.HasReply, func() {
			f.Reply = orig.Inverse()
			if rapid.Bool().Draw(t, "nat") {
				f.Reply = genTuple(orig.Family).Draw(t, "reply")
			}
		})
		on(flow.HasStatus, func() { f.Status = u32() })
		on(flow.HasTimeout, func() { f.Timeout = u32() })
		on(flow.HasMark, func() { f.Mark = u32() })
		on(flow.HasID, func() { f.ID = u32() })
		on(flow.HasTCPState, func() { f.TCPState = u8() })
		on(flow.HasTCPWScale, func() { f.TCPWScale = [2]uint8{u8(), u8()} })
		on(flow.HasTCPFlags, func() { f.TCPFlags = [2]uint8{u8(), u8()} })
		on(flow.HasSCTP, func() { f.SCTPState, f.SCTPVTag = u8(), [2]uint32{u32(), u32()} })
		on(flow.HasDCCP, func() { f.DCCPState, f.DCCPRole = u8(), u8() })
		on(flow.HasMaster, func() { f.Master = genTuple(orig.Family).Draw(t, "master") })
		on(flow.HasSeqAdj, func() {
			for i := range f.SeqAdj {
				f.SeqAdj[i] = flow.SeqAdj{CorrectionPos: u32(), OffsetBefore: u32(), OffsetAfter: u32()}
			}
		})
		on(flow.HasSynproxy, func() { f.Synproxy = flow.Synproxy{ISN: u32(), ITS: u32(), TSOff: u32()} })
		on(flow.HasHelper, func() { f.Helper = gen16(t, "helper") })
		on(flow.HasLabels, func() { f.Labels = gen16(t, "labels") })
		on(flow.HasCounters, func() { f.Packets[0], f.Bytes[1] = uint64(u32()), uint64(u32()) })
		on(flow.HasTimestamp, func() { f.Start, f.Stop = uint64(u32()), uint64(u32()) })
		on(flow.HasUse, func() { f.Use = u32() })
		return f
	})
}

// asKept returns f without what a cache drops (package comment).
func asKept(f flow.Flow) flow.Flow {
	f.Has &^= flow.HasUse | flow.HasCounters | flow.HasTimestamp
	f.Use, f.Start, f.Stop = 0, 0, 0
	f.Packets, f.Bytes = [2]uint64{}, [2]uint64{}
	return f
}

// pool returns few tuples, so that operations meet: both families, pairs that differ in the zone or one port only.
func pool(t *rapid.T) []flow.Tuple {
	a, b := genTuple(flow.IPv4).Draw(t, "v4"), genTuple(flow.IPv6).Draw(t, "v6")
	var p []flow.Tuple
	for i := range uint16(rapid.IntRange(1, 12).Draw(t, "pool")) {
		a.SrcPort, b.Zone = i/2, i/2
		a.Zone, b.DstPort = i%2, i%2
		p = append(p, a, b)
	}
	return p
}

func TestStoreKeepsEveryAttribute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fam := rapid.SampledFrom([]flow.Family{flow.IPv4, flow.IPv6}).Draw(t, "family")
		orig := genTuple(fam).Draw(t, "orig")
		f, u := genFlow(orig).Draw(t, "flow"), genFlow(orig).Draw(t, "update")
		x := NewExternal(0)
		if err := x.New(&f, 5*second); err != nil {
			t.Fatal(err)
		}
		r, ok := x.Lookup(&orig)
		if !ok {
			t.Fatal("not found")
		}
		e := Entry{Flow: flow.Flow{Mark: 99, Labels: [16]byte{1}}} // must be overwritten
		if x.Load(r, &e); e.Flow != asKept(f) {
			t.Fatalf("load after new:\n%s", cmp.Diff(asKept(f), e.Flow))
		}
		if err := x.Update(&u, 8*second+1); err != nil {
			t.Fatal(err)
		}
		want := f
		want.Merge(&u)
		if u.Has.Is(flow.HasReply) && u.Reply != orig.Inverse() {
			want.Reply = u.Reply
		}
		x.Load(r, &e)
		want.Timeout = e.Flow.Timeout // TestIdle is about the timeout and the time of the update
		if e.Flow != asKept(want) {
			t.Fatalf("load after update:\n%s", cmp.Diff(asKept(want), e.Flow))
		}
		if e.Created != 5*second || e.Ref != r {
			t.Fatalf("created %d, ref %d", e.Created, e.Ref)
		}
		x.Remove(r)
		checkEmpty(t, &x.store)
	})
}

// checkEmpty fails when an emptied store still holds something.
func checkEmpty(t interface{ Fatalf(string, ...any) }, s *store) {
	if s.active != 0 || s.v4.records.n != 0 || s.v6.records.n != 0 ||
		s.v4.replies.n != 0 || s.v6.replies.n != 0 || s.extras.n != 0 {
		t.Fatalf("left over: active %d, records %d+%d, replies %d+%d, extras %d", s.active,
			s.v4.records.n, s.v6.records.n, s.v4.replies.n, s.v6.replies.n, s.extras.n)
	}
	for i := range s.v4.shards {
		if n := s.v4.shards[i].n + s.v6.shards[i].n; n != 0 {
			t.Fatalf("shard %d still has %d", i, n)
		}
		for _, e := range append(s.v4.shards[i].slots, s.v6.shards[i].slots...) {
			if e != 0 {
				t.Fatalf("shard %d has a slot %#x", i, e)
			}
		}
	}
}

func TestRefusesOtherFamilies(t *testing.T) {
	orig := flow.Tuple{Family: flow.IPv4, Src: flow.Addr{10}, Proto: flow.TCP}
	tests := map[string]flow.Flow{
		"no family":     {Orig: flow.Tuple{Proto: flow.TCP}},
		"unknown":       {Orig: flow.Tuple{Family: 7}},
		"mixed reply":   {Orig: orig, Reply: flow.Tuple{Family: flow.IPv6}, Has: flow.HasReply},
		"reply without": {Orig: orig, Has: flow.HasReply},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			x, n := NewExternal(10), NewInternal(10)
			for i, op := range []func(*flow.Flow, int64) error{x.New, x.Update, n.New, n.Update, n.Restored} {
				if err := op(&f, 1); err != ErrFamily {
					t.Errorf("operation %d: %v", i, err)
				}
			}
			if _, err := n.Reconcile(&f, 1); err != ErrFamily {
				t.Errorf("reconcile: %v", err)
			}
			n.Destroy(&f, 1)
			if _, ok := x.Lookup(&f.Orig); ok || x.Destroy(&f.Orig, 1) {
				t.Error("found")
			}
			if s := n.Stats(); s.Total != 0 || s.CreateFailed != 3 || s.UpdateFailed != 1 || n.Dirty() != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestLoadOfAnyRef(t *testing.T) {
	x, n := NewExternal(10), NewInternal(10)
	f := flow.Flow{Orig: flow.Tuple{Family: flow.IPv4}}
	for _, err := range []error{x.New(&f, 0), n.New(&f, 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var e Entry
	for _, r := range []Ref{
		0, 2, chunkSize + 1, numberMask, refIPv6, refIPv6 + 1, refExpect, refExpect + 1, 2 * refExpect, ^Ref(0),
	} {
		x.Remove(r)
		n.Sent(r, 1)
		n.Acked(r, 1)
		n.Lost(r, 1)
		if x.Load(r, &e) || n.Load(r, &e) || n.Announce(r) {
			t.Errorf("ref %#x names an entry", r)
		}
		x.Scan(r, 10, func(*Entry) bool { return true })
	}
	if !x.Load(1, &e) || !n.Load(1, &e) {
		t.Error("the entry is gone")
	}
}

func TestTimes(t *testing.T) {
	n := NewInternal(0)
	f := flow.Flow{Orig: flow.Tuple{Family: flow.IPv6}}
	base := int64(1e18) + 7 // a clock may begin anywhere
	for i, tc := range []struct{ at, want int64 }{
		{base, base}, {base + second - 1, base}, {base + second, base + second}, {base - 5*second, base},
	} {
		if err := n.Update(&f, tc.at); err != nil {
			t.Fatal(err)
		}
		var e Entry
		if n.Load(refIPv6|1, &e); e.Updated != tc.want || e.Created != base {
			t.Errorf("%d: created %d, updated %d, want %d", i, e.Created, e.Updated, tc.want)
		}
	}
}
