package cache

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

// event is a ctnetlink event that waits to be read.
type event struct {
	kind Kind
	flow flow.Flow
}

// message is one that was sent and neither acknowledged nor lost yet.
type message struct {
	Outgoing
	seq uint32
}

// world is an internal cache between a kernel that changes and raises events, and a peer that gets messages.
type world struct {
	n      *Internal
	keys   []flow.Tuple
	kernel map[flow.Tuple]flow.Flow
	events []event
	wire   []message
	peer   map[flow.Tuple]flow.Flow
	now    int64
	id     uint32
	seq    uint32
	silent bool // changes raise no events
}

func newWorld(t *rapid.T) *world {
	w := &world{
		n: NewInternal(0), keys: pool(t), kernel: map[flow.Tuple]flow.Flow{}, peer: map[flow.Tuple]flow.Flow{},
		seq: rapid.Uint32().Draw(t, "seq"),
	}
	collide(&w.n.store, rapid.IntRange(0, 2).Draw(t, "hash"))
	w.n.out.ticket = rapid.SampledFrom([]uint32{0, ^uint32(3)}).Draw(t, "ticket")
	return w
}

func (w *world) key(t *rapid.T) flow.Tuple {
	return w.keys[rapid.IntRange(0, len(w.keys)-1).Draw(t, "key")]
}

func (w *world) raise(k Kind, f flow.Flow) {
	if !w.silent {
		w.events = append(w.events, event{k, f})
	}
}

// content draws what the kernel reports of a flow: always an ID and both tuples.
func (w *world) content(t *rapid.T, k flow.Tuple) flow.Flow {
	has := rapid.SampledFrom([]flow.Attr{
		0, flow.HasStatus | flow.HasTimeout, flow.HasMark | flow.HasLabels, flow.HasTCPState | flow.HasTCPFlags |
			flow.HasTCPWScale,
		flow.HasHelper | flow.HasSeqAdj | flow.HasMaster, flow.HasSCTP | flow.HasDCCP | flow.HasSynproxy, kept,
	}).Draw(t, "has") | flow.HasID | flow.HasReply
	f := uniform(k, has, rapid.Uint8Range(0, 3).Draw(t, "value"))
	if rapid.Bool().Draw(t, "nat") {
		f.Reply.Dst[1] = 77
	}
	return f
}

// uniform returns a flow whose attributes has all have the value v.
func uniform(k flow.Tuple, has flow.Attr, v uint8) flow.Flow {
	n := uint32(v)
	all := flow.Flow{
		Reply: k.Inverse(), Status: n << 15, Timeout: n, Mark: n, ID: n,
		TCPState: v, TCPWScale: [2]uint8{v, v}, TCPFlags: [2]uint8{v, v},
		SCTPState: v, SCTPVTag: [2]uint32{n, n}, DCCPState: v, DCCPRole: v,
		Master: flow.Tuple{Family: k.Family, SrcPort: uint16(v)},
		SeqAdj: [2]flow.SeqAdj{{CorrectionPos: n}, {OffsetAfter: n}}, Synproxy: flow.Synproxy{ITS: n},
		Helper: [16]byte{v}, Labels: [16]byte{15: v},
		Has: has,
	}
	f := flow.Flow{Orig: k}
	f.Merge(&all)
	return f
}

func (w *world) create(t *rapid.T) {
	k := w.key(t)
	if _, ok := w.kernel[k]; ok {
		w.destroy(k)
	}
	f := w.content(t, k)
	w.id++
	f.ID = w.id
	w.kernel[k] = f
	w.raise(KindNew, f)
}

func (w *world) update(t *rapid.T) {
	k := w.key(t)
	f, ok := w.kernel[k]
	if !ok {
		return
	}
	u := w.content(t, k)
	u.ID, u.Reply = f.ID, f.Reply
	f.Merge(&u)
	w.kernel[k] = f
	w.raise(KindUpdate, u)
}

func (w *world) destroy(k flow.Tuple) {
	if f, ok := w.kernel[k]; ok {
		delete(w.kernel, k)
		w.raise(KindDestroy, f)
	}
}

// restore is a commit by ourselves: the kernel gives the flow an ID that no event reports.
func (w *world) restore(t *rapid.T) {
	k := w.key(t)
	if _, ok := w.kernel[k]; ok || len(w.events) > 0 {
		return
	}
	f := w.content(t, k)
	f.Has, f.ID = f.Has&^flow.HasID, 0
	if err := w.n.Restored(&f, w.now); err != nil {
		t.Fatal(err)
	}
	w.id++
	f.Has, f.ID = f.Has|flow.HasID, w.id
	w.kernel[k] = f
}

// pump reads up to max events.
func (w *world) pump(t *rapid.T, max int) {
	for ; max > 0 && len(w.events) > 0; max-- {
		e := w.events[0]
		w.events = w.events[1:]
		var err error
		switch e.kind {
		case KindNew:
			err = w.n.New(&e.flow, w.now)
		case KindUpdate:
			err = w.n.Update(&e.flow, w.now)
		case KindDestroy:
			w.n.Destroy(&e.flow, w.now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) send(max int) {
	var o Outgoing
	for ; max > 0 && w.n.Next(&o); max-- {
		w.seq++
		w.n.Sent(o.Ref, w.seq)
		w.wire = append(w.wire, message{o, w.seq})
	}
}

// arrive has the peer take the oldest message.
func (w *world) arrive(t *rapid.T) {
	m := w.wire[0]
	w.wire = w.wire[1:]
	w.take(t, m)
	w.n.Acked(m.Ref, m.seq)
}

func (w *world) take(t *rapid.T, m message) {
	k := m.Flow.Orig
	have, ok := w.peer[k]
	switch {
	case m.Type == KindDestroy:
		delete(w.peer, k) // what announced it may be lost
	case m.Type == KindUpdate && ok:
		have.Merge(&m.Flow)
		w.peer[k] = have
	case m.Type == KindUpdate:
		t.Fatalf("update of a flow that the peer does not have: %+v", k)
	default:
		w.peer[k] = m.Flow
	}
}

// lose is a session that gives up on all it has sent; some of it may have arrived.
func (w *world) lose(t *rapid.T) {
	lost := w.wire
	w.wire = nil
	for range rapid.IntRange(0, len(lost)).Draw(t, "arrived") {
		w.take(t, lost[0])
		m := lost[0]
		lost = lost[1:]
		if rapid.Bool().Draw(t, "acked") {
			w.n.Acked(m.Ref, m.seq)
		} else {
			defer w.n.Lost(m.Ref, m.seq)
		}
	}
	for _, m := range lost {
		w.n.Lost(m.Ref, m.seq)
	}
}

func (w *world) peerRestarts(t *rapid.T) {
	clear(w.peer)
	lost := w.wire
	w.wire = nil
	before := rapid.Bool().Draw(t, "lost before")
	if before {
		for _, m := range lost {
			w.n.Lost(m.Ref, m.seq)
		}
	}
	w.n.PeerForgot()
	checkQueues(t, w.n)
	if !before && rapid.Bool().Draw(t, "lost after") {
		for _, m := range lost {
			w.n.Lost(m.Ref, m.seq)
		}
	}
	for from := Ref(0); ; { // bulk
		from = w.n.Scan(from, 3, func(e *Entry) bool { return w.n.Announce(e.Ref) })
		if from == 0 {
			break
		}
	}
}

// reconcile compares with the kernel while other things go on.
func (w *world) reconcile(t *rapid.T, meanwhile func()) {
	w.n.BeginReconcile()
	meanwhile()
	var dump []flow.Flow
	for _, k := range w.keys {
		if f, ok := w.kernel[k]; ok {
			dump = append(dump, f)
		}
	}
	for _, f := range dump {
		meanwhile()
		if _, err := w.n.Reconcile(&f, w.now); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]Entry, 3)
	listed := 0
	for from := Ref(0); ; {
		meanwhile()
		var found int
		found, from = w.n.Stale(from, 5, out)
		listed += found
		for _, e := range out[:found] {
			if listed < 20 {
				meanwhile()
			}
			if f, ok := w.kernel[e.Flow.Orig]; !ok {
				w.n.Destroy(&e.Flow, w.now)
			} else if _, err := w.n.Reconcile(&f, w.now); err != nil {
				t.Fatal(err)
			}
		}
		if from == 0 && found == 0 {
			break
		}
	}
	if w.n.EndReconcile() {
		t.Fatal("overflow")
	}
}

// settled returns what must be equal everywhere at the end: values, and none of those that change in silence.
func settled(f flow.Flow) flow.Flow {
	f = asKept(f)
	f.Has = 0
	f.Timeout, f.ID, f.TCPFlags = 0, 0, [2]uint8{}
	f.Status &^= volatileStatus
	return f
}

// checkQueues follows the links of all queues.
func checkQueues(t interface{ Fatalf(string, ...any) }, n *Internal) {
	for i, q := range []*queue{&n.out.changed, &n.out.ended, &n.out.waiting, &n.out.garbage} {
		count, last := 0, Ref(0)
		for r := q.head; r != 0; r = n.out.track(r).next {
			if n.out.track(r).prev != last || n.out.queueOf(r, *n.stateOf(r)) != q {
				t.Fatalf("queue %d: record %d does not belong behind %d", i, r, last)
			}
			last = r
			count++
		}
		if q.tail != last || q.n != count {
			t.Fatalf("queue %d: %d records to %d, but %d to %d", i, count, last, q.n, q.tail)
		}
	}
}

// check reads all events, delivers all messages and compares the three tables.
func (w *world) check(t *rapid.T) {
	checkQueues(t, w.n)
	w.pump(t, len(w.events))
	for w.n.Dirty() > 0 || len(w.wire) > 0 {
		w.send(w.n.Dirty())
		for len(w.wire) > 0 {
			w.arrive(t)
		}
	}
	cached := map[flow.Tuple]flow.Flow{}
	w.n.Scan(0, 1000, func(e *Entry) bool {
		cached[e.Flow.Orig] = settled(e.Flow)
		return true
	})
	want := map[flow.Tuple]flow.Flow{}
	for k, f := range w.kernel {
		want[k] = settled(f)
	}
	if d := cmp.Diff(want, cached); d != "" {
		t.Fatalf("cache differs from the kernel:\n%s", d)
	}
	for k, f := range w.peer {
		w.peer[k] = settled(f)
	}
	if d := cmp.Diff(want, w.peer); d != "" {
		t.Fatalf("peer differs from the kernel:\n%s", d)
	}
	for w.n.out.garbage.n > 0 {
		w.n.reclaim()
	}
	s := w.n.Stats()
	if int(s.Active) != len(want) || s.Total != s.Active || s.Created-s.Destroyed != s.Active ||
		w.n.Len() != len(want) {
		t.Fatalf("%d flows, but %+v", len(want), s)
	}
}

// TestInternalKeepsThePeerInStep changes a kernel, loses messages and events, restarts the peer, flushes the cache, and
// reconciles while all that goes on. In the end kernel, cache and peer are equal and nothing is left over.
func TestInternalKeepsThePeerInStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		changes := []func(){
			func() { w.create(t) }, func() { w.create(t) }, func() { w.update(t) }, func() { w.update(t) },
			func() { w.destroy(w.key(t)) },
		}
		traffic := []func(){
			func() { w.pump(t, 1) }, func() { w.pump(t, 10) }, func() { w.send(1) }, func() { w.send(10) },
			func() {
				if len(w.wire) > 0 {
					w.arrive(t)
				}
			},
			func() { w.now += second },
		}
		rare := []func(){
			func() { w.lose(t) }, func() { w.peerRestarts(t) }, func() { w.restore(t) },
		}
		all := slices.Concat(changes, traffic, traffic, rare)
		some := func(ops []func(), max int) {
			for range rapid.IntRange(0, max).Draw(t, "ops") {
				ops[rapid.IntRange(0, len(ops)-1).Draw(t, "op")]()
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			some(all, 30)
			if rapid.Bool().Draw(t, "overrun") { // what was queued is read, then events are lost
				w.pump(t, len(w.events))
				w.silent = true
				some(changes, 10)
				w.silent = false
			}
			if rapid.Bool().Draw(t, "flush") {
				w.n.Flush()
				if w.n.Len() != 0 {
					t.Fatal("not empty")
				}
			}
			w.reconcile(t, func() { some(all, 2) })
			// A flow that was restored over one whose end was unknown is only announced by a bulk.
			w.n.Scan(0, 1000, func(e *Entry) bool { return w.n.Announce(e.Ref) })
			w.check(t)
		}
		for _, k := range w.keys {
			w.destroy(k)
		}
		w.check(t)
		checkEmpty(t, &w.n.store)
	})
}
