package session

import (
	"encoding/binary"
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// FuzzReceive feeds datagrams to a session that also sends. The input is a row of datagrams, each with a byte of
// milliseconds that pass before it and two bytes of length. Whatever comes, the session keeps its bounds, and a peer
// that restarts afterwards finds it in order.
func FuzzReceive(f *testing.F) {
	var prologue []byte
	add := func(wait byte, b []byte) {
		prologue = append(prologue, wait, byte(len(b)>>8), byte(len(b)))
		prologue = append(prologue, b...)
	}
	fl := stateFlow(1, 1)
	add(1, wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0))
	add(1, wire.AppendControl(nil, wire.Ack, 101, 1, 3))
	f.Add(prologue)
	add(1, wire.AppendFlow(nil, wire.CTNew, 0, 110, &fl))
	add(200, wire.AppendControl(nil, wire.Nack, 111, 4, 7))
	add(200, wire.AppendControl(nil, wire.Resync, 112, 0, 0))
	f.Add(prologue)
	add(255, wire.AppendControl(nil, wire.Alive|wire.Hello, 90, 0, 0))
	add(9, []byte{0x10, 0, 0, 16, 0, 0, 0, 91, 0xff, 0xff, 0, 1, 0, 0, 0, 0})
	f.Add(prologue)

	f.Fuzz(func(t *testing.T, in []byte) {
		lost := map[uint32]bool{}
		sent := map[uint32]bool{}
		over := func(what string) func(Ref, uint32) {
			return func(_ Ref, seq uint32) {
				if !sent[seq] || lost[seq] {
					t.Fatalf("%s %d, which was not in flight", what, seq)
				}
				lost[seq] = true
			}
		}
		s := New(Config{Seq: 1, Window: 64}, Handler{
			Flow: func(wire.Type, *flow.Flow) {}, Acked: over("acknowledged"), Lost: over("lost"),
		}, second)
		now := second
		turn := func() {
			if s.Room() > 0 {
				sent[s.SendFlow(now, wire.CTNew, &fl, 1)] = true
			}
			if next := s.Tick(now); next <= now {
				t.Fatal("Tick wants to be called at once")
			}
			s.Finish()
			checkBounds(t, s)
			s.Reset()
		}
		turn()
		for len(in) >= 3 {
			now += int64(in[0]) * 20 * ms
			n := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
			s.Receive(now, in[3:3+n])
			in = in[3+n:]
			turn()
		}
		if len(sent)-len(lost) != s.ring.state {
			t.Fatalf("%d sent, %d settled, %d in flight", len(sent), len(lost), s.ring.state)
		}
		// The peer restarts, later, at an unlikely number.
		now += 10 * second
		q := s.in.last + 1<<30
		b := wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, q, 0, 0)
		s.Receive(now, wire.AppendControl(b, wire.Alive, q+1, 0, 0))
		if s.ring.len() != 0 || s.Room() == 0 {
			t.Fatalf("after a restart of the peer: %d in flight, room %d", s.ring.len(), s.Room())
		}
	})
}

func checkBounds(t *testing.T, s *FTFW) {
	if s.ring.state > 64 || s.ring.control+s.again.control() > controlMost || len(s.acks.held) > heldMost {
		t.Fatalf("%d state and %d control messages in flight, %d held", s.ring.state, s.ring.control, len(s.acks.held))
	}
	if len(s.out.buf) > 6*outputMost*1500 {
		t.Fatalf("%d bytes of output", len(s.out.buf))
	}
	var states, control, nacks int
	for i := range s.ring.n {
		switch e := s.ring.at(i); {
		case e.kind == gone:
			continue
		case e.kind == state:
			states++
		default:
			control++
			if e.kind == nack {
				nacks++
			}
		}
		if i > 0 && !before(s.ring.at(i-1).seq, s.ring.at(i).seq) {
			t.Fatal("ring out of order")
		}
	}
	if states != s.ring.state || control != s.ring.control || nacks != s.ring.nacks {
		t.Fatalf("counted %d, %d, %d, kept %d, %d, %d",
			s.ring.state, s.ring.control, s.ring.nacks, states, control, nacks)
	}
}
