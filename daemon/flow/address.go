package flow

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Range is a run of addresses of one family, both ends included.
type Range struct{ first, last [2]uint64 } // as Addr.words: to decode them in every search costs more than the search

// NewRange returns the addresses from first to last.
func NewRange(first, last Addr) (r Range) {
	r.first[0], r.first[1] = first.words()
	r.last[0], r.last[1] = last.words()
	return r
}

// RangeOf returns the addresses of a network.
func RangeOf(p netip.Prefix) Range {
	first := AddrFrom(p.Masked().Addr())
	last := first
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return NewRange(first, last)
}

// First returns the first address of r.
func (r *Range) First() Addr { return addrOf(r.first) }

// Last returns the last address of r.
func (r *Range) Last() Addr { return addrOf(r.last) }

func addrOf(w [2]uint64) (a Addr) {
	binary.BigEndian.PutUint64(a[:8], w[0])
	binary.BigEndian.PutUint64(a[8:], w[1])
	return a
}

// AddrSet is a set of addresses of one family: ranges in ascending order, with gaps between them. The zero AddrSet is
// empty.
type AddrSet []Range

// NewAddrSet makes a set of ranges of one family. They may overlap and be in any order. It reorders and keeps the
// slice.
func NewAddrSet(ranges []Range, family Family) AddrSet {
	slices.SortFunc(ranges, func(a, b Range) int { return compareWords(a.first, b.first) })
	n := 0
	for _, r := range ranges {
		switch {
		case n > 0 && (compareWords(r.first, ranges[n-1].last) <= 0 || r.first == following(ranges[n-1].last, family)):
			if compareWords(r.last, ranges[n-1].last) > 0 {
				ranges[n-1].last = r.last
			}
		default:
			ranges[n] = r
			n++
		}
	}
	return ranges[:n]
}

func compareWords(a, b [2]uint64) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// following returns the address after a. The first one follows the last, but no range begins there after another one.
func following(a [2]uint64, family Family) [2]uint64 {
	if family == IPv4 {
		a[0] += 1 << 32
		return a
	}
	if a[1]++; a[1] == 0 {
		a[0]++
	}
	return a
}

// Has reports whether a is in the set.
func (s AddrSet) Has(a *Addr) bool {
	hi, lo := a.words()
	low, high := 0, len(s) // the last range that begins at or before a is at low-1
	for low < high {
		mid := int(uint(low+high) >> 1)
		if r := &s[mid]; r.first[0] < hi || r.first[0] == hi && r.first[1] <= lo {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return false
	}
	last := &s[low-1].last
	return hi < last[0] || hi == last[0] && lo <= last[1]
}
