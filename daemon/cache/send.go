package cache

// What the internal caches send to the peer: see outbox. Flows and expectations stand in one queue, in the order in
// which they became dirty. The caller reports to Internal what became of a message, for both.

// Outgoing is a flow to be sent.
type Outgoing struct {
	Type Kind
	Entry
}

// Dirty returns the number of flows and expectations that wait to be sent.
func (n *Internal) Dirty() int { return n.out.dirty() }

// Tail returns a mark of the present end of the queue, for Passed. It is another one whenever something was queued.
func (n *Internal) Tail() uint32 { return n.out.ticket }

// Passed reports whether everything has left the queue that was queued when Tail returned this mark.
func (n *Internal) Passed(tail uint32) bool { return n.out.passed(tail) }

// Next takes the flow that became dirty first from the queue and fills o with its present content; for an ended flow
// that is the last content known. It returns false when nothing is dirty, or when an expectation is first: see
// InternalExpect.Next. The caller sends the flow and calls Sent.
func (n *Internal) Next(o *Outgoing) bool {
	n.reclaim()
	r := n.out.oldest()
	if r == 0 || r.isExpectation() {
		return false
	}
	o.Type = n.out.take(r, &n.body(r).state)
	n.load(r, &o.Entry)
	return true
}

// Note reports whether this is its first call for the present incarnation of ref, a flow or an expectation: for what is
// counted once, however often the flow changes.
func (n *Internal) Note(ref Ref) (first bool) { return n.stateOf(ref).note() }

func (s *state) note() (first bool) {
	if s == nil {
		return false
	}
	first = !s.is(noted)
	*s |= noted
	return first
}

// Sent records that the flow or expectation that a Next gave for ref went out with sequence number seq. Call it before
// the caches change again.
func (n *Internal) Sent(ref Ref, seq uint32) {
	if s := n.stateOf(ref); s != nil {
		n.out.sent(ref, s, seq)
	}
}

// Acked records that the peer has everything up to seq. It matters only when seq is what ref was last sent with and the
// record has not changed since: then an ended one is freed.
func (n *Internal) Acked(ref Ref, seq uint32) {
	if s := n.stateOf(ref); s != nil && n.out.acked(ref, s, seq) {
		n.drop(ref, s)
	}
}

// Lost records that the message seq will not reach the peer. The record is dirty again, unless it was sent or changed
// since.
func (n *Internal) Lost(ref Ref, seq uint32) {
	if s := n.stateOf(ref); s != nil {
		n.out.lost(ref, s, seq)
	}
}

// stateOf returns the state of the record ref, which may be anything, or nil when that is not in use.
func (n *Internal) stateOf(ref Ref) *state {
	switch i := ref.number(); ref >> numberBits {
	case 0:
		if n.v4.records.used.has(i) {
			return &n.v4.records.at(i).state
		}
	case refIPv6 >> numberBits:
		if n.v6.records.used.has(i) {
			return &n.v6.records.at(i).state
		}
	case refExpect >> numberBits:
		if n.expect != nil && n.expect.uses(ref) {
			return &n.expect.at(ref).state
		}
	}
	return nil
}

// Announce makes an entry dirty though it did not change, as a bulk update does. It returns false when ref names no
// entry.
func (n *Internal) Announce(ref Ref) bool {
	if !n.sees(ref) {
		return false
	}
	n.reclaim()
	n.mark(ref)
	return true
}

// BeginAnnounce says that the peer is to be sent every entry from now on. What is sent anyway since then, AnnounceRest
// does not queue once more.
func (n *Internal) BeginAnnounce() {
	for i := range n.out.sides {
		clear(n.out.sides[i].recent)
	}
}

// AnnounceRest makes an entry dirty unless it was sent since BeginAnnounce.
func (n *Internal) AnnounceRest(ref Ref) {
	if !n.out.side(ref).recent.has(ref.number()) {
		n.Announce(ref)
	}
}

func (n *Internal) mark(r Ref) { n.out.mark(r, &n.body(r).state) }

// PeerForgot records that the peer restarted and knows nothing, of flows or of expectations. The ends of what has ended
// need not be sent any more; the rest is NEW when it is sent next, and keeps its place in the queue. The caller
// announces what is not queued. It takes the same short time whatever the cache holds: the memory of what has ended is
// taken back in small steps by the calls that follow.
func (n *Internal) PeerForgot() { n.out.forget() }

// reclaimed is how many garbage records a call takes back.
const reclaimed = 2

func (n *Internal) reclaim() {
	for range reclaimed {
		if r := n.out.garbage.head; r != 0 {
			n.drop(r, n.stateOf(r))
		}
	}
}

// drop frees a record, flow or expectation, whatever list it is in.
func (n *Internal) drop(r Ref, s *state) {
	n.out.remove(r, s)
	if r.isExpectation() {
		n.expect.free(r)
	} else {
		n.free(r)
	}
}
