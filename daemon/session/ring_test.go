package session

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRing compares the ring with a plain slice under random pushes and removals, across the end of the numbers.
func TestRing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var ring ring
	var want []element
	seq := uint32(0xffff_e000)
	for step := range 20000 {
		for range r.IntN(20) {
			seq += 1 + uint32(r.IntN(3)) // messages that are not kept leave holes
			e := element{seq: seq, a: r.Uint32(), kind: kind(1 + r.IntN(4))}
			ring.push(e)
			want = append(want, e)
		}
		from := seq - uint32(r.IntN(4000))
		to := from + uint32(r.IntN(30))
		if len(want) > 3000 {
			from, to = want[0].seq-5, want[0].seq+2000
		}
		var got, gone []element
		ring.remove(from, to, func(e element) { got = append(got, e) })
		want = slices.DeleteFunc(want, func(e element) bool {
			if before(e.seq, from) || before(to, e.seq) {
				return false
			}
			gone = append(gone, e)
			return true
		})
		if !slices.Equal(got, gone) {
			t.Fatalf("step %d: removed %v, want %v", step, got, gone)
		}
		if ring.len() != len(want) {
			t.Fatalf("step %d: %d elements, want %d", step, ring.len(), len(want))
		}
		if ring.n > ring.len()+ring.len()/4+ringSlack {
			t.Fatalf("step %d: %d places for %d elements", step, ring.n, ring.len())
		}
	}
	if len(ring.buf) > 8192 {
		t.Errorf("ring grew to %d for some 3000 elements", len(ring.buf))
	}
	var left []element
	nacks := 0
	for _, e := range want {
		if e.kind == nack {
			nacks++
		}
	}
	if ring.nacks != nacks {
		t.Errorf("%d nacks counted, want %d", ring.nacks, nacks)
	}
	ring.clear(func(e element) { left = append(left, e) })
	if !slices.Equal(left, want) {
		t.Error("clear does not give what is left")
	}
	if ring.len() != 0 || ring.n != 0 || ring.nacks != 0 {
		t.Errorf("after clear: %d elements, %d places, %d nacks", ring.len(), ring.n, ring.nacks)
	}
}

func TestRingDrop(t *testing.T) {
	var r ring
	for seq := range uint32(10) {
		r.push(element{seq: seq, kind: state})
	}
	r.push(element{seq: 10, kind: resync})
	r.drop(5, resync) // of another kind
	r.drop(11, resync)
	r.drop(10, resync)
	if r.state != 10 || r.control != 0 {
		t.Errorf("%d state, %d control left, want 10 and 0", r.state, r.control)
	}
}
