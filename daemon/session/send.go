package session

import (
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

const (
	outputMost = 64 // finished datagrams after which Room asks for a Reset

	// Bounds of the control messages in flight. An acknowledgement beyond ackKept is sent but not kept: if it is lost,
	// the peer finds a stale message. Beyond controlMost no message is accepted that needs an answer.
	ackKept     = 1024
	controlMost = 4096
)

// output packs messages into datagrams.
type output struct {
	buf    []byte
	ends   []int
	open   int // where the datagram being filled starts
	most   int // bytes of that datagram
	usual  int // bytes of any other; most is larger while the next one is to be a probe of the path
	link   int // bytes that the link carries
	probed int // bytes of a finished datagram that was to be a probe; 0 = none
}

// pack ends the datagram before the message that starts at buf[at:] if both do not fit into one. It reports whether
// the message alone is too long.
func (o *output) pack(at int) (oversized bool) {
	if at > o.open && len(o.buf)-o.open > o.most {
		if o.most > o.usual {
			o.probed, o.most = at-o.open, o.usual
		}
		o.ends = append(o.ends, at)
		o.open = at
	}
	return len(o.buf)-o.open > o.link
}

// close ends the datagram being filled.
func (o *output) close() {
	n := len(o.buf) - o.open
	if n == 0 {
		return
	}
	if n > o.usual && o.most > o.usual {
		o.probed, o.most = n, o.usual
	}
	o.ends = append(o.ends, len(o.buf))
	o.open = len(o.buf)
}

// repack divides the messages that wait into datagrams again.
func (o *output) repack() {
	finished := len(o.ends) > 0 && o.open == len(o.buf)
	o.ends, o.open = o.ends[:0], 0
	whole := o.buf
	for at := 0; at < len(whole); at = len(o.buf) {
		_, _, rest, _ := wire.Next(whole[at:])
		o.buf = whole[:len(whole)-len(rest)]
		o.pack(at)
	}
	if finished {
		o.close()
	}
}

// reset forgets the finished datagrams and keeps the one being filled.
func (o *output) reset() {
	if len(o.ends) == 0 {
		return
	}
	n := copy(o.buf, o.buf[o.open:])
	o.buf, o.ends, o.open = o.buf[:n], o.ends[:0], 0
}

// Output returns the finished datagrams: buf[ends[i-1]:ends[i]], the first from 0. Both are valid until another method
// of s is called.
func (s *FTFW) Output() (buf []byte, ends []int) { return s.out.buf, s.out.ends }

// Reset says that Output has been sent. A datagram that is still being filled stays.
func (s *FTFW) Reset() { s.out.reset() }

// Finish sends the answers and acknowledgements that are due and closes the datagram being filled. Call it after each
// row of SendFlow calls, and after Receive when there was nothing to send.
func (s *FTFW) Finish() {
	s.pump()
	s.close()
}

// SetMaxDatagram changes Config.MaxDatagram, when the links have another MTU. It also holds for the datagrams that wait
// in Output.
func (s *FTFW) SetMaxDatagram(most int) {
	if most > 0 && most != s.path.Size.Link() {
		known := s.path.Size.Known()
		if s.link(most, path.Limit{}); known != (path.Limit{}) && s.h.PathLimited != nil {
			s.h.PathLimited(path.Limit{})
		}
	}
}

// Move says that another link sends from now on, and what PathLimited last said of it. The next Finish or Tick sends
// something even if nothing is due: so the peer learns of it at once, and of what was lost meanwhile.
func (s *FTFW) Move(known path.Limit) {
	s.speak = true
	s.link(s.path.Size.Link(), known)
}

func (s *FTFW) link(most int, known path.Limit) {
	s.path.Size = path.NewSize(s.now, most, known, s.seq)
	s.out.link, s.out.usual, s.out.most = most, s.path.Size.Now(), s.path.Size.Now()
	s.out.repack()
	s.aim()
}

// Room returns how many state messages may be sent now. It is 0 until the handshake is complete in both directions,
// while the window is full, while 64 finished datagrams wait for Reset, and while a peer restarts time and again.
func (s *FTFW) Room() int {
	if !s.ready() || len(s.out.ends) >= outputMost || s.tables.mute > s.now {
		return 0
	}
	return min(s.path.Window.Room(s.ring.state), max(0, s.path.Window.Most()-s.ring.state-s.again.state))
}

// SendFlow sends the state of a flow and returns the number of the message, with which Acked or Lost will be called.
// Room must be at least 1: without room the message leaves all the same, but its loss may go unnoticed.
func (s *FTFW) SendFlow(now int64, t wire.Type, f *flow.Flow, ref Ref) (seq uint32) {
	s.advance(now)
	at := len(s.out.buf)
	flags := s.begin(t, 0)
	s.out.buf = wire.AppendFlow(s.out.buf, t, flags, s.seq, f)
	return s.endState(at, ref)
}

// SendExpectation does for an expectation what SendFlow does for a flow. Refs of flows and expectations must differ.
func (s *FTFW) SendExpectation(now int64, t wire.Type, e *flow.Expectation, ref Ref) (seq uint32) {
	s.advance(now)
	at := len(s.out.buf)
	flags := s.begin(t, 0)
	s.out.buf = wire.AppendExpectation(s.out.buf, t, flags, s.seq, e)
	return s.endState(at, ref)
}

func (s *FTFW) endState(at int, ref Ref) uint32 {
	s.stateSent++
	e := element{kind: state, a: uint32(ref)}
	if len(s.again.marks) > 0 {
		e.tries = s.again.tries(s.stateSent)
	}
	s.path.Window.Sent(s.now, s.ring.state+1)
	return s.end(at, e)
}

// begin returns the flags of the message that is about to be built.
func (s *FTFW) begin(t wire.Type, flags wire.Flags) wire.Flags {
	if !s.established {
		flags |= wire.Hello
	}
	if s.sayBack {
		flags |= wire.HelloBack
	}
	s.sayBack, s.speak = false, false
	s.stats.Sent.count(t, flags)
	return flags
}

// end finishes the message that starts at out.buf[at:], keeps e for it unless its kind is gone, and returns its number.
func (s *FTFW) end(at int, e element) uint32 {
	if s.out.pack(at) {
		s.stats.Oversized++
	}
	if s.out.probed != 0 {
		s.probed()
	}
	if e.kind != gone {
		e.seq, e.at, e.size = s.seq, s.millis(), uint16(len(s.out.buf)-s.out.open)
		s.ring.push(e)
	}
	s.sentAt = s.now
	s.seq++
	return s.seq - 1
}

// close ends the datagram being filled.
func (s *FTFW) close() {
	s.out.close()
	if s.out.probed != 0 {
		s.probed()
	}
}

// probed takes note of a probe of the path that is finished: its last message is the one before the next.
func (s *FTFW) probed() {
	s.path.Size.Probed(s.now, s.out.probed, s.seq-1)
	s.out.probed = 0
}

// aim has datagrams filled as the path allows, and one of them further when a probe is due.
func (s *FTFW) aim() {
	o, p := &s.out, &s.path.Size
	if p.Now() == o.usual && p.Now() == p.Link() && !p.News() {
		return
	}
	armed := o.most > o.usual
	if o.usual = p.Now(); !armed || o.most <= p.Now() {
		o.most = max(p.Now(), p.Target(s.now))
	}
	if p.News() && s.h.PathLimited != nil {
		s.h.PathLimited(p.Tell())
	}
}

// sendControl sends a control message and, unless e.kind is gone, keeps e until it is acknowledged.
func (s *FTFW) sendControl(flag wire.Flags, e element) uint32 {
	at := len(s.out.buf)
	flags := s.begin(wire.Control, flag)
	s.out.buf = wire.AppendControl(s.out.buf, flags, s.seq, e.a, e.b)
	return s.end(at, e)
}

func (s *FTFW) sendAck(e element) {
	if e.kind = ack; s.ring.control >= ackKept {
		e.kind = gone
	}
	s.sendControl(wire.Ack, e)
}

// millis returns the session's clock as elements keep it.
func (s *FTFW) millis() uint32 { return uint32(s.now / int64(time.Millisecond)) }

// age returns how long ago e was sent, in nanoseconds.
func (s *FTFW) age(e *element) int64 { return int64(s.millis()-e.at) * int64(time.Millisecond) }

// pump sends the control messages that are due. Its order matters: what the peer asked for leaves before the
// acknowledgement of its request.
func (s *FTFW) pump() {
	s.resend()
	s.pumpResync()
	s.releaseNacks()
	if s.acks.due(s.established) <= s.now {
		s.acknowledge()
	}
	if s.sayBack || s.speak || s.now-s.sentAt >= s.aliveAfter() {
		seq := s.seq
		s.acknowledge()
		if s.seq == seq {
			s.sendControl(wire.Alive, element{})
		}
	}
}

// releaseNacks acknowledges those NACKs whose retransmissions have left. The caller sends its dirty list oldest first,
// so they have when the list is empty, or when as many messages have been sent as it was long when the NACK came.
func (s *FTFW) releaseNacks() {
	if len(s.acks.held) == 0 {
		return
	}
	s.acks.settle(s.again.out, s.stateSent+uint64(s.dirty()))
	idle := s.dirty() == 0
	s.release(func(h held) bool {
		return !h.resync && s.again.out >= h.lost && (idle || h.sent != 0 && s.stateSent >= h.sent)
	})
}
