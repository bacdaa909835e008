package cache

// The index of one table: open addressing with linear probing and deletion by backward shift, in shards.

const (
	shardBits  = 10
	shardCount = 1 << shardBits
	firstSlots = 16 // of a shard

	numberBits = 24
	numberMask = 1<<numberBits - 1

	// maxRecords is how many flows of one family fit: all numbers plus one of the chunks below it fit in numberBits
	// bits.
	maxRecords = numberMask &^ chunkMask
)

// shard is a part of the index. An empty slot is 0; any other has the low 40 bits of the hash above the record's number
// plus one. That is enough to find the home slot, so that neither growing nor deleting reads a record: each would be a
// cache miss. The high bits of the hash choose the shard.
type shard struct {
	slots []uint64
	n     uint32
}

// key is an original or reply tuple in the form that is stored: see key4 and key6.
type key interface{ key4 | key6 }

type record[K key] struct {
	orig K
	body
}

// table holds the flows of one family.
type table[K key] struct {
	hash    func(K) uint64
	shards  [shardCount]shard
	records slab[record[K]]
	replies slab[K]
	shown   bitset // records that readers see: neither dead nor flushed
	seen    bitset // records confirmed since the reconcile (internal) or the sweep (external) began
}

// find returns the number of the record with the original tuple k, whose hash is h.
func (t *table[K]) find(k *K, h uint64) (uint32, bool) {
	s := &t.shards[h>>(64-shardBits)]
	if s.n == 0 {
		return 0, false
	}
	mask, tag := uint32(len(s.slots)-1), h<<numberBits
	for at := uint32(h) & mask; ; at = (at + 1) & mask {
		e := s.slots[at]
		if e == 0 {
			return 0, false
		}
		if e&^numberMask == tag {
			if i := uint32(e&numberMask) - 1; t.records.at(i).orig == *k {
				return i, true
			}
		}
	}
}

// insert makes a record for k, which the table must not have. Its body is zero. ok is false when the record numbers are
// used up.
func (t *table[K]) insert(k *K, h uint64) (i uint32, ok bool) {
	if t.records.n == maxRecords {
		return 0, false
	}
	s := &t.shards[h>>(64-shardBits)]
	if int(s.n) >= len(s.slots)/4*3 {
		s.enlarge()
	}
	i = t.records.alloc()
	t.shown.grow(len(t.records.chunks))
	t.seen.grow(len(t.records.chunks))
	*t.records.at(i) = record[K]{orig: *k}
	s.put(h, i)
	s.n++
	return i, true
}

// put writes a slot for record i at the first empty place.
func (s *shard) put(h uint64, i uint32) { s.place(h<<numberBits | uint64(i+1)) }

// place writes a slot at the first empty place.
func (s *shard) place(e uint64) {
	mask := uint32(len(s.slots) - 1)
	at := uint32(e>>numberBits) & mask
	for s.slots[at] != 0 {
		at = (at + 1) & mask
	}
	s.slots[at] = e
}

// enlarge doubles s.
func (s *shard) enlarge() {
	old := s.slots
	s.slots = make([]uint64, max(firstSlots, 2*len(old)))
	for _, e := range old {
		if e != 0 {
			s.place(e)
		}
	}
}

// remove frees record i with its reply tuple.
func (t *table[K]) remove(i uint32) {
	r := t.records.at(i)
	t.unlink(t.hash(r.orig), i)
	if r.reply != 0 {
		t.replies.free(r.reply - 1)
	}
	t.shown.clear(i)
	t.records.free(i)
}

// unlink empties the slot of record i and moves back those behind it that are not at home, so that no probe ends early.
func (t *table[K]) unlink(h uint64, i uint32) {
	s := &t.shards[h>>(64-shardBits)]
	mask := uint32(len(s.slots) - 1)
	hole := uint32(h) & mask
	for s.slots[hole] != h<<numberBits|uint64(i+1) {
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; s.slots[at] != 0; at = (at + 1) & mask {
		home := uint32(s.slots[at]>>numberBits) & mask
		if (at-home)&mask >= (at-hole)&mask {
			s.slots[hole] = s.slots[at]
			hole = at
		}
	}
	s.slots[hole] = 0
	s.n--
}

// setReply stores the reply tuple of r, or drops it when k is nil.
func (t *table[K]) setReply(r *record[K], k *K) {
	switch {
	case k == nil && r.reply != 0:
		t.replies.free(r.reply - 1)
		r.reply = 0
		return
	case k == nil:
		return
	case r.reply == 0:
		r.reply = t.replies.alloc() + 1
	}
	*t.replies.at(r.reply - 1) = *k
}

// slots returns the number of index slots in memory.
func (t *table[K]) slots() (n int) {
	for i := range t.shards {
		n += len(t.shards[i].slots)
	}
	return n
}
