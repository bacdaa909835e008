package cache

import (
	"math/rand/v2"
	"testing"

	"ctsync/daemon/flow"
)

// taken collects what Take gives.
func taken(x *External, max int) (items []Item) {
	x.Take(max, func(it *Item) { items = append(items, *it) })
	return items
}

func ledgerFlow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.UDP, SrcPort: uint16(i), DstPort: 53, Src: flow.Addr{10, byte(i >> 16)},
			Dst: flow.Addr{11},
		},
		Has: flow.HasReply | flow.HasTimeout | flow.HasMark, Timeout: 100,
	}
	if i%3 == 0 {
		f.Orig.Family = flow.IPv6
	}
	f.Reply = f.Orig.Inverse()
	return f
}

// TestLedgerOfOneFlow follows one flow: sent, placed, changed, moved, ended, started again.
func TestLedgerOfOneFlow(t *testing.T) {
	x := NewExternal(0)
	x.Follow(true)
	f := ledgerFlow(1)
	check := func(what string, want Item, pending int) Item {
		t.Helper()
		if n := x.Pending(); n != pending {
			t.Errorf("%s: %d pending, want %d", what, n, pending)
		}
		items := taken(x, 10)
		if len(items) != 1 || items[0].Ended != want.Ended || items[0].Settled != want.Settled ||
			items[0].Flow.Mark != want.Flow.Mark || items[0].Timer != want.Timer {
			t.Fatalf("%s: took %+v, want %+v", what, items, want)
		}
		return items[0]
	}
	var want Item
	x.New(&f, 1*second)
	it := check("sent", want, 1)
	x.Placed(it.Ref, &f.Orig, 100, 1*second)
	if len(taken(x, 10)) != 0 {
		t.Error("something is pending though all was placed")
	}
	f.Mark, want.Flow.Mark, want.Settled, want.Timer = 5, 5, true, 100
	x.Update(&f, 2*second)
	x.Update(&f, 3*second) // coalesces
	it = check("changed", want, 1)
	f.Mark = 6
	x.Update(&f, 4*second) // while it is under way
	x.Placed(it.Ref, &f.Orig, 90, 4*second)
	want.Flow.Mark, want.Timer = 6, 90
	it = check("changed under way", want, 1)
	x.Placed(it.Ref, &f.Orig, 90, 4*second)
	f.Reply.DstPort++
	x.New(&f, 5*second)
	want.Settled = false
	it = check("moved", want, 1)
	x.Placed(it.Ref, &f.Orig, 90, 5*second)
	if !x.Destroy(&f.Orig, 6*second) || x.Destroy(&f.Orig, 6*second) || x.Len() != 0 {
		t.Error("the end is not seen once")
	}
	want.Ended, want.Settled = true, true
	it = check("ended", want, 1)
	x.New(&f, 7*second) // while its end is under way
	x.Gone(it.Ref, &f.Orig)
	want.Ended, want.Settled = false, false
	it = check("started again", want, 1)
	x.Refused(it.Ref, &f.Orig)
	if x.Failed() != 1 {
		t.Errorf("%d failed", x.Failed())
	}
	x.Retry(false)
	want.Timer = 0
	it = check("retried", want, 1)
	x.Unplaced(it.Ref, &f.Orig)
	x.Destroy(&f.Orig, 8*second) // the kernel does not have it
	if x.Pending() != 0 || x.total() != 0 || x.Failed() != 0 {
		t.Errorf("left: %d pending, %d records, %d failed", x.Pending(), x.total(), x.Failed())
	}
	if st := x.Stats(); st.Created != 3 || st.Destroyed != 3 || st.Updated != 3 {
		t.Errorf("counters: %+v", st)
	}
}

// TestLedgerDue looks for timers that have run for half of their timeout.
func TestLedgerDue(t *testing.T) {
	const n = 3*chunkSize + 7
	x := NewExternal(0)
	x.Follow(true)
	for i := range n {
		f := ledgerFlow(i)
		f.Timeout = uint32(10 + i%2*1000)
		x.New(&f, 0*second)
	}
	for _, it := range taken(x, n) {
		x.Placed(it.Ref, &it.Flow.Orig, it.Flow.Timeout, 0*second)
	}
	due := func(now int64) (found int) {
		for from, more := Ref(0), true; more; {
			from = x.Due(from, 100, 30, now*second, func(it *Item) {
				found++
				if now == 5 {
					x.Refreshed(it.Ref, &it.Flow.Orig, 20, now*second)
				} else {
					x.Rest(it.Ref, &it.Flow.Orig)
				}
			})
			more = from != 0
		}
		return found
	}
	short := (n + 1) / 2
	for _, step := range []struct {
		now  int64
		want int
	}{{4, 0}, {5, short}, {14, 0}, {15, short}, {16, 0}, {504, 0}, {505, n - short}, {506, 0}} {
		if got := due(step.now); got != step.want {
			t.Errorf("after %d s %d are due, want %d", step.now, got, step.want)
		}
	}
	f := ledgerFlow(7)
	if !x.Lost(&f.Orig, 507*second) || due(507) != 1 {
		t.Error("what the kernel lost is not due")
	}
}

// TestLedgerSwitched makes a cache a ledger and back, with flows in every state.
func TestLedgerSwitched(t *testing.T) {
	x := NewExternal(0)
	for i := range 100 {
		f := ledgerFlow(i)
		x.New(&f, 0)
	}
	f := ledgerFlow(1)
	if x.Pending() != 0 || x.Injected(&f.Orig) {
		t.Error("a mere cache has something pending")
	}
	x.Follow(true)
	if x.Pending() != 100 || !x.Injected(&f.Orig) {
		t.Errorf("%d pending of 100", x.Pending())
	}
	for _, it := range taken(x, 50) {
		x.Placed(it.Ref, &it.Flow.Orig, 10, 0)
	}
	for i := range 20 {
		f := ledgerFlow(i)
		x.Destroy(&f.Orig, 0)
	}
	x.Follow(false)
	if x.Len() != 80 || x.total() != 80 || x.Pending() != 0 {
		t.Errorf("%d entries, %d records, %d pending", x.Len(), x.total(), x.Pending())
	}
	injected := 0
	for i := range 100 {
		if f := ledgerFlow(i); x.Injected(&f.Orig) {
			injected++
		}
	}
	if injected == 0 || injected > 50 {
		t.Errorf("%d are known to be in the kernel", injected)
	}
	placed := 0
	for from, more := Ref(0), true; more; {
		from = x.Placements(from, 7, func(it *Item) {
			placed++
			if placed%2 == 0 {
				x.Unplaced(it.Ref, &it.Flow.Orig)
			}
		})
		more = from != 0
	}
	if placed != injected {
		t.Errorf("%d placements, %d are known", placed, injected)
	}
	x.Follow(true) // the kernel does not have what was sent meanwhile
	if x.Pending() != 80 {
		t.Errorf("%d pending of 80", x.Pending())
	}
}

// TestLedgerConverges drives a ledger at random beside a kernel that is a map, which refuses, loses and is slow, and
// holds that in the end it has what the peer has.
func TestLedgerConverges(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		x := NewExternal(0)
		x.Follow(true)
		peer, kernel := map[flow.Tuple]uint32{}, map[flow.Tuple]uint32{}
		var flying []Item
		now := int64(0)
		settle := func(it *Item, refuse bool) {
			k := &it.Flow.Orig
			switch {
			case it.Ended:
				delete(kernel, *k)
				x.Gone(it.Ref, k)
			case refuse:
				x.Refused(it.Ref, k)
				delete(kernel, *k)
			default:
				kernel[*k] = it.Flow.Mark
				x.Placed(it.Ref, k, 100, now)
			}
		}
		for range 2000 {
			now += second / 1000
			f := ledgerFlow(rnd.IntN(40))
			switch f.Mark = rnd.Uint32(); rnd.IntN(9) {
			case 0, 1:
				x.New(&f, now)
				peer[f.Orig] = f.Mark
			case 2, 3:
				x.Update(&f, now)
				peer[f.Orig] = f.Mark
			case 4:
				x.Destroy(&f.Orig, now)
				delete(peer, f.Orig)
			case 5:
				if len(flying) == 0 {
					flying = taken(x, 1+rnd.IntN(8))
				}
			case 6, 7:
				for i := range flying {
					settle(&flying[i], rnd.IntN(10) == 0)
				}
				flying = nil
			case 8:
				if _, ok := kernel[f.Orig]; ok {
					delete(kernel, f.Orig)
					x.Lost(&f.Orig, now)
				}
			}
		}
		for i := range flying {
			settle(&flying[i], false)
		}
		for range 3 {
			now += 1000 * second
			x.Retry(false)
			x.Due(0, 1<<20, 1<<20, now, func(it *Item) {
				if !it.Settled {
					x.Again(it.Ref, &it.Flow.Orig)
				}
			})
			for _, it := range taken(x, 1000) {
				settle(&it, false)
			}
		}
		for k, mark := range peer {
			if have, ok := kernel[k]; !ok || have != mark {
				t.Fatalf("seed %d: kernel has %d %v, the peer %d", seed, have, ok, mark)
			}
		}
		if len(kernel) != len(peer) || x.Len() != len(peer) || x.total() != len(peer) ||
			x.Pending() != 0 || x.Failed() != 0 {
			t.Fatalf("seed %d: kernel %d, entries %d, records %d, pending %d, failed %d, peer %d",
				seed, len(kernel), x.Len(), x.total(), x.Pending(), x.Failed(), len(peer))
		}
	}
}

// TestDisown gives up live flows without a word to the peer, and holds what is known of each before.
func TestDisown(t *testing.T) {
	n := NewInternal(0)
	dumped, seen, ended, unsent := ledgerFlow(1), ledgerFlow(2), ledgerFlow(4), ledgerFlow(5)
	n.BeginReconcile()
	for _, f := range []flow.Flow{dumped, ended} {
		if _, err := n.Reconcile(&f, 0); err != nil {
			t.Fatal(err)
		}
	}
	n.EndReconcile()
	n.New(&seen, 0)
	for o := (Outgoing{}); n.Next(&o); {
		n.Sent(o.Ref, uint32(o.Ref))
	}
	n.New(&unsent, 0)
	n.Destroy(&ended, 0)
	if n.ForgetTouched(); n.Touched(&seen.Orig) {
		t.Error("touched after all was forgotten")
	}
	n.Update(&seen, 0)
	for _, step := range []struct {
		f                    flow.Flow
		touched, known, gone bool
	}{
		{dumped, false, true, true}, {seen, true, true, true}, {ended, false, false, false},
		{unsent, false, false, true}, {ledgerFlow(7), false, false, false},
	} {
		touched, known := n.Touched(&step.f.Orig), n.Known(&step.f.Orig)
		if touched != step.touched || known != step.known {
			t.Errorf("%d touched: %v, known: %v", step.f.Orig.SrcPort, touched, known)
		}
		if got := n.Disown(&step.f.Orig); got != step.gone {
			t.Errorf("%d given up: %v", step.f.Orig.SrcPort, got)
		}
	}
	if n.Len() != 0 || n.Dirty() != 1 {
		t.Errorf("%d entries, %d dirty: want the end of one flow alone", n.Len(), n.Dirty())
	}
	n.Update(&dumped, 0)
	if o := (Outgoing{}); !n.Touched(&dumped.Orig) || !n.Next(&o) || !n.Next(&o) || o.Type != KindNew {
		t.Error("what comes back is not sent as NEW")
	}
}

// The ledger's hot path: sent, taken, placed, changed, ended.
func TestLedgerDoesNotAllocate(t *testing.T) {
	x := NewExternal(0)
	x.Follow(true)
	f := ledgerFlow(1)
	fn := func(it *Item) {
		if it.Ended {
			x.Gone(it.Ref, &it.Flow.Orig)
		} else {
			x.Placed(it.Ref, &it.Flow.Orig, 10, 0)
		}
	}
	cycle := func() {
		x.New(&f, 0)
		x.Take(10, fn)
		x.Update(&f, 0)
		x.Take(10, fn)
		x.Due(0, 100, 10, 100*second, fn)
		x.Destroy(&f.Orig, 0)
		x.Take(10, fn)
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLedger measures the path of a flow through the ledger, and a look for due timers among a million, none of
// which is.
func BenchmarkLedger(b *testing.B) {
	b.Run("sent, taken, placed", func(b *testing.B) {
		x := NewExternal(0)
		x.Follow(true)
		place := func(it *Item) { x.Placed(it.Ref, &it.Flow.Orig, 10, 0) }
		var f flow.Flow
		for i := range b.N {
			f = ledgerFlow(i % (1 << 20))
			x.Update(&f, 0)
			if i%500 == 499 {
				x.Take(500, place)
			}
		}
	})
	b.Run("due of a million", func(b *testing.B) {
		x := NewExternal(0)
		x.Follow(true)
		for i := range 1 << 20 {
			f := ledgerFlow(i)
			x.Update(&f, 0)
		}
		x.Take(1<<20, func(it *Item) { x.Placed(it.Ref, &it.Flow.Orig, 1000, 0) })
		for b.Loop() {
			x.Due(0, 1<<30, 1<<30, second, func(*Item) { b.Fatal("due") })
		}
	})
}
