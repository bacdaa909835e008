package cache

import (
	"encoding/binary"
	"math"
	"slices"

	"ctsync/daemon/flow"
)

// Order is what a Pager sorts by.
type Order uint8

// Orders. Entries that are equal stand in the order of storage.
const (
	BySource      Order = iota // original source: family, address, port
	ByDestination              // original destination: family, address, port
	ByProtocol                 // layer-4 protocol, then destination port
	ByState                    // layer-4 protocol, then its state
	ByCreated                  // time of insertion, oldest first
	ByUpdated                  // time of last update, oldest first
	ByTimeout                  // time of expiry, soonest first; without a timeout last
	ByMark
	ByZone // zone of the original direction
)

// rank is the place of an entry in an order: words that compare in turn, then the position.
type rank struct {
	a, b, c uint64
	ref     Ref
}

func (x *rank) less(y *rank) bool {
	switch {
	case x.a != y.a:
		return x.a < y.a
	case x.b != y.b:
		return x.b < y.b
	case x.c != y.c:
		return x.c < y.c
	}
	return x.ref < y.ref
}

func rankOf(o Order, e *Entry) rank {
	f := &e.Flow
	t := &f.Orig
	k := rank{ref: e.Ref}
	switch o {
	case BySource:
		k.a, k.b, k.c = endpoint(t.Family, &t.Src, t.SrcPort)
	case ByDestination:
		k.a, k.b, k.c = endpoint(t.Family, &t.Dst, t.DstPort)
	case ByProtocol:
		k.a = uint64(t.Proto)<<16 | uint64(t.DstPort)
	case ByState:
		k.a = uint64(t.Proto)<<8 | uint64(max(f.TCPState, f.SCTPState, f.DCCPState))
	case ByCreated:
		k.a = signed(e.Created)
	case ByUpdated:
		k.a = signed(e.Updated)
	case ByTimeout:
		k.a = math.MaxUint64
		if f.Has.Is(flow.HasTimeout) {
			k.a = signed(e.Updated) + uint64(f.Timeout)*1e9
		}
	case ByMark:
		k.a = uint64(f.Mark)
	case ByZone:
		k.a = uint64(t.Zone)
	}
	return k
}

// signed maps an int64 so that the order as uint64 is the same.
func signed(v int64) uint64 { return uint64(v) ^ 1<<63 }

// endpoint packs family, address and port into words that compare like them.
func endpoint(fam flow.Family, addr *flow.Addr, port uint16) (a, b, c uint64) {
	hi, lo := binary.BigEndian.Uint64(addr[:8]), binary.BigEndian.Uint64(addr[8:])
	return uint64(fam)<<56 | hi>>8, hi<<56 | lo>>8, lo&0xff<<16 | uint64(port)
}

// Pager is an ordered read in progress. It holds 32 bytes for each of the first skip+limit entries, never a copy of the
// table.
type Pager struct {
	order Order
	desc  bool
	skip  int
	keep  int
	match func(*Entry) bool
	heap  []rank // the best so far, the worst of them first
	from  Ref
	done  bool
}

// NewPager prepares to read the entries skip to skip+limit-1 of those that match (nil: all), in the order o, or its
// reverse with desc.
func NewPager(o Order, desc bool, skip, limit int, match func(*Entry) bool) *Pager {
	p := &Pager{order: o, desc: desc, skip: max(skip, 0), match: match}
	if limit > 0 {
		p.keep = p.skip + limit
	}
	return p
}

// Advance looks at max more entries and reports whether there are others to look at. The cache may change between two
// calls.
func (s *store) Advance(p *Pager, max int) (more bool) {
	if p.done || p.keep <= 0 {
		return false
	}
	p.from = s.Scan(p.from, max, func(e *Entry) bool {
		if p.match == nil || p.match(e) {
			p.add(rankOf(p.order, e))
		}
		return true
	})
	p.done = p.from == 0
	return !p.done
}

// Entries returns what p found and ends it. Entries that ended since p passed them are left out.
func (s *store) Entries(p *Pager) []Entry {
	p.done = true
	slices.SortFunc(p.heap, func(x, y rank) int {
		switch {
		case p.before(&x, &y):
			return -1
		case p.before(&y, &x):
			return 1
		}
		return 0
	})
	if p.skip >= len(p.heap) {
		return nil
	}
	out := make([]Entry, 0, len(p.heap)-p.skip)
	for _, k := range p.heap[p.skip:] {
		var e Entry
		if s.Load(k.ref, &e) {
			out = append(out, e)
		}
	}
	return out
}

func (p *Pager) before(x, y *rank) bool {
	if p.desc {
		return y.less(x)
	}
	return x.less(y)
}

// add keeps k if it is among the best.
func (p *Pager) add(k rank) {
	if len(p.heap) < p.keep {
		p.heap = append(p.heap, k)
		p.up(len(p.heap) - 1)
	} else if p.before(&k, &p.heap[0]) {
		p.heap[0] = k
		p.down()
	}
}

func (p *Pager) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !p.before(&p.heap[parent], &p.heap[i]) {
			return
		}
		p.heap[parent], p.heap[i] = p.heap[i], p.heap[parent]
		i = parent
	}
}

func (p *Pager) down() {
	for i := 0; ; {
		worst, left := i, 2*i+1
		for c := left; c < min(left+2, len(p.heap)); c++ {
			if p.before(&p.heap[worst], &p.heap[c]) {
				worst = c
			}
		}
		if worst == i {
			return
		}
		p.heap[i], p.heap[worst] = p.heap[worst], p.heap[i]
		i = worst
	}
}
