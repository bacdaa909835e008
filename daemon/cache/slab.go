package cache

import "math/bits"

// chunkSize is the number of records that are allocated at once.
const chunkSize = 1 << chunkShift

const (
	chunkShift = 12
	chunkMask  = chunkSize - 1
	chunkWords = chunkSize / 64
)

// bitset holds one bit per record number.
type bitset []uint64

// has is false for a number that the set has no room for, so that it may be asked about any number.
func (b bitset) has(i uint32) bool { return int(i>>6) < len(b) && b[i>>6]>>(i&63)&1 != 0 }
func (b bitset) set(i uint32)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) clear(i uint32)    { b[i>>6] &^= 1 << (i & 63) }

// grow makes room for the records of the chunks below n.
func (b *bitset) grow(n int) {
	for len(*b) < n*chunkWords {
		var words [chunkWords]uint64
		*b = append(*b, words[:]...)
	}
}

// next returns the first member not below i that is not in except (which may be nil).
func (b bitset) next(i uint32, except bitset) (uint32, bool) {
	for w := int(i >> 6); w < len(b); w++ {
		word := b[w]
		if w < len(except) {
			word &^= except[w]
		}
		if w == int(i>>6) {
			word &= ^uint64(0) << (i & 63)
		}
		if word != 0 {
			return uint32(w<<6 + bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}

// slab hands out numbered records of T, which must be pointer-free. Chunks that become empty are given back, except
// one, so that a table whose size swings around a multiple of the chunk does not allocate each time.
type slab[T any] struct {
	chunks []*[chunkSize]T
	used   bitset
	counts []uint16 // used records of each chunk
	hints  []uint16 // no word of the chunk's part of used below this one has a zero bit
	room   []uint32 // chunks that are not full, each once; the last is filled first
	n      int      // used records
	held   int      // chunks in memory
	spare  int      // held chunks without a used record
}

// at returns the record i, which must be in use.
func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>chunkShift][i&chunkMask] }

// alloc returns the number of an unused record. Its content is arbitrary.
func (s *slab[T]) alloc() uint32 {
	if len(s.room) == 0 {
		s.chunks = append(s.chunks, nil)
		s.counts = append(s.counts, 0)
		s.hints = append(s.hints, 0)
		s.used.grow(len(s.chunks))
		s.room = append(s.room, uint32(len(s.chunks)-1))
	}
	c := s.room[len(s.room)-1]
	switch {
	case s.chunks[c] == nil:
		s.chunks[c] = new([chunkSize]T)
		s.held++
	case s.counts[c] == 0:
		s.spare--
	}
	words := s.used[c*chunkWords : (c+1)*chunkWords]
	w := s.hints[c]
	for words[w] == ^uint64(0) {
		w++
	}
	s.hints[c] = w
	bit := bits.TrailingZeros64(^words[w])
	words[w] |= 1 << bit
	s.n++
	if s.counts[c]++; s.counts[c] == chunkSize {
		s.room = s.room[:len(s.room)-1]
	}
	return c<<chunkShift + uint32(w)<<6 + uint32(bit)
}

// free takes record i back.
func (s *slab[T]) free(i uint32) {
	c := i >> chunkShift
	s.used.clear(i)
	s.n--
	s.hints[c] = min(s.hints[c], uint16(i&chunkMask>>6))
	if s.counts[c] == chunkSize {
		s.room = append(s.room, c)
	}
	if s.counts[c]--; s.counts[c] > 0 {
		return
	}
	if s.spare > 0 {
		s.chunks[c] = nil
		s.held--
		return
	}
	s.spare++
}
