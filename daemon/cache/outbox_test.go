package cache

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

func tuple(i int) flow.Tuple {
	return flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 0, byte(i >> 8), byte(i)}, DstPort: 80}
}

func numbered(i int, id uint32) flow.Flow {
	return flow.Flow{Orig: tuple(i), Has: flow.HasID, ID: id}
}

// TestDirtyIsFIFO compares the order of messages with a plain list.
func TestDirtyIsFIFO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := NewInternal(0)
		n.out.ticket = rapid.SampledFrom([]uint32{0, ^uint32(9)}).Draw(t, "ticket")
		var queue []int
		live, ended, known := map[int]bool{}, map[int]bool{}, map[int]bool{}
		remove := func(i int) { queue = slices.DeleteFunc(queue, func(q int) bool { return q == i }) }
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			i := rapid.IntRange(0, 4).Draw(t, "flow")
			f := numbered(i, 1)
			switch rapid.IntRange(0, 4).Draw(t, "operation") {
			case 0, 1:
				if ended[i] {
					remove(i) // comes alive again: a new place
				}
				if !slices.Contains(queue, i) {
					queue = append(queue, i)
				}
				live[i], ended[i] = true, false
				if err := n.Update(&f, 0); err != nil {
					t.Fatal(err)
				}
			case 2:
				if live[i] {
					remove(i)
					if known[i] {
						queue = append(queue, i)
						ended[i] = true
					}
					live[i] = false
				}
				n.Destroy(&f, 0)
			default:
				if n.Dirty() != len(queue) {
					t.Fatalf("%d dirty, want %d", n.Dirty(), len(queue))
				}
				var o Outgoing
				if got := n.Next(&o); got != (len(queue) > 0) {
					t.Fatal("next", got)
				} else if !got {
					continue
				}
				head := queue[0]
				queue = queue[1:]
				want := KindNew
				switch {
				case ended[head]:
					want = KindDestroy
				case known[head]:
					want = KindUpdate
				}
				// An Update over an ended flow is another incarnation.
				if o.Flow.Orig != tuple(head) || o.Type != want && !(want == KindUpdate && o.Type == KindNew) {
					t.Fatalf("next is %+v of type %d, want flow %d of type %d", o.Flow.Orig, o.Type, head, want)
				}
				n.Sent(o.Ref, 7)
				known[head] = true
				if rapid.Bool().Draw(t, "acked") {
					n.Acked(o.Ref, 7)
					if ended[head] {
						known[head], ended[head] = false, false
					}
				}
			}
		}
	})
}

// TestMessages lists what is sent for a sequence of events.
func TestMessages(t *testing.T) {
	const newer = 2
	tests := []struct {
		name string
		ops  string // see below
		want []Kind
	}{
		{"created", "ns", []Kind{KindNew}},
		{"changed before it is sent", "nuus", []Kind{KindNew}},
		{"changed after", "nsus", []Kind{KindNew, KindUpdate}},
		{"changed after the acknowledgement", "nsaus", []Kind{KindNew, KindUpdate}},
		{"first seen as update", "us", []Kind{KindNew}},
		{"born and dead unsent", "nuds", nil},
		{"ended", "nsads", []Kind{KindNew, KindDestroy}},
		{"ended before the acknowledgement", "nsds", []Kind{KindNew, KindDestroy}},
		{"ended while dirty", "nsuds", []Kind{KindNew, KindDestroy}},
		{"ended twice", "nsdsds", []Kind{KindNew, KindDestroy}},
		{"end of another incarnation", "nsDs", []Kind{KindNew}},
		{"used again while known", "nsNs", []Kind{KindNew, KindNew}},
		{"used again, missed NEW", "nsUs", []Kind{KindNew, KindNew}},
		{"used again and changed", "nsNsus", []Kind{KindNew, KindNew, KindUpdate}},
		{"used again before its end is sent", "nsdNs", []Kind{KindNew, KindNew}},
		{"used again after its end is sent", "nsdsNs", []Kind{KindNew, KindDestroy, KindNew}},
		{"used again after its end is acknowledged", "nsdsaNs", []Kind{KindNew, KindDestroy, KindNew}},
		{"lost", "nsls", []Kind{KindNew, KindNew}},
		{"update lost", "nsausls", []Kind{KindNew, KindUpdate, KindUpdate}},
		{"NEW and update lost", "nsusls", []Kind{KindNew, KindUpdate, KindNew}},
		{"end lost", "nsadsls", []Kind{KindNew, KindDestroy, KindDestroy}},
		{"ended after its NEW was lost", "nslds", []Kind{KindNew, KindDestroy}},
		{"peer restarts", "nsafus", []Kind{KindNew, KindNew}},
		{"peer restarts while dirty", "nsaufs", []Kind{KindNew, KindNew}},
		{"peer restarts, nothing changes", "nsafs", []Kind{KindNew}},
		{"peer restarts, announced", "nsafbs", []Kind{KindNew, KindNew}},
		{"peer restarts before the end is sent", "nsadfs", []Kind{KindNew}},
		{"peer restarts before the end is acknowledged", "nsadsfs", []Kind{KindNew, KindDestroy}},
		{"peer restarts, then the end is lost", "nsadsfls", []Kind{KindNew, KindDestroy}},
		{"peer restarts, used again", "nsadfNs", []Kind{KindNew, KindNew}},
		{"peer restarts, ends", "nsafds", []Kind{KindNew}},
		{"announced", "nsabs", []Kind{KindNew, KindUpdate}},
		{"restored", "rs", nil},
		{"restored and announced", "rbs", []Kind{KindNew}},
		{"restored and ended", "rds", nil},
		{"restored over a known one", "nsars", []Kind{KindNew}},
		{"restored over a dirty one", "nrs", []Kind{KindNew}},
		{"restored over an ended one", "nsadrs", []Kind{KindNew, KindNew}},
		{"restored, changed", "rus", []Kind{KindNew}},
		{"flushed", "nsaFs", []Kind{KindNew}},
		{"flushed and gone from the kernel", "nsaFRs", []Kind{KindNew, KindDestroy}},
		{"flushed unsent and gone from the kernel", "nFRs", nil},
		{"flushed and still in the kernel", "nsaFks", []Kind{KindNew, KindNew}},
		{"flushed and ended", "nsaFds", []Kind{KindNew, KindDestroy}},
		{"flushed and changed", "nsaFus", []Kind{KindNew, KindNew}},
		{"gone from the kernel", "nsaRs", []Kind{KindNew, KindDestroy}},
		{"unchanged in the kernel", "nsaks", []Kind{KindNew}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			n := NewInternal(10)
			f, g := numbered(1, 1), numbered(1, newer)
			var o Outgoing
			var got []Kind
			seq := uint32(100)
			for _, op := range tc.ops {
				switch op {
				case 'n':
					must(t, n.New(&f, 0))
				case 'N': // another incarnation
					must(t, n.New(&g, 0))
				case 'u':
					ref, _ := n.Lookup(&f.Orig)
					u := f
					if e := (Entry{}); n.Load(ref, &e) && e.Flow.Has.Is(flow.HasID) {
						u.ID = e.Flow.ID
					}
					must(t, n.Update(&u, 0))
				case 'U':
					must(t, n.Update(&g, 0))
				case 'd':
					n.Destroy(&f, 0)
				case 'D':
					n.Destroy(&g, 0)
				case 'r':
					r := f
					r.Has, r.ID = 0, 0
					must(t, n.Restored(&r, 0))
				case 's':
					for n.Next(&o) {
						seq++
						got = append(got, o.Type)
						n.Sent(o.Ref, seq)
					}
				case 'a':
					n.Acked(o.Ref, seq-1) // not the latest: nothing
					n.Acked(o.Ref, seq)
				case 'l':
					n.Lost(o.Ref, seq)
				case 'f':
					n.PeerForgot()
				case 'b':
					n.Announce(1)
				case 'F':
					n.Flush()
				case 'R', 'k': // a reconcile with an empty table, or with one that has f
					n.BeginReconcile()
					if op == 'k' {
						_, err := n.Reconcile(&f, 0)
						must(t, err)
					}
					out := make([]Entry, 1)
					if found, _ := n.Stale(0, 10, out); found == 1 {
						n.Destroy(&out[0].Flow, 0)
					}
					n.EndReconcile()
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("messages (-want +got):\n%s", d)
			}
			if n.Dirty() != 0 {
				t.Errorf("%d left", n.Dirty())
			}
		})
	}
}

// TestLateAcknowledgement: what was sent before a change or an end does not acknowledge it, whatever its number.
func TestLateAcknowledgement(t *testing.T) {
	for name, change := range map[string]func(n *Internal, f *flow.Flow){
		"changed": func(n *Internal, f *flow.Flow) { must(t, n.Update(f, 0)) },
		"ended":   func(n *Internal, f *flow.Flow) { n.Destroy(f, 0) },
	} {
		n := NewInternal(10)
		f := numbered(1, 1)
		var o Outgoing
		must(t, n.New(&f, 0))
		n.Next(&o)
		n.Sent(o.Ref, 1)
		change(n, &f)
		for seq := range uint32(10) {
			n.Acked(o.Ref, seq)
			n.Lost(o.Ref, seq)
		}
		if n.Dirty() != 1 || !n.Next(&o) || o.Flow.Orig != f.Orig {
			t.Errorf("%s: not sent any more", name)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPeerForgotGivesBack shows that ended flows of which the peer knows nothing any more are freed by the calls that
// follow, and make room in a full cache.
func TestPeerForgotGivesBack(t *testing.T) {
	const limit = 1000
	n := NewInternal(limit)
	var o Outgoing
	for i := range limit {
		f := numbered(i, 1)
		must(t, n.New(&f, 0))
		n.Next(&o)
		n.Sent(o.Ref, 1)
	}
	for i := range limit {
		f := numbered(i, 1)
		n.Destroy(&f, 0)
		if i%2 == 0 && n.Next(&o) {
			n.Sent(o.Ref, 2)
		}
	}
	f := numbered(limit, 1)
	if err := n.New(&f, 0); err != ErrFull {
		t.Fatalf("new over the limit: %v", err)
	}
	if s := n.Stats(); s.Active != 0 || s.Total != limit || s.Full != 1 || s.CreateFailed != 1 || s.Destroyed != limit {
		t.Fatalf("%+v", s)
	}
	n.PeerForgot()
	checkQueues(t, n)
	if n.Dirty() != 0 {
		t.Errorf("%d ends to be sent", n.Dirty())
	}
	for i := range limit {
		f := numbered(limit+i, 1)
		must(t, n.New(&f, 0))
	}
	if s := n.Stats(); s.Total != limit || s.Active != limit {
		t.Errorf("%+v", s)
	}
}

// TestAnnounceRestAfterRestored: what was sent since BeginAnnounce is not sent once more, but for what a commit changed
// meanwhile: of that there is no event, and nothing else sends it.
func TestAnnounceRestAfterRestored(t *testing.T) {
	n := NewInternal(0)
	send := func() (list []Outgoing) {
		for o := new(Outgoing); n.Next(o); o = new(Outgoing) {
			n.Sent(o.Ref, 1)
			n.Acked(o.Ref, 1)
			list = append(list, *o)
		}
		return list
	}
	event := func(put func(*flow.Flow, int64) error, i int) {
		t.Helper()
		f := numbered(i, uint32(i))
		if err := put(&f, 0); err != nil {
			t.Fatal(err)
		}
	}
	restored := func(i int) {
		t.Helper()
		f := flow.Flow{Orig: tuple(i), Has: flow.HasMark, Mark: 7}
		if err := n.Restored(&f, 0); err != nil {
			t.Fatal(err)
		}
	}
	n.BeginAnnounce()
	for i := 1; i <= 4; i++ {
		event(n.New, i)
	}
	if sent := send(); len(sent) != 4 {
		t.Fatalf("%d events are sent", len(sent))
	}
	restored(1)            // a packet made it before the commit came to it
	gone := numbered(2, 2) // and this one has ended: its record is free
	n.Destroy(&gone, 0)
	send()
	restored(5) // takes that record
	event(n.Update, 4)
	n.Scan(0, 10, func(e *Entry) bool { n.AnnounceRest(e.Ref); return true })
	marks := map[flow.Tuple]uint32{}
	for _, o := range send() {
		marks[o.Flow.Orig] = o.Flow.Mark
	}
	want := map[flow.Tuple]uint32{tuple(1): 7, tuple(5): 7, tuple(4): 0} // and not the third flow
	if d := cmp.Diff(want, marks); d != "" {
		t.Errorf("marks that are sent (-want +got):\n%s", d)
	}
}
