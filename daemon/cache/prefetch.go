package cache

import "ctsync/daemon/flow"

// A table of flows fits no processor cache, so finding one costs two or three misses, each of which waits for the one
// before: the slot of the index, the record, its reply tuple. Of many flows those of one kind are independent. Prefetch
// reads them in rounds, a kind at a time, so that the processor has many misses outstanding at once; the operations on
// these flows that follow find everything near. Nothing changes, and nothing is wrong if they do not follow.

// PrefetchMost is how many flows one Prefetch takes care of. What it brings near must still be there when it is used.
const PrefetchMost = 64

// Prefetch brings near what looking up the first PrefetchMost of flows will read.
func (s *store) Prefetch(flows []flow.Flow) {
	var a ahead
	s.fetched += s.prefetch(&a, flows)
}

// ahead is the state of a Prefetch between its rounds.
type ahead struct {
	hash, slot [PrefetchMost]uint64
	ref        [PrefetchMost]Ref
	reply      [PrefetchMost]uint32
}

// Prefetch brings near what handling the first PrefetchMost of flows will read, also of the queues.
func (n *Internal) Prefetch(flows []flow.Flow) {
	var a ahead
	sum := n.store.prefetch(&a, flows)
	for _, r := range a.ref[:min(len(flows), PrefetchMost)] {
		if r != 0 {
			sum += uint64(n.out.track(r).next)
		}
	}
	n.fetched += sum
}

// prefetch returns something that depends on all that it read, or the compiler would leave that out.
func (s *store) prefetch(a *ahead, flows []flow.Flow) (sum uint64) {
	flows = flows[:min(len(flows), PrefetchMost)]
	for i := range flows {
		switch t := &flows[i].Orig; t.Family {
		case flow.IPv4:
			a.hash[i] = s.v4.hash(pack4(t))
		case flow.IPv6:
			a.hash[i] = s.v6.hash(pack6(t))
		}
	}
	for i := range flows {
		switch flows[i].Orig.Family {
		case flow.IPv4:
			a.slot[i] = s.v4.home(a.hash[i])
		case flow.IPv6:
			a.slot[i] = s.v6.home(a.hash[i])
		}
	}
	var ok bool
	for i := range flows {
		switch flows[i].Orig.Family {
		case flow.IPv4:
			if a.reply[i], ok = s.v4.replyOf(a.hash[i], a.slot[i]); ok {
				a.ref[i] = Ref(a.slot[i] & numberMask)
			}
		case flow.IPv6:
			if a.reply[i], ok = s.v6.replyOf(a.hash[i], a.slot[i]); ok {
				a.ref[i] = refIPv6 | Ref(a.slot[i]&numberMask)
			}
		}
	}
	for i := range flows {
		switch reply := a.reply[i]; {
		case reply == 0:
		case flows[i].Orig.Family == flow.IPv4:
			sum += uint64(s.v4.replies.at(reply - 1)[0])
		case flows[i].Orig.Family == flow.IPv6:
			sum += uint64(s.v6.replies.at(reply - 1)[0])
		}
	}
	return sum
}

// home returns the slot at which the search for hash h begins.
func (t *table[K]) home(h uint64) uint64 {
	s := &t.shards[h>>(64-shardBits)]
	if s.n == 0 {
		return 0
	}
	return s.slots[uint32(h)&uint32(len(s.slots)-1)]
}

// replyOf returns body.reply of the record that slot e names, which it need not for hash h.
func (t *table[K]) replyOf(h, e uint64) (reply uint32, ok bool) {
	if e == 0 || e&^numberMask != h<<numberBits {
		return 0, false
	}
	return t.records.at(uint32(e&numberMask) - 1).reply, true
}
