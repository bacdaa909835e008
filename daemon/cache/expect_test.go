package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// exp is expectation number i, in incarnation id.
func exp(i int, id uint32) *flow.Expectation {
	master := flow.Tuple{
		Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 1}, Dst: flow.Addr{10, 2},
		SrcPort: uint16(i), DstPort: 21,
	}
	e := &flow.Expectation{
		Master: master, Expect: master,
		Mask:    flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, DstPort: 0xffff},
		Has:     flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasID | flow.HasClass,
		Timeout: 300, ID: id, Class: id % 4,
	}
	e.Expect.SrcPort, e.Expect.DstPort = 0, uint16(50000+i)
	return e
}

func newInternalExpect(limit int) *InternalExpect {
	return NewInternalExpect(limit, NewInternal(0))
}

// TestExpectConverges lets a kernel make and end expectations, loses events and messages, reconciles, flushes and
// restarts the peer at random, and holds that in the end the peer has exactly what the kernel has.
func TestExpectConverges(t *testing.T) {
	for seed := range uint64(300) {
		w := &expectWorld{
			rnd: rand.New(rand.NewPCG(seed, 1)), n: newInternalExpect(64), x: NewExternalExpect(64),
			kernel: map[int]uint32{},
		}
		for range 200 {
			w.step(t)
		}
		w.reconcile(t)
		w.n.Announce()
		for w.n.flows.Dirty() > 0 || len(w.flying) > 0 {
			w.send(0)
		}
		if w.x.Len() != len(w.kernel) || w.n.Len() != len(w.kernel) {
			t.Fatalf("seed %d: kernel %d, internal %d, peer %d", seed, len(w.kernel), w.n.Len(), w.x.Len())
		}
		for i, id := range w.kernel {
			if ref := w.x.lookup(exp(i, id)); ref == 0 || w.x.at(ref).e != *exp(i, id) {
				t.Fatalf("seed %d: the peer lacks %d or has another incarnation", seed, i)
			}
		}
		for w.n.flows.out.garbage.n > 0 {
			w.n.flows.reclaim()
		}
		checkQueues(t, w.n.flows)
		if st := w.n.Stats(); st.Objects != uint64(len(w.kernel)) || st.Created-st.Destroyed != st.Active {
			t.Fatalf("seed %d: %+v with %d expectations", seed, st, len(w.kernel))
		}
	}
}

type expectWorld struct {
	rnd    *rand.Rand
	n      *InternalExpect
	x      *ExternalExpect
	kernel map[int]uint32
	flying []OutgoingExpect
	seqs   []uint32
	id     uint32
	seq    uint32
}

func (w *expectWorld) step(t *testing.T) {
	i := w.rnd.IntN(20)
	heard := w.rnd.IntN(10) > 0 // or the event is lost
	id, exists := w.kernel[i]
	switch {
	case exists:
		delete(w.kernel, i)
		if heard {
			w.n.Destroy(exp(i, id))
		}
	default:
		w.id++
		w.kernel[i] = w.id
		if heard {
			if err := w.n.New(exp(i, w.id), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	switch w.rnd.IntN(40) {
	case 0:
		w.reconcile(t)
	case 1:
		w.n.Flush()
		if w.n.Len() != 0 {
			t.Fatalf("%d entries after a flush", w.n.Len())
		}
		w.reconcile(t)
	case 2: // the peer restarts
		w.x.Reset()
		for i := range w.flying {
			w.n.flows.Lost(w.flying[i].Ref, w.seqs[i])
		}
		w.flying, w.seqs = nil, nil
		w.n.flows.PeerForgot()
		w.n.Announce()
	}
	w.send(w.rnd.IntN(40))
}

// send takes what is dirty, and decides about what is in flight: delivered in order of sending, or lost.
func (w *expectWorld) send(loss int) {
	var o OutgoingExpect
	for w.n.Next(&o) {
		w.seq++
		w.n.flows.Sent(o.Ref, w.seq)
		w.flying, w.seqs = append(w.flying, o), append(w.seqs, w.seq)
	}
	for i := range w.flying {
		o, seq := &w.flying[i], w.seqs[i]
		if w.rnd.IntN(100) < loss {
			w.n.flows.Lost(o.Ref, seq)
			continue
		}
		switch o.Type {
		case KindNew:
			_ = w.x.New(&o.Expectation, 0)
		case KindUpdate:
			_ = w.x.Update(&o.Expectation, 0)
		case KindDestroy:
			w.x.Destroy(&o.Expectation)
		}
		w.n.flows.Acked(o.Ref, seq)
	}
	w.flying, w.seqs = w.flying[:0], w.seqs[:0]
}

func (w *expectWorld) reconcile(t *testing.T) {
	w.n.BeginReconcile()
	for i, id := range w.kernel {
		if _, err := w.n.Reconcile(exp(i, id), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.n.EndReconcile(true)
	if w.n.Len() != len(w.kernel) {
		t.Fatalf("%d entries after a reconcile with %d", w.n.Len(), len(w.kernel))
	}
}

// TestExpectReconcileRaces holds what events do to a dump that is older than they are.
func TestExpectReconcileRaces(t *testing.T) {
	n := newInternalExpect(10)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(n.New(exp(1, 1), 0))
	must(n.New(exp(2, 2), 0))
	n.BeginReconcile()
	n.Destroy(exp(1, 1))
	must(n.New(exp(3, 3), 0))
	if changed, _ := n.Reconcile(exp(1, 1), 0); changed {
		t.Error("brought back what had ended")
	}
	n.Destroy(exp(3, 3))
	must(n.New(exp(3, 4), 0))
	if changed, _ := n.Reconcile(exp(3, 3), 0); changed {
		t.Error("an older record replaced a newer one")
	}
	if ended, overflow := n.EndReconcile(true); ended != 1 || overflow || n.Len() != 1 {
		t.Errorf("%d ended, %d left", ended, n.Len())
	}
	n.BeginReconcile()
	if ended, _ := n.EndReconcile(false); ended != 0 || n.Len() != 1 {
		t.Errorf("an incomplete dump ended %d", ended)
	}
}

func TestExpectLimit(t *testing.T) {
	n, x := newInternalExpect(2), NewExternalExpect(2)
	for i := range 3 {
		errN, errX := n.New(exp(i, 1), 0), x.New(exp(i, 1), 0)
		if full := i == 2; errors.Is(errN, ErrFull) != full || errors.Is(errX, ErrFull) != full {
			t.Errorf("expectation %d: %v, %v", i, errN, errX)
		}
	}
	if s := n.Stats(); s.Full != 1 || s.CreateFailed != 1 || s.Active != 2 || s.Limit != 2 {
		t.Errorf("%+v", s)
	}
	if err := n.New(&flow.Expectation{}, 0); !errors.Is(err, ErrFamily) {
		t.Errorf("an empty expectation: %v", err)
	}
	if err := x.New(exp(1, 5), 7); err != nil { // replaces, though the cache is full
		t.Error(err)
	}
}

// TestExpectDestroyOfAnother: the end of a former incarnation that comes late is not the end of the present one,
// whether it differs in its ID or in its content.
func TestExpectDestroyOfAnother(t *testing.T) {
	n, x := newInternalExpect(2), NewExternalExpect(2)
	_ = n.New(exp(1, 8), 0)
	n.Destroy(exp(1, 5))
	n.Destroy(exp(1, 4))
	if n.Len() != 1 || n.Stats().DestroyFailed != 1 {
		t.Errorf("%+v", n.Stats())
	}
	_ = x.New(exp(1, 6), 0)
	if x.Destroy(exp(1, 5)) || x.Stats().DestroyFailed != 1 || !x.Destroy(exp(1, 6)) {
		t.Error("destroyed by another's end, or not by its own")
	}
}

// TestExpectOrder: flows and expectations leave in the order in which they became dirty.
func TestExpectOrder(t *testing.T) {
	flows := NewInternal(0)
	n := NewInternalExpect(10, flows)
	f, g := numbered(1, 1), numbered(2, 2)
	_ = n.New(exp(1, 1), 0)
	_ = flows.New(&f, 0)
	first := flows.Tail()
	_ = n.New(exp(2, 2), 0)
	_ = flows.New(&g, 0)
	_ = flows.Update(&f, 0) // keeps its place
	last := flows.Tail()
	var got []uint32
	for flows.Dirty() > 0 {
		var o Outgoing
		var x OutgoingExpect
		switch {
		case n.Next(&x) && x.Type == KindNew:
			got = append(got, 10*x.Expectation.ID)
		case flows.Next(&o) && o.Type == KindNew:
			got = append(got, o.Flow.ID)
		default:
			t.Fatalf("%d dirty after %v, and neither is next", flows.Dirty(), got)
		}
		if a, b := flows.Passed(first), flows.Passed(last); a != (len(got) > 1) || b != (len(got) > 3) {
			t.Errorf("after %v: passed %v, %v", got, a, b)
		}
	}
	if d := cmp.Diff([]uint32{10, 1, 20, 2}, got); d != "" {
		t.Error(d)
	}
}

func TestExpectRestoredIsNotSent(t *testing.T) {
	n := newInternalExpect(10)
	if err := n.Restored(exp(1, 1), 0); err != nil || n.Len() != 1 || n.flows.Dirty() != 0 {
		t.Errorf("%v, %d entries, %d dirty", err, n.Len(), n.flows.Dirty())
	}
	if n.Announce() != 1 || n.flows.Dirty() != 1 {
		t.Error("not announced")
	}
}

func TestExpectSweepAndScan(t *testing.T) {
	x := NewExternalExpect(100)
	for i := range 50 {
		_ = x.New(exp(i, 1), 0)
	}
	x.BeginSweep()
	for i := range 20 {
		_ = x.Update(exp(i, 1), 1)
	}
	if n := x.Sweep(0); n != 30 || x.Len() != 20 {
		t.Errorf("%d swept, %d left", n, x.Len())
	}
	seen := map[string]bool{}
	for from, more := Ref(0), true; more; more = from != 0 {
		from = x.Scan(from, 7, func(e *ExpectEntry) { seen[fmt.Sprint(e.Expectation.Expect)] = true })
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 passed", len(seen))
	}
}

func TestExpectAllocatesNothing(t *testing.T) {
	n, x := newInternalExpect(1000), NewExternalExpect(1000)
	es := make([]flow.Expectation, 500)
	for i := range es {
		es[i] = *exp(i, 1)
	}
	var o OutgoingExpect
	seq := uint32(0)
	cycle := func() {
		for i := range es {
			_ = n.New(&es[i], 0)
		}
		for n.Next(&o) {
			seq++
			_ = x.New(&o.Expectation, 0)
			n.flows.Sent(o.Ref, seq)
			n.flows.Acked(o.Ref, seq)
		}
		for i := range es {
			n.Destroy(&es[i])
		}
		for n.Next(&o) {
			seq++
			x.Destroy(&o.Expectation)
			n.flows.Sent(o.Ref, seq)
			n.flows.Acked(o.Ref, seq)
		}
	}
	for range 3 {
		cycle()
	}
	if a := testing.AllocsPerRun(10, cycle); a != 0 {
		t.Errorf("%v allocations for %d expectations", a, len(es))
	}
	if n.Len() != 0 || x.Len() != 0 || n.Stats().Objects != 0 {
		t.Errorf("%d and %d left", n.Len(), x.Len())
	}
}
