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
	ByUpdated                  // when the flow was last active, oldest first
	ByTimeout                  // time of expiry, soonest first; without a timeout last
	ByMark
	ByZone // zone of the original direction
	BySourcePort
	ByDestinationPort
	ByID
	ByNAT     // none, source, destination, both
	ByHelper  // name, none first
	ByPackets // both directions; no cache keeps counters, for entries from elsewhere
	ByBytes
)

// Rank is the place of an entry in an order: words to compare in turn, then the position.
type Rank struct {
	a, b, c uint64
	ref     Ref
	slot    uint32 // of Pager.entries
}

func (x *Rank) less(y *Rank) bool {
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

func rankOf(o Order, e *Entry) Rank {
	f := &e.Flow
	t := &f.Orig
	k := Rank{ref: e.Ref}
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
			k.a = signed(e.Read) + uint64(f.Timeout)*1e9
		}
	case ByMark:
		k.a = uint64(f.Mark)
	case ByZone:
		k.a = uint64(t.Zone)
	case BySourcePort:
		k.a = uint64(t.SrcPort)
	case ByDestinationPort:
		k.a = uint64(t.DstPort)
	case ByID:
		k.a = uint64(f.ID)
	case ByNAT:
		if f.SNAT() {
			k.a = 1
		}
		if f.DNAT() {
			k.a |= 2
		}
	case ByHelper:
		k.a, k.b = binary.BigEndian.Uint64(f.Helper[:8]), binary.BigEndian.Uint64(f.Helper[8:])
	case ByPackets:
		k.a = f.Packets[0] + f.Packets[1]
	case ByBytes:
		k.a = f.Bytes[0] + f.Bytes[1]
	}
	return k
}

// signed maps an int64 to an uint64 so that the order stays the same.
func signed(v int64) uint64 { return uint64(v) ^ 1<<63 }

// endpoint packs family, address and port into words that compare like them.
func endpoint(fam flow.Family, addr *flow.Addr, port uint16) (a, b, c uint64) {
	hi, lo := binary.BigEndian.Uint64(addr[:8]), binary.BigEndian.Uint64(addr[8:])
	return uint64(fam)<<56 | hi>>8, hi<<56 | lo>>8, lo&0xff<<16 | uint64(port)
}

// Pager puts entries that are shown to it one by one into an order and keeps a page of it: a copy of each of the first
// skip+limit entries, or 32 bytes for each. It belongs to no cache, so that the owner of one is not held up while
// others sort.
type Pager struct {
	order   Order
	desc    bool
	skip    int
	keep    int
	heap    []Rank // the best so far, the worst of them first
	whole   bool
	entries []Entry // of the heap, by slot
}

// NewPager prepares to keep the entries skip to skip+limit-1 in the order o, or its reverse with desc: whole, or only
// their refs.
func NewPager(o Order, desc bool, skip, limit int, whole bool) *Pager {
	p := &Pager{order: o, desc: desc, skip: max(skip, 0), whole: whole}
	if limit > 0 {
		p.keep = p.skip + limit
	}
	return p
}

// Rank returns where an entry, which may be a brief one, stands in the pager's order, for AddRank.
func (p *Pager) Rank(e *Entry) Rank { return rankOf(p.order, e) }

// AddRank is Add for a pager that is not whole.
func (p *Pager) AddRank(k Rank) { p.add(k, nil) }

// Add shows an entry to the pager, which copies what it keeps. Entries that are equal in the order are sorted by their
// refs.
func (p *Pager) Add(e *Entry) { p.add(rankOf(p.order, e), e) }

func (p *Pager) add(k Rank, e *Entry) {
	switch {
	case len(p.heap) < p.keep:
		k.slot = uint32(len(p.heap))
		p.heap = append(p.heap, k)
		p.up(len(p.heap) - 1)
		if p.whole {
			p.entries = append(p.entries, *e)
		}
	case p.keep > 0 && p.before(&k, &p.heap[0]):
		k.slot = p.heap[0].slot
		p.heap[0] = k
		p.down()
		if p.whole {
			p.entries[k.slot] = *e
		}
	}
}

// Refs returns the refs of the page in its order, and ends the pager.
func (p *Pager) Refs() []Ref {
	refs := make([]Ref, 0, max(len(p.heap)-p.skip, 0))
	for _, k := range p.sorted() {
		refs = append(refs, k.ref)
	}
	return refs
}

// Entries calls fn for each entry of a whole page in its order until fn returns an error, and ends the pager.
func (p *Pager) Entries(fn func(*Entry) error) error {
	for _, k := range p.sorted() {
		if err := fn(&p.entries[k.slot]); err != nil {
			return err
		}
	}
	return nil
}

// sorted returns the page in its order.
func (p *Pager) sorted() []Rank {
	slices.SortFunc(p.heap, func(x, y Rank) int {
		switch {
		case p.before(&x, &y):
			return -1
		case p.before(&y, &x):
			return 1
		}
		return 0
	})
	return p.heap[min(p.skip, len(p.heap)):]
}

func (p *Pager) before(x, y *Rank) bool {
	if p.desc {
		return y.less(x)
	}
	return x.less(y)
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
