package flow

import (
	"bytes"
	"net/netip"
	"slices"
)

// Range is a run of addresses of one family, both ends included.
type Range struct{ First, Last Addr }

// RangeOf returns the addresses of a network.
func RangeOf(p netip.Prefix) Range {
	r := Range{First: AddrFrom(p.Masked().Addr())}
	r.Last = r.First
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		r.Last[bit/8] |= 0x80 >> (bit % 8)
	}
	return r
}

// AddrSet is a set of addresses of one family: ranges in ascending order, with gaps between them. The zero AddrSet is
// empty.
type AddrSet []Range

// NewAddrSet makes a set of ranges of one family. They may overlap and be in any order. It reorders and keeps the
// slice.
func NewAddrSet(ranges []Range, family Family) AddrSet {
	slices.SortFunc(ranges, func(a, b Range) int { return bytes.Compare(a.First[:], b.First[:]) })
	n := 0
	for _, r := range ranges {
		if n == 0 {
			ranges[0], n = r, 1
			continue
		}
		last := &ranges[n-1].Last
		switch {
		case bytes.Compare(r.First[:], last[:]) > 0 && r.First != last.next(family):
			ranges[n] = r
			n++
		case bytes.Compare(r.Last[:], last[:]) > 0:
			*last = r.Last
		}
	}
	return ranges[:n]
}

// next returns the address after a. The first one follows the last.
func (a Addr) next(family Family) Addr {
	size := len(a)
	if family == IPv4 {
		size = 4
	}
	for i := size - 1; i >= 0; i-- {
		if a[i]++; a[i] != 0 {
			break
		}
	}
	return a
}

// Has reports whether a is in the set.
func (s AddrSet) Has(a *Addr) bool {
	hi, lo := a.words()
	low, high := 0, len(s) // the last range that begins at or before a is at low-1
	for low < high {
		mid := int(uint(low+high) >> 1)
		if h, l := s[mid].First.words(); h < hi || h == hi && l <= lo {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return false
	}
	h, l := s[low-1].Last.words()
	return hi < h || hi == h && lo <= l
}
