package cache

import (
	"hash/maphash"

	"ctsync/daemon/flow"
)

// maxTombstones bounds how many ended flows a reconcile remembers: 4 MB, and 2 ms for the last growth.
const maxTombstones = 1 << 18

// tombstones remembers the flows that ended while a reconcile runs, as keyed 64-bit hashes of tuple and ID, so that a
// record of the dump that is older than the DESTROY event does not bring a flow back.
type tombstones struct {
	active   bool
	overflow bool
	seed     maphash.Seed
	slots    []uint64 // open addressing, 0 = empty, load <= 1/2
	n        int
}

func (t *tombstones) begin() { *t = tombstones{active: true, seed: maphash.MakeSeed()} }

func (t *tombstones) hash(f *flow.Flow) uint64 {
	var k [44]byte
	o := pack6(&f.Orig)
	copy(k[:], o[:])
	k[39] = uint8(f.Orig.Family)
	k[40], k[41], k[42], k[43] = byte(f.ID), byte(f.ID>>8), byte(f.ID>>16), byte(f.ID>>24)
	return max(maphash.Bytes(t.seed, k[:]), 1)
}

func (t *tombstones) add(f *flow.Flow) {
	if !t.active || t.overflow {
		return
	}
	if t.n == maxTombstones {
		t.overflow = true
		return
	}
	if 2*t.n >= len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(1024, 2*len(old)))
		t.n = 0
		for _, h := range old {
			if h != 0 {
				t.put(h)
			}
		}
	}
	t.put(t.hash(f))
}

func (t *tombstones) put(h uint64) {
	if at, ok := t.find(h); !ok {
		t.slots[at] = h
		t.n++
	}
}

// find returns the slot of h, or the one where it belongs.
func (t *tombstones) find(h uint64) (at int, ok bool) {
	mask := len(t.slots) - 1
	for at = int(h) & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if t.slots[at] == h {
			return at, true
		}
	}
	return at, false
}

// has reports whether the very flow f ended since begin.
func (t *tombstones) has(f *flow.Flow) bool {
	if t.n == 0 {
		return false
	}
	_, ok := t.find(t.hash(f))
	return ok
}
