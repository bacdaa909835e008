package cache

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"ctsync/daemon/flow"
)

// TestGrowthAndReuse fills, thins out and fills again: every flow is found, freed records are used again, and an empty
// cache gives its chunks back.
func TestGrowthAndReuse(t *testing.T) {
	const n = 6*chunkSize + 17
	x := NewExternal(0)
	rnd := rand.New(rand.NewPCG(1, 2))
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 3)
		must(t, x.New(&flows[i], 0))
	}
	full := x.Stats().Bytes
	present := make([]bool, n)
	for i := range present {
		present[i] = true
	}
	verify := func() {
		t.Helper()
		count := 0
		for i := range flows {
			r, ok := x.Lookup(&flows[i].Orig)
			if ok != present[i] {
				t.Fatalf("flow %d: found %v", i, ok)
			}
			var e Entry
			if ok && (!x.Load(r, &e) || e.Flow != flows[i]) {
				t.Fatalf("flow %d is another", i)
			}
			if ok {
				count++
			}
		}
		if x.Len() != count {
			t.Fatalf("%d entries, want %d", x.Len(), count)
		}
	}
	verify()
	for range 4 {
		for range 3 * n {
			i := rnd.IntN(n)
			if present[i] = !present[i]; !present[i] {
				x.Destroy(&flows[i].Orig, 0)
			} else {
				must(t, x.New(&flows[i], 0))
			}
		}
		verify()
	}
	if b := x.Stats().Bytes; b > full+full/20 {
		t.Errorf("%d bytes after churn, %d when full", b, full)
	}
	for _, i := range rnd.Perm(n) {
		if present[i] {
			x.Destroy(&flows[i].Orig, 0)
		}
	}
	checkEmpty(t, &x.store)
	if held := x.v4.records.held + x.v6.records.held + x.v4.replies.held + x.v6.replies.held; held != 4 {
		t.Errorf("%d chunks held, want one of each kind", held)
	}
	for i := range flows {
		must(t, x.New(&flows[i], 0))
		present[i] = true
	}
	verify()
}

func TestSlabPrefersHeldChunks(t *testing.T) {
	var s slab[uint64]
	for range 3 * chunkSize {
		*s.at(s.alloc()) = 7
	}
	for i := range uint32(3 * chunkSize) {
		s.free(i)
	}
	if s.n != 0 || s.held != 1 || s.spare != 1 {
		t.Fatalf("emptied: %d used, %d held, %d spare", s.n, s.held, s.spare)
	}
	seen := map[uint32]bool{}
	for range 3 * chunkSize {
		i := s.alloc()
		if seen[i] || i >= 3*chunkSize {
			t.Fatalf("record %d again, or beyond the chunks", i)
		}
		seen[i] = true
	}
	if s.n != 3*chunkSize || s.held != 3 || s.spare != 0 || len(s.room) != 0 {
		t.Fatalf("full: %d used, %d held, %d spare, %d with room", s.n, s.held, s.spare, len(s.room))
	}
}

func TestLimit(t *testing.T) {
	n := NewInternal(2)
	a, b, c := numbered(1, 1), numbered(2, 1), numbered(3, 1)
	must(t, n.New(&a, 0))
	must(t, n.New(&b, 0))
	for i, op := range []func(*flow.Flow, int64) error{n.New, n.Update, n.Restored} {
		if err := op(&c, 0); err != ErrFull {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if _, err := n.Reconcile(&c, 0); err != ErrFull {
		t.Errorf("reconcile: %v", err)
	}
	must(t, n.New(&a, 0)) // a replacement needs no room
	if s := n.Stats(); s.Full != 4 || s.CreateFailed != 4 || s.Created != 3 || s.Destroyed != 1 || s.Total != 2 {
		t.Errorf("%+v", s)
	}
	n.SetLimit(3)
	must(t, n.New(&c, 0))
	n.SetLimit(1)
	if n.Len() != 3 || n.Limit() != 1 {
		t.Errorf("len %d, limit %d: entries above a lowered limit must stay", n.Len(), n.Limit())
	}
	if n.SetLimit(0); n.Limit() != 2*maxRecords {
		t.Errorf("limit %d", n.Limit())
	}
}

// TestNoAllocations covers each operation of the hot paths in a cache that has reached its size.
func TestNoAllocations(t *testing.T) {
	const n = 3 * chunkSize
	c, x := fillInternal(n, flow.IPv4, 2), fillExternal(n, flow.IPv6, 2)
	var o Outgoing
	var e Entry
	var f, u, g flow.Flow
	cycle := func() {
		for c.Next(&o) {
			c.Sent(o.Ref, 9)
			c.Acked(o.Ref, 9)
		}
	}
	cycle()
	i := 0
	tests := map[string]func(){
		"lookup and load": func() { r, _ := c.Lookup(&f.Orig); c.Load(r, &e) },
		"update":          func() { _ = c.Update(&f, 0) },
		"rare attribute":  func() { u.Mark++; u.Helper[0]++; _ = c.Update(&u, 0) },
		"destroy and new": func() { c.Destroy(&f, 0); _ = c.New(&f, 0); cycle() },
		"ended and new":   func() { c.Destroy(&f, 0); cycle(); _ = c.New(&f, 0); cycle() },
		"lost":            func() { _ = c.Update(&f, 0); c.Next(&o); c.Sent(o.Ref, 3); c.Lost(o.Ref, 3) },
		"reconcile":       func() { _, _ = c.Reconcile(&f, 0) },
		"external":        func() { x.Destroy(&g.Orig, 0); _ = x.New(&g, 0); _ = x.Update(&g, 0) },
	}
	for name, op := range tests {
		step := func() {
			i++
			f, g = nth(i%n, flow.IPv4, 2), nth(i%n, flow.IPv6, 2)
			u = f
			u.Has |= flow.HasHelper | flow.HasMark
			op()
		}
		for range n { // what grows once has grown
			step()
		}
		if allocs := testing.AllocsPerRun(n, step); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// TestSizes checks the sizes in the package comment.
func TestSizes(t *testing.T) {
	for name, s := range map[string][2]uintptr{
		"IPv4 record": {unsafe.Sizeof(record[key4]{}), 56},
		"IPv6 record": {unsafe.Sizeof(record[key6]{}), 80},
		"extra":       {unsafe.Sizeof(extra{}), 124},
		"track":       {unsafe.Sizeof(track{}), 12},
	} {
		if s[0] != s[1] {
			t.Errorf("%s: %d bytes, want %d", name, s[0], s[1])
		}
	}
}
