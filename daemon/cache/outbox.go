package cache

// outbox holds what the peer knows of each record of the internal caches, flow or expectation, and the one queue of
// those that the peer is still to be sent. A record is in at most one of its lists, and which one follows from its
// state:
//
//	changed   live and dirty: waits to be sent
//	ended     dead and dirty: its end waits to be sent
//	waiting   dead, its end was sent: waits for the acknowledgement
//	garbage   dead and unknown to the peer, because the peer restarted: waits to be freed
//
// changed and ended are one FIFO in two lists, merged by the tickets that their records carry. They are apart so that a
// restart of the peer turns all ended and waiting records to garbage without a walk.
//
// The state itself lies in the record, where the cache needs it anyway: methods take the ref of a record in use and its
// state.
type outbox struct {
	sides                            [3]side // of IPv4 flows, of IPv6 flows, of expectations
	changed, ended, waiting, garbage queue
	ticket                           uint32 // of the record that was queued last
}

// state of a record towards the peer.
type state uint8

const (
	dirty    state = 1 << iota // queued in changed or ended
	dead                       // the flow or expectation has ended
	inFlight                   // track.seq is the sequence number of the last message, neither acknowledged nor lost
	asNew                      // the next message is NEW though the peer knows the tuple: another incarnation
	sentNew                    // a NEW was sent, and nothing since was acknowledged
	noted                      // Note was called for this incarnation
)

func (s state) is(bit state) bool { return s&bit != 0 }

// track holds the place of a record in a list, and one number.
type track struct {
	next, prev Ref
	seq        uint32 // dirty: ticket; in flight: sequence number of the message
}

// queue is a list threaded through the tracks.
type queue struct {
	head, tail Ref
	n          int
}

// side is the outbox's part for the records of one table.
type side struct {
	chunks []*[chunkSize]track
	known  bitset // the peer was sent the record, and not its end
	recent bitset // the record was sent since recent was last cleared; see BeginAnnounce
}

// grow makes room for the records of the chunks below n.
func (s *side) grow(n int) {
	for len(s.chunks) < n {
		s.chunks = append(s.chunks, new([chunkSize]track))
	}
	s.known.grow(n)
	s.recent.grow(n)
}

func (o *outbox) side(r Ref) *side { return &o.sides[r>>numberBits] }

func (o *outbox) track(r Ref) *track {
	i := r.number()
	return &o.side(r).chunks[i>>chunkShift][i&chunkMask]
}

func (o *outbox) known(r Ref) bool { return o.side(r).known.has(r.number()) }

// append puts r, which is in no list, at the end of q.
func (o *outbox) append(q *queue, r Ref) {
	t := o.track(r)
	t.next, t.prev = 0, q.tail
	if q.tail == 0 {
		q.head = r
	} else {
		o.track(q.tail).next = r
	}
	q.tail = r
	q.n++
}

// unlink takes r out of q.
func (o *outbox) unlink(q *queue, r Ref) {
	t := o.track(r)
	if t.prev == 0 {
		q.head = t.next
	} else {
		o.track(t.prev).next = t.next
	}
	if t.next == 0 {
		q.tail = t.prev
	} else {
		o.track(t.next).prev = t.prev
	}
	q.n--
}

// discard moves all of q to the garbage.
func (o *outbox) discard(q *queue) {
	g := &o.garbage
	switch {
	case q.head == 0:
		return
	case g.tail == 0:
		g.head = q.head
	default:
		o.track(g.tail).next = q.head
		o.track(q.head).prev = g.tail
	}
	g.tail = q.tail
	g.n += q.n
	*q = queue{}
}

// queueOf returns the list that r is in, or nil.
func (o *outbox) queueOf(r Ref, s state) *queue {
	switch {
	case s.is(dead) && !o.known(r):
		return &o.garbage
	case s.is(dead) && s.is(dirty):
		return &o.ended
	case s.is(dead):
		return &o.waiting
	case s.is(dirty):
		return &o.changed
	}
	return nil
}

// leave takes r out of the list that it is in.
func (o *outbox) leave(r Ref, s *state) {
	if q := o.queueOf(r, *s); q != nil {
		o.unlink(q, r)
	}
	*s &^= dirty
}

// enqueue makes r, which is in no list, dirty.
func (o *outbox) enqueue(r Ref, s *state) {
	*s = *s&^inFlight | dirty
	o.ticket++
	o.track(r).seq = o.ticket
	o.append(o.queueOf(r, *s), r)
}

// mark makes a live record dirty; one that is dirty keeps its place.
func (o *outbox) mark(r Ref, s *state) {
	if !s.is(dirty) {
		o.enqueue(r, s)
	}
}

// renew makes the record live and another incarnation, which goes out as NEW. It queues nothing.
func (o *outbox) renew(r Ref, s *state) {
	if s.is(dead) {
		o.leave(r, s)
		*s &^= dead
	}
	*s = *s&^noted | asNew
}

// end makes a live record dead and queues its end. It returns false, and does neither, when the peer does not know the
// record: the caller removes it.
func (o *outbox) end(r Ref, s *state) (queued bool) {
	if !o.known(r) {
		return false
	}
	o.leave(r, s)
	*s |= dead
	o.enqueue(r, s)
	return true
}

// oldest returns the dirty record that was queued first, or 0.
func (o *outbox) oldest() Ref {
	a, b := o.changed.head, o.ended.head
	if a == 0 || b != 0 && int32(o.track(b).seq-o.track(a).seq) < 0 {
		return b
	}
	return a
}

// dirty returns how many records wait to be sent.
func (o *outbox) dirty() int { return o.changed.n + o.ended.n }

// passed reports whether every record that was queued with a ticket up to this one has left the queue.
func (o *outbox) passed(ticket uint32) bool {
	r := o.oldest()
	return r == 0 || int32(o.track(r).seq-ticket) > 0
}

// Kind is the type of a message, numbered as protocol v1 numbers its CT_ messages.
type Kind uint8

// Kinds.
const (
	KindNew     Kind = 0
	KindUpdate  Kind = 1
	KindDestroy Kind = 2
)

// kind returns what the next message of a record is.
func (o *outbox) kind(r Ref, s state) Kind {
	switch {
	case s.is(dead):
		return KindDestroy
	case s.is(asNew) || !o.known(r):
		return KindNew
	}
	return KindUpdate
}

// take takes the oldest record from the queue and returns what its message is.
func (o *outbox) take(r Ref, s *state) Kind {
	o.leave(r, s)
	if s.is(dead) {
		o.append(&o.waiting, r)
	}
	return o.kind(r, *s)
}

// sent records that what take took went out with sequence number seq.
func (o *outbox) sent(r Ref, s *state, seq uint32) {
	if s.is(dirty) || s.is(dead) && !o.known(r) {
		return // it changed since, against the rule: it will be sent again, or is garbage
	}
	if o.kind(r, *s) == KindNew {
		*s = *s&^asNew | sentNew
	}
	*s |= inFlight
	o.track(r).seq = seq
	side := o.side(r)
	side.known.set(r.number())
	side.recent.set(r.number())
}

// acked records that the peer has the message seq. It returns true when that was the end of the record: the caller
// removes it.
func (o *outbox) acked(r Ref, s *state, seq uint32) (over bool) {
	if !o.latest(r, *s, seq) {
		return false
	}
	*s &^= inFlight | sentNew
	return s.is(dead)
}

// lost records that the message seq will not reach the peer.
func (o *outbox) lost(r Ref, s *state, seq uint32) {
	if s.is(sentNew) {
		*s |= asNew // seq may have been that NEW, whatever was sent since
	}
	if !o.latest(r, *s, seq) {
		return
	}
	*s &^= inFlight
	if s.is(dead) && !o.known(r) {
		return // the peer has restarted: garbage
	}
	o.leave(r, s)
	o.enqueue(r, s)
}

// latest reports whether seq is the last message of a record, and still in flight.
func (o *outbox) latest(r Ref, s state, seq uint32) bool {
	return s.is(inFlight) && o.track(r).seq == seq
}

// forget records that the peer knows nothing. Live records are NEW when they are sent next, and keep their place in the
// queue. Those that have ended are garbage.
func (o *outbox) forget() {
	for i := range o.sides {
		clear(o.sides[i].known)
	}
	o.discard(&o.ended)
	o.discard(&o.waiting)
}

// outdate says that what was sent of the record is not what it holds now, though that is not queued.
func (o *outbox) outdate(r Ref) { o.side(r).recent.clear(r.number()) }

// remove takes the record out of the outbox: it is about to be freed.
func (o *outbox) remove(r Ref, s *state) {
	o.leave(r, s)
	o.outdate(r)
	o.side(r).known.clear(r.number())
}
