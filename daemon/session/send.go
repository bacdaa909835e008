package session

import (
	"time"

	"ctsync/daemon/flow"
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
	buf  []byte
	ends []int
	open int // where the datagram being filled starts
	most int // bytes of a datagram
}

// pack ends the datagram before the message that starts at buf[at:] if both do not fit into one. It reports whether
// the message alone is too long.
func (o *output) pack(at int) (oversized bool) {
	if at > o.open && len(o.buf)-o.open > o.most {
		o.ends = append(o.ends, at)
		o.open = at
	}
	return len(o.buf)-o.open > o.most
}

// close ends the datagram being filled.
func (o *output) close() {
	if len(o.buf) > o.open {
		o.ends = append(o.ends, len(o.buf))
		o.open = len(o.buf)
	}
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
	s.out.close()
}

// SetMaxDatagram changes Config.MaxDatagram, when another link sends or the link has another MTU. It also holds for the
// datagrams that wait in Output.
func (s *FTFW) SetMaxDatagram(most int) {
	if most > 0 && most != s.out.most {
		s.out.most = most
		s.out.repack()
	}
}

// Speak makes the next Finish or Tick send something even if nothing is due: when we switch to another link, the peer
// learns of it at once, and of what was lost meanwhile.
func (s *FTFW) Speak() { s.speak = true }

// Room returns how many state messages may be sent now. It is 0 until the handshake is complete in both directions,
// while the window is full, and while 64 finished datagrams wait for Reset.
func (s *FTFW) Room() int {
	if !s.ready() || len(s.out.ends) >= outputMost {
		return 0
	}
	return s.window.room(s.ring.state)
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
	s.ring.push(element{seq: s.seq, a: uint32(ref), at: s.millis(), kind: state})
	s.window.sent(s.now, s.ring.state)
	return s.end(at)
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

// end finishes the message that starts at out.buf[at:] and returns its number.
func (s *FTFW) end(at int) uint32 {
	if s.out.pack(at) {
		s.stats.Oversized++
	}
	s.sentAt = s.now
	s.seq++
	return s.seq - 1
}

// sendControl sends a control message and, unless k is gone, keeps it until it is acknowledged.
func (s *FTFW) sendControl(flag wire.Flags, k kind, from, to uint32) uint32 {
	at := len(s.out.buf)
	flags := s.begin(wire.Control, flag)
	s.out.buf = wire.AppendControl(s.out.buf, flags, s.seq, from, to)
	if k != gone {
		s.ring.push(element{seq: s.seq, a: from, b: to, at: s.millis(), kind: k})
	}
	return s.end(at)
}

func (s *FTFW) sendAck(from, to uint32) {
	k := ack
	if s.ring.control >= ackKept {
		k = gone
	}
	s.sendControl(wire.Ack, k, from, to)
}

// millis returns the session's clock as elements keep it.
func (s *FTFW) millis() uint32 { return uint32(s.now / int64(time.Millisecond)) }

// age returns how long ago e was sent, in nanoseconds.
func (s *FTFW) age(e *element) int64 { return int64(s.millis()-e.at) * int64(time.Millisecond) }

// pump sends the control messages that are due. Its order matters: what the peer asked for leaves before the
// acknowledgement of its request.
func (s *FTFW) pump() {
	again := s.again
	s.again = s.again[:0]
	for _, e := range again {
		s.stats.Retransmitted++
		if e.kind == nack {
			s.sendControl(wire.Nack, nack, e.a, e.b)
		} else {
			s.sendAck(e.a, e.b)
		}
	}
	s.pumpResync()
	s.releaseNacks()
	if s.acks.due(s.established) <= s.now {
		s.acknowledge()
	}
	if s.sayBack || s.speak || s.now-s.sentAt >= aliveAfter {
		seq := s.seq
		s.acknowledge()
		if s.seq == seq {
			s.sendControl(wire.Alive, gone, 0, 0)
		}
	}
}

// releaseNacks acknowledges those NACKs whose retransmissions have left. The caller sends its dirty list oldest first,
// so they have when the list is empty, or when as many messages have been sent as it was long when the NACK came.
func (s *FTFW) releaseNacks() {
	if len(s.acks.held) == 0 {
		return
	}
	idle := s.h.Dirty == nil || s.h.Dirty() == 0
	s.release(func(h held) bool { return !h.resync && (idle || s.stateSent >= h.sent) })
}
