package session

import (
	"fmt"

	"ctsync/daemon/flow"
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

// node is a ctsync end: a session with the dirty list, the resync and the sweep that daemon puts around it.
type node struct {
	tables
	cfg     Config
	s       *FTFW
	now     int64
	rec     [simKeys]record
	dirty   []int
	popped  int
	bulk    bool // a bulk answers a request
	marked  int  // popped at the end of the bulk
	asked   int64
	wrong   string // broken promise of the session
	bulks   int
	answers int
}

// record is an entry of the internal cache.
type record struct {
	value  uint32 // 0: dead, kept until the peer has heard of it
	used   bool
	dirty  bool
	sent   bool
	seq    uint32
	starts int // of the peer when it was sent
}

func (n *node) tab() *tables { return &n.tables }

func (n *node) restart(now int64) {
	n.now, n.rec, n.dirty, n.bulk = now, [simKeys]record{}, n.dirty[:0], false
	n.starts++
	n.cfg.Seq = uint32(simEpoch + now/second)
	n.s = New(n.cfg, Handler{
		Flow:            func(t wire.Type, f *flow.Flow) { n.apply(n.now, t, f) },
		Acked:           n.acked,
		Lost:            n.lost,
		Dirty:           func() int { return len(n.dirty) },
		ResyncRequested: n.resyncRequested,
		PeerRestarted:   n.peerRestarted,
		ResyncSent:      func() { n.asked = n.now },
		BulkReceived:    n.bulkReceived,
		Contradicted:    func() { n.wrong = "takes the one peer for two" },
	}, now)
	for k := range n.kernel {
		if n.kernel[k] != 0 {
			n.changed(now, k)
		}
	}
	n.request()
}

// move is a change to a link that carries other datagrams.
func (n *node) move(most int) {
	n.cfg.MaxDatagram = most
	n.s.SetMaxDatagram(most)
	n.s.Move(path.Limit{})
}

func (n *node) request() {
	n.s.RequestResync(n.now)
}

func (n *node) changed(_ int64, key int) {
	r := &n.rec[key]
	r.value, r.used = n.kernel[key], true
	if r.value == 0 && !r.sent {
		*r = record{dirty: r.dirty}
		return
	}
	n.mark(key)
}

func (n *node) mark(key int) {
	if r := &n.rec[key]; !r.dirty {
		r.dirty = true
		n.dirty = append(n.dirty, key)
	}
}

func (n *node) acked(ref Ref, seq uint32) {
	r := &n.rec[ref]
	if !r.used || r.seq != seq || r.dirty {
		return
	}
	if r.starts == n.other.starts && n.other.up && n.other.external[ref] != r.value {
		n.wrong = fmt.Sprintf("%s[%d]=%d acknowledged as %d but peer has %d",
			n.name, ref, r.value, seq, n.other.external[ref])
	}
	if r.value == 0 {
		*r = record{}
	}
}

func (n *node) lost(ref Ref, seq uint32) {
	if r := &n.rec[ref]; r.used && r.seq == seq {
		n.mark(int(ref))
	}
}

// announce puts everything on the dirty list.
func (n *node) announce() {
	for k := range n.rec {
		if n.rec[k].used && (n.rec[k].value != 0 || n.rec[k].sent) {
			n.mark(k)
		}
	}
	n.marked = n.popped + len(n.dirty)
}

func (n *node) resyncRequested() {
	n.answers++
	n.s.BulkStarted()
	n.bulk = true
	n.announce()
}

func (n *node) peerRestarted() {
	n.announce()
	n.request()
}

// bulkReceived sweeps what the peer did not mention, and checks that the peer really has not got it.
func (n *node) bulkReceived() {
	n.bulks++
	settled := n.s.now-n.s.resync.at < resyncSettle // otherwise it was taken for complete, see resyncSettle
	for k := range n.external {
		if n.external[k] != 0 && n.updated[k] < n.asked {
			n.external[k] = 0
		}
		if settled && n.external[k] == 0 && n.other.kernel[k] != 0 && n.other.since[k] < n.asked {
			n.wrong = fmt.Sprintf("%s took a bulk for complete that lacks %d", n.name, k)
		}
	}
}

func (n *node) receive(now int64, datagram []byte) {
	n.now = now
	n.s.Receive(now, datagram)
}

func (n *node) run(now int64, send func([]byte)) (next int64) {
	n.now = now
	for len(n.dirty) > 0 && n.s.Room() > 0 {
		k := n.dirty[0]
		n.dirty = n.dirty[1:]
		n.popped++
		r := &n.rec[k]
		r.dirty = false
		if !r.used {
			continue
		}
		t := wire.CTUpdate
		if r.value == 0 {
			t = wire.CTDestroy
		}
		f := stateFlow(k, r.value)
		r.seq = n.s.SendFlow(now, t, &f, Ref(k))
		r.sent, r.starts = true, n.other.starts
	}
	if n.bulk && (n.popped >= n.marked || len(n.dirty) == 0) {
		n.bulk = false
		n.s.BulkSent()
	}
	n.s.Finish()
	n.flush(send)
	next = n.s.Tick(now)
	n.flush(send)
	if len(n.dirty) > 0 && n.s.Room() > 0 || n.bulk && len(n.dirty) == 0 {
		return now
	}
	if next <= now {
		n.wrong = "Tick wants to be called at once, for ever"
	}
	return next
}

func (n *node) flush(send func([]byte)) {
	buf, ends := n.s.Output()
	from := 0
	for _, end := range ends {
		if end-from > n.cfg.MaxDatagram {
			n.wrong = fmt.Sprintf("datagram of %d bytes", end-from)
		}
		send(buf[from:end])
		from = end
	}
	n.s.Reset()
}

func (n *node) settled() bool {
	st := n.s.State()
	return len(n.dirty) == 0 && st.Unacked == 0 && !st.ResyncPending && st.Established && st.NacksOutstanding == 0
}
