package session

import (
	"math/rand/v2"
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// conntrackd is a model of conntrackd 1.4.7 in FTFW mode: an unbounded transmit queue, a resend queue, W = 300, no
// flow control, a hello that is taken for a restart whenever it comes.
type conntrackd struct {
	tables
	r       *rand.Rand
	size    int // bytes a datagram must stay below
	w       int
	resync  bool // asks for a resync at its start
	seq     uint32
	seqSet  bool
	now     int64
	obj     [simKeys]object
	tx, rs  []queued
	hello   int // 0 INIT, 1 SAY, 2 DONE
	back    bool
	known   bool
	last    uint32
	ackFrom uint32
	ackSet  bool
	window  int
	alive   int64 // when the alive timer fires
	flow    flow.Flow
	dropped int
}

// object is an entry of its internal cache.
type object struct {
	value  uint32
	status int // 0 none, 1 NEW, 2 ALIVE, 3 DEAD
}

// queued is an object or a control message in the transmit or the resend queue.
type queued struct {
	key      int // -1: control
	flags    wire.Flags
	from, to uint32
	seq      uint32
}

const conntrackdRS = 131072

func (c *conntrackd) tab() *tables { return &c.tables }

func (c *conntrackd) restart(now int64) {
	*c = conntrackd{
		tables: c.tables, r: c.r, size: c.size, w: c.w, resync: c.resync, dropped: c.dropped,
		now: now, window: c.w, alive: now + second,
	}
	c.starts++
	for k, v := range c.kernel {
		if v != 0 {
			c.obj[k] = object{v, 1} // the dump at the start is silent for the peer
		}
	}
	if c.resync {
		c.enqueue(queued{key: -1, flags: wire.Resync})
	}
}

// enqueue puts q at the end of the transmit queue; an object leaves the resend queue for it.
func (c *conntrackd) enqueue(q queued) {
	if q.key >= 0 {
		for _, t := range c.tx {
			if t.key == q.key {
				return
			}
		}
		c.rs = without(c.rs, func(e queued) bool { return e.key == q.key })
	}
	c.tx = append(c.tx, q)
}

func without(q []queued, drop func(queued) bool) []queued {
	kept := q[:0]
	for _, e := range q {
		if !drop(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func (c *conntrackd) changed(_ int64, k int) {
	o, v := &c.obj[k], c.kernel[k]
	switch {
	case v == 0 && (o.status == 0 || o.status == 3):
		return
	case v == 0:
		o.status = 3
	case o.status == 1 || o.status == 2:
		*o = object{v, 2}
	default:
		*o = object{v, 1}
	}
	c.enqueue(queued{key: k})
}

// forget drops an element of the resend queue; a dead object goes with it.
func (c *conntrackd) forget(q queued) {
	if q.key >= 0 && c.obj[q.key].status == 3 {
		c.obj[q.key] = object{}
	}
}

func (c *conntrackd) run(now int64, send func([]byte)) (next int64) {
	c.now = now
	if now >= c.alive && len(c.tx) == 0 {
		if c.ackSet && c.known {
			c.enqueue(queued{key: -1, flags: wire.Ack, from: c.ackFrom, to: c.last})
			c.ackSet = false
		} else {
			c.enqueue(queued{key: -1, flags: wire.Alive})
		}
	}
	if len(c.tx) == 0 {
		return c.alive
	}
	var buf, msg []byte
	for _, q := range c.tx {
		msg = c.build(msg[:0], q)
		if len(buf)+len(msg) >= c.size && len(buf) > 0 {
			send(buf)
			buf = buf[:0]
		}
		buf = append(buf, msg...)
	}
	send(buf)
	c.tx = c.tx[:0]
	c.alive = now + second
	return c.alive
}

func (c *conntrackd) build(b []byte, q queued) []byte {
	flags := q.flags
	if c.hello == 0 {
		c.hello = 1
	}
	if c.hello == 1 {
		flags |= wire.Hello
	}
	if c.back {
		flags |= wire.HelloBack
		c.back = false
	}
	if !c.seqSet {
		c.seq, c.seqSet = uint32(simEpoch+c.now/second), true
	}
	q.seq = c.seq
	c.seq++
	if q.flags&wire.Alive == 0 {
		if len(c.rs) == conntrackdRS {
			c.forget(c.rs[0])
			c.rs = c.rs[1:]
		}
		c.rs = append(c.rs, q)
	}
	if q.key < 0 {
		return wire.AppendControl(b, flags, q.seq, q.from, q.to)
	}
	o := c.obj[q.key]
	f := stateFlow(q.key, o.value)
	return wire.AppendFlow(b, wire.Type(o.status-1), flags, q.seq, &f)
}

func (c *conntrackd) receive(now int64, datagram []byte) {
	c.now = now
	for len(datagram) > 0 {
		h, body, rest, bad := wire.Next(datagram)
		if datagram = rest; bad != wire.OK {
			panic("malformed message from ctsync")
		}
		c.message(&h, body)
	}
}

// message is the algorithm as it was observed.
func (c *conntrackd) message(h *wire.Header, body []byte) {
	q, bypass := h.Seq, false
	if h.Flags&wire.Hello != 0 {
		c.back = true
		if c.ackSet && before(q, c.ackFrom) {
			c.window, c.ackFrom = c.w-1, q
		}
		for _, e := range c.rs {
			c.forget(e)
		}
		c.rs, bypass = c.rs[:0], true
	}
	if h.Flags&wire.HelloBack != 0 && c.hello == 1 {
		c.hello = 2
	}
	if !bypass && c.known && q != c.last+1 {
		if !before(c.last, q) {
			c.dropped++
			return
		}
		c.digest(h, body)
		if c.ackSet {
			c.enqueue(queued{key: -1, flags: wire.Ack, from: c.ackFrom, to: c.last})
		}
		c.enqueue(queued{key: -1, flags: wire.Nack, from: c.last + 1, to: q - 1})
		c.window, c.ackFrom, c.ackSet = c.w-1, q, true
		c.last, c.known = q, true
		return
	}
	c.digest(h, body)
	if !c.ackSet {
		c.ackFrom, c.ackSet = q, true
	}
	c.window--
	if c.window == 0 {
		c.enqueue(queued{key: -1, flags: wire.Ack, from: c.ackFrom, to: q})
		c.window, c.ackSet = c.w, false
	}
	c.last, c.known = q, true
}

func (c *conntrackd) digest(h *wire.Header, body []byte) {
	in := func(e queued) bool { return !before(e.seq, h.From) && !before(h.To, e.seq) }
	switch {
	case h.Type != wire.Control:
		if _, err := wire.ParseFlow(body, &c.flow); err != nil {
			panic(err)
		}
		c.apply(c.now, h.Type, &c.flow)
	case h.Flags&wire.Ack != 0:
		c.rs = without(c.rs, func(e queued) bool {
			if in(e) {
				c.forget(e)
			}
			return in(e)
		})
	case h.Flags&wire.Nack != 0:
		var again []queued
		c.rs = without(c.rs, func(e queued) bool {
			if in(e) {
				again = append(again, e)
			}
			return in(e)
		})
		for _, e := range again {
			c.enqueue(e)
		}
	case h.Flags&wire.Resync != 0:
		for k := range c.obj {
			if s := c.obj[k].status; s == 1 || s == 2 {
				c.enqueue(queued{key: k})
			}
		}
	}
}

func (c *conntrackd) settled() bool { return len(c.tx) == 0 && c.hello == 2 }

// mayKeep: conntrackd has no sweep. What ended on the other end around a restart of that end stays for ever.
func (c *conntrackd) mayKeep(int) bool { return c.other.starts > 1 }

func TestSimulationWithConntrackd(t *testing.T) {
	play(t, func(_ uint64, r *rand.Rand) error {
		a := &node{cfg: randomConfig(r)}
		b := &conntrackd{r: r, size: 200 + r.IntN(1300), w: 300, resync: r.IntN(2) == 0}
		switch r.IntN(4) {
		case 0:
			b.w = 2 + r.IntN(30)
		case 1:
			b.w = 20000
		}
		p := newProfile(r)
		p.gentleHello = true // a conntrackd that sees an old hello forgets what it keeps for the peer; nothing helps
		p.slow = second      // its HELLO_BACK waits for its next message
		return newSimulation(r, p, [2]endpoint{a, b}).run()
	})
}
