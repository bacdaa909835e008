package cache

// Queues of the internal cache. A record is in at most one, and which one follows from its state:
//
//	changed   live and dirty: waits to be sent
//	ended     dead and dirty: its end waits to be sent
//	waiting   dead, its end was sent: waits for the acknowledgement
//	garbage   dead and unknown to the peer, because the peer restarted: waits to be freed
//
// changed and ended are one FIFO in two lists, merged by the tickets their records carry. They are apart so that a
// restart of the peer turns all ended and waiting records to garbage without a walk.

// state of a record of the internal cache.
type state uint8

const (
	dirty    state = 1 << iota // queued in changed or ended
	dead                       // the flow has ended
	inFlight                   // track.seq is the sequence number of the last message, neither acknowledged nor lost
	asNew                      // the next message is NEW though the peer knows the tuple: another incarnation
	sentNew                    // a NEW was sent and nothing since was acknowledged
	noted                      // Note was called for this incarnation
)

func (b *body) is(s state) bool { return b.state&s != 0 }

// track is what the internal cache keeps of a record beside its content.
type track struct {
	next, prev Ref    // in the queue
	seq        uint32 // dirty: ticket of the place in the queue; in flight: sequence number of the message
}

// queue is a list threaded through the tracks.
type queue struct {
	head, tail Ref
	n          int
}

type tracks struct {
	chunks []*[chunkSize]track
	known  bitset // the peer was told of the flow, and not of its end
	recent bitset // changed by something else than the dump since the reconcile began or the caller looked it up

	touched bitset // an event told of it since it came in or ForgetTouched
}

// grow makes room for the records of the chunks below n.
func (t *tracks) grow(n int) {
	for len(t.chunks) < n {
		t.chunks = append(t.chunks, new([chunkSize]track))
	}
	t.known.grow(n)
	t.recent.grow(n)
	t.touched.grow(n)
}

func (n *Internal) side(r Ref) *tracks {
	if r&refIPv6 == 0 {
		return &n.t4
	}
	return &n.t6
}

func (n *Internal) track(r Ref) *track {
	i := r.number()
	return &n.side(r).chunks[i>>chunkShift][i&chunkMask]
}

func (n *Internal) known(r Ref) bool { return n.side(r).known.has(r.number()) }

// append puts r, which is in no queue, at the end of q.
func (n *Internal) append(q *queue, r Ref) {
	t := n.track(r)
	t.next, t.prev = 0, q.tail
	if q.tail == 0 {
		q.head = r
	} else {
		n.track(q.tail).next = r
	}
	q.tail = r
	q.n++
}

// unlink takes r out of q.
func (n *Internal) unlink(q *queue, r Ref) {
	t := n.track(r)
	if t.prev == 0 {
		q.head = t.next
	} else {
		n.track(t.prev).next = t.next
	}
	if t.next == 0 {
		q.tail = t.prev
	} else {
		n.track(t.next).prev = t.prev
	}
	q.n--
}

// discard moves all of q to the garbage.
func (n *Internal) discard(q *queue) {
	g := &n.garbage
	switch {
	case q.head == 0:
		return
	case g.tail == 0:
		g.head = q.head
	default:
		n.track(g.tail).next = q.head
		n.track(q.head).prev = g.tail
	}
	g.tail = q.tail
	g.n += q.n
	*q = queue{}
}

// queueOf returns the queue that r is in, or nil.
func (n *Internal) queueOf(r Ref, b *body) *queue {
	switch {
	case b.is(dead) && !n.known(r):
		return &n.garbage
	case b.is(dead) && b.is(dirty):
		return &n.ended
	case b.is(dead):
		return &n.waiting
	case b.is(dirty):
		return &n.changed
	}
	return nil
}

// leave takes r out of the queue that it is in.
func (n *Internal) leave(r Ref, b *body) {
	if q := n.queueOf(r, b); q != nil {
		n.unlink(q, r)
	}
	b.state &^= dirty
}

// enqueue makes r, which is in no queue, dirty.
func (n *Internal) enqueue(r Ref, b *body) {
	b.state = b.state&^inFlight | dirty
	n.ticket++
	n.track(r).seq = n.ticket
	n.append(n.queueOf(r, b), r)
}

// mark makes a live record dirty; one that is dirty keeps its place.
func (n *Internal) mark(r Ref) {
	if b := n.body(r); !b.is(dirty) {
		n.enqueue(r, b)
	}
}

// oldest returns the dirty record that was queued first, or 0.
func (n *Internal) oldest() Ref {
	a, b := n.changed.head, n.ended.head
	if a == 0 || b != 0 && int32(n.track(b).seq-n.track(a).seq) < 0 {
		return b
	}
	return a
}

// Kind is the type of message that tells the peer of a flow, numbered as protocol v1 numbers its CT_ messages.
type Kind uint8

// Kinds.
const (
	KindNew     Kind = 0
	KindUpdate  Kind = 1
	KindDestroy Kind = 2
)

// Outgoing is a flow to be sent.
type Outgoing struct {
	Type Kind
	Entry
}

func (n *Internal) kind(r Ref, b *body) Kind {
	switch {
	case b.is(dead):
		return KindDestroy
	case b.is(asNew) || !n.known(r):
		return KindNew
	}
	return KindUpdate
}

// Dirty returns the number of flows that wait to be sent.
func (n *Internal) Dirty() int { return n.changed.n + n.ended.n }

// Next takes the flow that became dirty first from the queue and fills o with its present content; for an ended flow
// that is the last content known. It returns false when nothing is dirty. The caller sends it and says so with Sent.
func (n *Internal) Next(o *Outgoing) bool {
	n.reclaim()
	r := n.oldest()
	if r == 0 {
		return false
	}
	b := n.body(r)
	n.leave(r, b)
	if b.is(dead) {
		n.append(&n.waiting, r)
	}
	o.Type = n.kind(r, b)
	n.load(r, &o.Entry)
	return true
}

// Note reports whether it is called for the first time for the flow of ref since that was new: for what is to be counted
// once, however often the flow changes.
func (n *Internal) Note(ref Ref) (first bool) {
	if !n.holds(ref) {
		return false
	}
	b := n.body(ref)
	first = !b.is(noted)
	b.state |= noted
	return first
}

// Sent says that what Next gave for ref went out with sequence number seq. Call it before the cache changes again.
func (n *Internal) Sent(ref Ref, seq uint32) {
	if !n.holds(ref) {
		return
	}
	b := n.body(ref)
	if b.is(dirty) || b.is(dead) && !n.known(ref) {
		return // changed since Next, against the rule: it will be sent again, or is garbage
	}
	if n.kind(ref, b) == KindNew {
		b.state = b.state&^asNew | sentNew
	}
	b.state |= inFlight
	n.track(ref).seq = seq
	n.side(ref).known.set(ref.number())
}

// Acked says that the peer has everything up to seq. It matters only when seq is what ref was last sent with and the
// flow has not changed since: then an ended flow is freed.
func (n *Internal) Acked(ref Ref, seq uint32) {
	b := n.latest(ref, seq)
	if b == nil {
		return
	}
	b.state &^= inFlight | sentNew
	if b.is(dead) {
		n.drop(ref, b)
	}
}

// Lost says that the message seq will not reach the peer. The flow is dirty again, unless it was sent or changed since.
func (n *Internal) Lost(ref Ref, seq uint32) {
	if n.holds(ref) && n.body(ref).is(sentNew) {
		n.body(ref).state |= asNew // seq may have been that NEW, whatever was sent since
	}
	b := n.latest(ref, seq)
	if b == nil {
		return
	}
	b.state &^= inFlight
	if b.is(dead) && !n.known(ref) {
		return // the peer has restarted: garbage
	}
	n.leave(ref, b)
	n.enqueue(ref, b)
}

// latest returns the record whose last message was seq, if that is still in flight.
func (n *Internal) latest(ref Ref, seq uint32) *body {
	if !n.holds(ref) {
		return nil
	}
	b := n.body(ref)
	if !b.is(inFlight) || n.track(ref).seq != seq {
		return nil
	}
	return b
}

// holds reports whether ref, which may be anything, is a record in use.
func (n *Internal) holds(ref Ref) bool {
	if ref>>(numberBits+1) != 0 {
		return false
	}
	if ref&refIPv6 == 0 {
		return n.v4.records.used.has(ref.number())
	}
	return n.v6.records.used.has(ref.number())
}

// Announce makes an entry dirty though it did not change, as a bulk update does. It returns false when ref names no entry.
func (n *Internal) Announce(ref Ref) bool {
	if !n.sees(ref) {
		return false
	}
	n.reclaim()
	n.mark(ref)
	return true
}

// PeerForgot says that the peer restarted and knows nothing. Ended flows need not be told any more; live ones are NEW
// when they are sent next and keep their place in the queue. The caller announces the rest. It takes the same short time
// whatever the cache holds: the memory of ended flows is taken back in small steps by the calls that follow.
func (n *Internal) PeerForgot() {
	clear(n.t4.known)
	clear(n.t6.known)
	n.discard(&n.ended)
	n.discard(&n.waiting)
}

// reclaimed is how many garbage records a call takes back.
const reclaimed = 2

func (n *Internal) reclaim() {
	for range reclaimed {
		if r := n.garbage.head; r != 0 {
			n.drop(r, n.body(r))
		}
	}
}

// drop frees a record, wherever it is queued.
func (n *Internal) drop(r Ref, b *body) {
	n.leave(r, b)
	n.side(r).known.clear(r.number())
	n.free(r)
}
