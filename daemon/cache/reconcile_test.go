package cache

import (
	"testing"

	"ctsync/daemon/flow"
)

func TestReconcileTellsWhatMatters(t *testing.T) {
	base := uniform(tuple(1), kept, 1)
	tests := []struct {
		name   string
		change func(f *flow.Flow)
		want   bool
	}{
		{"nothing", func(*flow.Flow) {}, false},
		{"timeout", func(f *flow.Flow) { f.Timeout = 77 }, false},
		{"TCP flags", func(f *flow.Flow) { f.TCPFlags[1] = 0x10 }, false},
		{"offload", func(f *flow.Flow) { f.Status |= volatileStatus }, false},
		{"counters", func(f *flow.Flow) { f.Has |= flow.HasCounters | flow.HasUse; f.Packets[0], f.Use = 9, 2 }, false},
		{"absent ID", func(f *flow.Flow) { f.Has &^= flow.HasID; f.ID = 0 }, false},
		{"absent helper", func(f *flow.Flow) { f.Has &^= flow.HasHelper; f.Helper = [16]byte{} }, false},
		{"status", func(f *flow.Flow) { f.Status |= flow.StatusAssured }, true},
		{"mark", func(f *flow.Flow) { f.Mark = 2 }, true},
		{"absent mark is zero", func(f *flow.Flow) { f.Has &^= flow.HasMark; f.Mark = 0 }, true},
		{"labels", func(f *flow.Flow) { f.Labels[3] = 1 }, true},
		{"absent labels are zero", func(f *flow.Flow) { f.Has &^= flow.HasLabels; f.Labels = [16]byte{} }, true},
		{"TCP state", func(f *flow.Flow) { f.TCPState = 4 }, true},
		{"window scale", func(f *flow.Flow) { f.TCPWScale[0] = 7 }, true},
		{"SCTP", func(f *flow.Flow) { f.SCTPVTag[1] = 7 }, true},
		{"DCCP", func(f *flow.Flow) { f.DCCPState = 7 }, true},
		{"helper", func(f *flow.Flow) { f.Helper[0] = 'x' }, true},
		{"master", func(f *flow.Flow) { f.Master.DstPort = 1 }, true},
		{"sequence adjustment", func(f *flow.Flow) { f.SeqAdj[1].OffsetBefore = 3 }, true},
		{"synproxy", func(f *flow.Flow) { f.Synproxy.ISN = 3 }, true},
		{"reply tuple", func(f *flow.Flow) { f.Reply.DstPort = 3 }, true},
		{"ID", func(f *flow.Flow) { f.ID = 3 }, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			n := NewInternal(0)
			var o Outgoing
			must(t, n.New(&base, 10*second))
			n.Next(&o)
			n.Sent(o.Ref, 1)
			f := base
			tc.change(&f)
			n.BeginReconcile()
			changed, err := n.Reconcile(&f, 20*second)
			must(t, err)
			if changed != tc.want || (n.Dirty() == 1) != tc.want {
				t.Errorf("changed %v, %d dirty", changed, n.Dirty())
			}
			var e Entry
			if n.Load(o.Ref, &e); tc.want && (e.Updated != 20*second || e.Flow != f && f.Has == base.Has) {
				t.Errorf("updated %d, %+v", e.Updated, e.Flow)
			}
			if found, next := n.Stale(0, 10, make([]Entry, 1)); found != 0 || next != 0 {
				t.Error("stale")
			}
		})
	}
}

// TestReconcileComparesByValue: the kernel leaves out of an event what is zero or did not change, and writes other
// zeros into a dump, such as the mark and the state of a SYNPROXY that does nothing. Neither is a difference, whichever
// of the two has the attribute.
func TestReconcileComparesByValue(t *testing.T) {
	const always = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID
	full := uniform(tuple(1), always, 1)
	for bit := flow.Attr(1); bit != 0 && bit <= kept; bit <<= 1 {
		if bit&kept&^always == 0 {
			continue
		}
		for _, event := range []bool{false, true} {
			said, dumped := full, full
			if event {
				said.Has |= bit
			} else {
				dumped.Has |= bit
			}
			n := NewInternal(0)
			var o Outgoing
			must(t, n.New(&said, 0))
			n.Next(&o)
			n.Sent(o.Ref, 1)
			if ref, d := n.Compare(&dumped); ref != o.Ref || d != 0 {
				t.Errorf("%v, in the event %v: Compare says %v", bit, event, d)
			}
			n.BeginReconcile()
			if changed, err := n.Reconcile(&dumped, 0); changed || err != nil || n.Dirty() != 0 {
				t.Errorf("%v, in the event %v: changed %v, %v, %d dirty", bit, event, changed, err, n.Dirty())
			}
			must(t, n.Update(&said, 0)) // and an event meanwhile
			n.Next(&o)
			if changed, err := n.Reconcile(&dumped, 0); changed || err != nil || n.Dirty() != 0 {
				t.Errorf("%v, in the event %v, again: changed %v, %v, %d dirty", bit, event, changed, err, n.Dirty())
			}
			if found, _ := n.Stale(0, 10, make([]Entry, 1)); found != 0 {
				t.Errorf("%v, in the event %v: stale", bit, event)
			}
		}
	}
}

// TestReconcileTakesOverACommittedFlow: an entry of our own commit has no ID; the kernel's record may be another flow.
func TestReconcileTakesOverACommittedFlow(t *testing.T) {
	n := NewInternal(0)
	f := uniform(tuple(1), kept&^flow.HasID, 1)
	must(t, n.Restored(&f, 0))
	g := uniform(tuple(1), flow.HasReply|flow.HasID|flow.HasStatus, 2)
	n.Announce(1)
	var o Outgoing
	n.Next(&o)
	n.Sent(o.Ref, 1)
	n.Acked(o.Ref, 1)
	n.BeginReconcile()
	if changed, err := n.Reconcile(&g, 0); !changed || err != nil {
		t.Fatal(changed, err)
	}
	var e Entry
	if n.Load(1, &e); e.Flow != g {
		t.Errorf("%+v", e.Flow)
	}
	if n.Next(&o); o.Type != KindNew {
		t.Errorf("sent as %d: the peer would keep what the other flow had", o.Type)
	}
}

// TestUpdateDoesNotVouch: an UPDATE of an entry without an ID may be of another flow, and does not carry all of it.
func TestUpdateDoesNotVouch(t *testing.T) {
	n := NewInternal(0)
	f := uniform(tuple(1), kept&^flow.HasID, 1)
	must(t, n.Restored(&f, 0))
	g := uniform(tuple(1), flow.HasReply|flow.HasID|flow.HasMark, 2)
	must(t, n.Update(&g, 0))
	n.BeginReconcile()
	_, err := n.Reconcile(&g, 0)
	must(t, err)
	var e Entry
	if n.Load(1, &e); e.Flow != g {
		t.Errorf("%+v", e.Flow)
	}
}

// TestReconcileLeavesDoubtToStale: a dump record does not undo an event, it makes the entry stale.
func TestReconcileLeavesDoubtToStale(t *testing.T) {
	events := map[string]func(*Internal, *flow.Flow, int64) error{
		"new": (*Internal).New, "update": (*Internal).Update, "restored": (*Internal).Restored,
	}
	for name, event := range events {
		for _, id := range []uint32{1, 2} {
			n := NewInternal(0)
			old, f := numbered(1, 1), uniform(tuple(1), flow.HasMark|flow.HasID, 7)
			old.ID, f.ID = id, 1
			must(t, n.New(&f, 0))
			n.BeginReconcile()
			must(t, event(n, &f, 0))
			changed, err := n.Reconcile(&old, 0)
			out := make([]Entry, 1)
			found, _ := n.Stale(0, 10, out)
			if changed || err != nil || found != 1 || out[0].Flow != f {
				t.Errorf("%s: changed %v, %v; %d stale", name, changed, err, found)
			}
			if changed, err = n.Reconcile(&old, 0); !changed || err != nil { // what the kernel has now
				t.Errorf("%s: the kernel's answer is not taken: %v, %v", name, changed, err)
			}
			if found, _ = n.Stale(0, 10, out); found != 0 {
				t.Errorf("%s: still stale", name)
			}
		}
	}
}

// TestReconcileRemembersEndedFlows: a dump record is older than the DESTROY that was handled before it.
func TestReconcileRemembersEndedFlows(t *testing.T) {
	n := NewInternal(0)
	a, b := numbered(1, 1), numbered(1, 2)
	must(t, n.New(&a, 0))
	n.BeginReconcile()
	n.Destroy(&a, 0)
	if changed, err := n.Reconcile(&a, 0); changed || err != nil || n.Len() != 0 {
		t.Errorf("an ended flow is back: %v, %v", changed, err)
	}
	other := a
	other.Orig.Family = flow.IPv6
	if changed, err := n.Reconcile(&other, 0); !changed || err != nil {
		t.Errorf("a flow of the other family is taken for it: %v, %v", changed, err)
	}
	n.Destroy(&other, 0)
	if changed, err := n.Reconcile(&b, 0); !changed || err != nil || n.Len() != 1 {
		t.Errorf("the next flow under the tuple is missing: %v, %v", changed, err)
	}
	n.EndReconcile()
	n.BeginReconcile()
	n.Destroy(&b, 0)
	n.EndReconcile()
	if changed, _ := n.Reconcile(&b, 0); !changed {
		t.Error("remembered after the end of the reconcile")
	}
}

func TestReconcileOverflow(t *testing.T) {
	n := NewInternal(0)
	n.BeginReconcile()
	for i := range maxTombstones {
		f := numbered(0, uint32(i))
		n.Destroy(&f, 0)
	}
	for i := range maxTombstones {
		if f := numbered(0, uint32(i)); !n.repair.has(&f) {
			t.Fatalf("flow %d is forgotten", i)
		}
	}
	f := numbered(1, 1)
	n.Destroy(&f, 0)
	if !n.EndReconcile() {
		t.Error("no overflow")
	}
	n.BeginReconcile()
	if n.EndReconcile() {
		t.Error("overflow of the reconcile before")
	}
}

// TestStaleIsSliced: no more than max entries are looked at, and no more than fit are returned.
func TestStaleIsSliced(t *testing.T) {
	n := NewInternal(0)
	for i := range 100 {
		f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 0)
		must(t, n.New(&f, 0))
	}
	n.BeginReconcile()
	for i := range 100 {
		if f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 0); i%4 < 2 {
			_, err := n.Reconcile(&f, 0)
			must(t, err)
		}
	}
	out := make([]Entry, 7)
	got := map[flow.Tuple]int{}
	for from, rounds := Ref(0), 0; ; rounds++ {
		found, next := n.Stale(from, 5, out)
		if found > 5 || rounds > 50 {
			t.Fatalf("%d found in round %d", found, rounds)
		}
		for _, e := range out[:found] {
			got[e.Flow.Orig]++
		}
		if from = next; from == 0 {
			break
		}
	}
	for i := range 100 {
		f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 0)
		if want := (i % 4) / 2; got[f.Orig] != want {
			t.Errorf("flow %d listed %d times, want %d", i, got[f.Orig], want)
		}
	}
}

// TestCompare finds what TestReconcileTellsWhatMatters does, and changes nothing.
func TestCompare(t *testing.T) {
	base := uniform(tuple(1), kept, 1)
	for _, tc := range []struct {
		name   string
		change func(f *flow.Flow)
		want   flow.Attr
	}{
		{"nothing", func(*flow.Flow) {}, 0},
		{"what does not matter", func(f *flow.Flow) {
			f.Timeout, f.TCPFlags, f.Use = 77, [2]uint8{1, 2}, 3
			f.Status |= flow.StatusDying
		}, 0},
		{"absent attributes", func(f *flow.Flow) {
			f.Has &^= flow.HasHelper | flow.HasID
			f.Helper, f.ID = [16]byte{}, 0
		}, 0},
		{"status, state and mark", func(f *flow.Flow) {
			f.Status |= flow.StatusAssured
			f.TCPState, f.Mark = 4, 2
		}, flow.HasStatus | flow.HasTCPState | flow.HasMark},
		{"absent mark and labels are zero", func(f *flow.Flow) {
			f.Has &^= flow.HasMark | flow.HasLabels
			f.Mark, f.Labels = 0, [16]byte{}
		}, flow.HasMark | flow.HasLabels},
		{"everything", func(f *flow.Flow) {
			f.Reply.DstPort, f.TCPWScale[0], f.SCTPState, f.DCCPState, f.Helper[0] = 3, 7, 7, 7, 'x'
			f.Master.DstPort, f.SeqAdj[0].OffsetAfter, f.Synproxy.ISN, f.ID = 1, 9, 9, 3
		}, flow.HasReply | flow.HasTCPWScale | flow.HasSCTP | flow.HasDCCP | flow.HasHelper | flow.HasMaster |
			flow.HasSeqAdj | flow.HasSynproxy | flow.HasID},
	} {
		n := NewInternal(0)
		must(t, n.New(&base, 10*second))
		before := n.Stats()
		f := base
		tc.change(&f)
		ref, got := n.Compare(&f)
		if ref == 0 || got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		var e Entry
		if n.Load(ref, &e); e.Flow != base || n.Stats() != before {
			t.Errorf("%s: the cache changed", tc.name)
		}
	}
	n := NewInternal(0)
	if ref, d := n.Compare(&base); ref != 0 || d != 0 {
		t.Errorf("not cached: %d, %v", ref, d)
	}
	must(t, n.New(&base, 0))
	n.Flush()
	if ref, _ := n.Compare(&base); ref != 0 {
		t.Error("a flushed entry was found")
	}
}
