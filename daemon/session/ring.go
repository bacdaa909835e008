package session

// kind says what an element of the ring was.
type kind uint8

const (
	gone   kind = iota // acknowledged or lost; only its place is left
	state              // a flow or an expectation; a is the caller's Ref
	ack                // an acknowledgement; a and b are its range
	nack               // a request to send again; likewise
	resync             // a request for the whole table; a and b are 0
)

// element is one message that was sent and not yet acknowledged. The content of a state message is not kept: it would
// be out of date by the time it is sent again.
type element struct {
	seq   uint32
	a, b  uint32
	at    uint32 // milliseconds of the session's clock, wrapping
	kind  kind
	tries uint8  // how often it was sent before
	size  uint16 // bytes of its datagram up to its end
}

// ring holds the elements in the order of their numbers. Acknowledgements mostly take them from the front. One taken
// from the middle leaves a gone element behind until the next compaction. There are at most a quarter as many gone
// elements as live ones, plus ringSlack, so a range costs time in proportion to the live elements in it, whatever the
// peer sends.
type ring struct {
	buf     []element // length is a power of two
	head, n int       // first occupied place, number of occupied places
	state   int       // live elements of kind state
	control int       // live elements of the other kinds
	nacks   int       // live elements of kind nack
}

const (
	ringStart = 1024
	ringSlack = 64
)

// before reports whether a comes before b in serial order: numbers wrap at 2^32 and are at most 2^31 apart.
func before(a, b uint32) bool { return int32(a-b) < 0 }

func (r *ring) len() int { return r.state + r.control }

func (r *ring) at(i int) *element { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

// push appends e, whose number follows all others. It grows the ring when it is full. The window and the limit on
// control messages bound it.
func (r *ring) push(e element) {
	if r.n == len(r.buf) {
		r.grow()
	}
	*r.at(r.n) = e
	r.n++
	r.count(e.kind, 1)
}

func (r *ring) grow() {
	buf := make([]element, max(ringStart, 2*len(r.buf)))
	n := 0
	for i := range r.n {
		if e := r.at(i); e.kind != gone {
			buf[n] = *e
			n++
		}
	}
	r.buf, r.head, r.n = buf, 0, n
}

func (r *ring) count(k kind, d int) {
	switch k {
	case state:
		r.state += d
		return
	case nack:
		r.nacks += d
	}
	r.control += d
}

// search returns the index of the first element whose number is not before seq.
func (r *ring) search(seq uint32) int {
	if r.n == 0 || before(seq, r.at(0).seq) {
		return 0
	}
	base := r.at(0).seq
	lo, hi := 0, r.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r.at(mid).seq-base < seq-base {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// take removes the live element at index i. trim must follow before the next search.
func (r *ring) take(i int) element {
	e := *r.at(i)
	r.at(i).kind = gone
	r.count(e.kind, -1)
	return e
}

// remove takes the live elements with numbers from..to, in order, and hands each to fn, which must not touch the ring.
func (r *ring) remove(from, to uint32, fn func(element)) {
	for i := r.search(from); i < r.n; i++ {
		e := r.at(i)
		if before(to, e.seq) {
			break
		}
		if e.kind != gone {
			fn(r.take(i))
		}
	}
	r.trim()
}

// drop removes the element with number seq if it is of kind k.
func (r *ring) drop(seq uint32, k kind) {
	if i := r.search(seq); i < r.n && r.at(i).seq == seq && r.at(i).kind == k {
		r.take(i)
		r.trim()
	}
}

// trim frees gone places at the front, and all of them when there are many.
func (r *ring) trim() {
	for r.n > 0 && r.at(0).kind == gone {
		r.head = (r.head + 1) & (len(r.buf) - 1)
		r.n--
	}
	if r.n-r.len() <= r.len()/4+ringSlack {
		return
	}
	n := 0
	for i := range r.n {
		if e := r.at(i); e.kind != gone {
			*r.at(n) = *e
			n++
		}
	}
	r.n = n
}

// clear removes everything and hands each live element to fn.
func (r *ring) clear(fn func(element)) {
	for i := range r.n {
		if r.at(i).kind != gone {
			fn(r.take(i))
		}
	}
	r.head, r.n = 0, 0
}
