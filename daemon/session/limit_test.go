package session

import (
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// established returns a session after its handshake and the next number of its peer.
func established(cfg Config, h Handler) (*FTFW, uint32) {
	if h.Flow == nil {
		h.Flow = func(wire.Type, *flow.Flow) {}
	}
	if h.Acked == nil {
		h.Acked = func(Ref, uint32) {}
	}
	if h.Lost == nil {
		h.Lost = func(Ref, uint32) {}
	}
	s := New(cfg, h, second)
	s.Tick(second)
	b := wire.AppendControl(nil, wire.Alive|wire.Hello|wire.HelloBack, 100, 0, 0)
	s.Receive(second, wire.AppendControl(b, wire.Alive, 101, 0, 0))
	s.Finish()
	s.Reset()
	return s, 102
}

func TestRoom(t *testing.T) {
	s, _ := established(Config{Window: 1000, MaxDatagram: 100}, Handler{})
	f := stateFlow(1, 1)
	n := 0
	for ; s.Room() > 0; n++ {
		s.SendFlow(second, wire.CTNew, &f, 1)
	}
	if _, ends := s.Output(); len(ends) != outputMost {
		t.Errorf("%d datagrams wait, want %d", len(ends), outputMost)
	}
	s.Reset()
	for s.Room() > 0 {
		for ; s.Room() > 0; n++ {
			s.SendFlow(second, wire.CTNew, &f, 1)
		}
		s.Reset()
	}
	if n != 1000 {
		t.Errorf("%d messages sent, window is 1000", n)
	}
}

// flowSize returns the length of a message that describes f.
func flowSize(f *flow.Flow) int { return len(wire.AppendFlow(nil, wire.CTNew, 0, 1, f)) }

func TestPacking(t *testing.T) {
	f := stateFlow(1, 1)
	size := flowSize(&f)
	for _, tt := range []struct {
		name      string
		most, n   int
		ends      []int // in messages
		oversized uint64
	}{
		{"exact", 3 * size, 7, []int{3, 6, 7}, 0},
		{"one byte short", 3*size - 1, 5, []int{2, 4, 5}, 0},
		{"one each", size, 2, []int{1, 2}, 0},
		{"none fits", size - 1, 3, []int{1, 2, 3}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := established(Config{MaxDatagram: tt.most}, Handler{})
			for range tt.n {
				s.SendFlow(second, wire.CTNew, &f, 1)
			}
			s.Finish()
			buf, ends := s.Output()
			if len(ends) != len(tt.ends) || ends[len(ends)-1] != len(buf) {
				t.Fatalf("ends %v of %d bytes, want %v messages of %d", ends, len(buf), tt.ends, size)
			}
			for i := range ends {
				if ends[i] != tt.ends[i]*size {
					t.Errorf("datagram %d ends at %d, want %d", i, ends[i], tt.ends[i]*size)
				}
			}
			if got := s.Stats().Oversized; got != tt.oversized {
				t.Errorf("oversized %d, want %d", got, tt.oversized)
			}
		})
	}
}

// TestResetKeepsOpen: taking what is finished must not tear the datagram that is being filled.
func TestResetKeepsOpen(t *testing.T) {
	f := stateFlow(1, 1)
	s, _ := established(Config{MaxDatagram: 2 * flowSize(&f)}, Handler{})
	for range 3 {
		s.SendFlow(second, wire.CTNew, &f, 1)
	}
	if _, ends := s.Output(); len(ends) != 1 {
		t.Fatalf("%d datagrams finished, want 1", len(ends))
	}
	s.Reset()
	s.Finish()
	buf, ends := s.Output()
	if len(ends) != 1 {
		t.Fatalf("%d datagrams finished, want 1", len(ends))
	}
	if h, _, rest, bad := wire.Next(buf[:ends[0]]); bad != wire.OK || len(rest) != 0 || h.Type != wire.CTNew {
		t.Errorf("after Reset the open datagram is %v %v, rest %d", h, bad, len(rest))
	}
}

// malformed returns the number of malformed messages of any kind.
func malformed(st *Stats) (n uint64) {
	for _, of := range st.Malformed {
		n += of
	}
	return n
}

func TestMalformed(t *testing.T) {
	ctl := func(flags wire.Flags, from, to uint32) []byte { return wire.AppendControl(nil, flags, 102, from, to) }
	edit := func(b []byte, i int, v byte) []byte { b[i] = v; return b }
	f := stateFlow(1, 1)
	state := func() []byte { return wire.AppendFlow(nil, wire.CTNew, 0, 102, &f) }
	for _, tt := range []struct {
		name string
		in   []byte
		want wire.Malformed
	}{
		{"empty", nil, wire.OK},
		{"seven bytes", ctl(wire.Alive, 0, 0)[:7], wire.Truncated},
		{"half a range", ctl(wire.Ack, 1, 1)[:12], wire.BadSize},
		{"length 0", edit(ctl(wire.Alive, 0, 0), 3, 0), wire.BadSize},
		{"version 2", edit(ctl(wire.Alive, 0, 0), 0, 0x2a), wire.BadVersion},
		{"type 6", edit(state(), 0, 0x16), wire.BadHeader},
		{"type 15", edit(state(), 0, 0x1f), wire.BadHeader},
		{"control without flags", edit(ctl(wire.Alive, 0, 0), 1, 0), wire.BadHeader},
		{"only hello", edit(ctl(wire.Alive, 0, 0), 1, byte(wire.Hello)), wire.BadHeader},
		{"flag 0x01", edit(ctl(wire.Alive, 0, 0), 1, 0x11), wire.BadHeader},
		{"flag 0x80", edit(ctl(wire.Alive, 0, 0), 1, 0x90), wire.BadHeader},
		{"state with ack", edit(state(), 1, byte(wire.Ack)), wire.BadHeader},
		{"ack backwards", ctl(wire.Ack, 5, 4), wire.BadHeader},
		{"nack backwards", ctl(wire.Nack, 5, 4), wire.BadHeader},
		{"resync with a range", ctl(wire.Resync, 5, 4), wire.OK},
		{"attribute too long", edit(state(), 11, 0xff), wire.BadPayload},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := established(Config{}, Handler{})
			s.Receive(second, tt.in)
			st := s.Stats()
			if tt.want == wire.OK {
				if malformed(&st) != 0 {
					t.Errorf("counted as malformed: %v", st.Malformed)
				}
				return
			}
			if st.Malformed[tt.want] != 1 || malformed(&st) != 1 {
				t.Errorf("counted %v, want one %v", st.Malformed, tt.want)
			}
			if got := s.State().PeerSeq; got != 101 {
				t.Errorf("a malformed message moved the numbers to %d", got)
			}
		})
	}
}

// TestBadPayloadForEver: a peer that sends a message again and again that cannot be read gets its acknowledgement
// after some attempts, and later ones of the same period at once.
func TestBadPayloadForEver(t *testing.T) {
	s, seq := established(Config{}, Handler{})
	now := second
	asked := 0
	for range 20 {
		now += 10 * ms
		b := datagram(t, "BAD 0; ALIVE 0")
		b[7], b[16+7] = byte(seq), byte(seq+1)
		s.Receive(now, b)
		s.Finish()
		out, _ := s.Output()
		messages(out, func(h wire.Header) {
			if h.Flags&wire.Nack != 0 {
				asked++
			}
		})
		s.Reset()
		seq += 2
	}
	st := s.Stats()
	if asked != badMost || st.PayloadsLost != 20-badMost || st.Malformed[wire.BadPayload] != 20 || st.Lost != badMost {
		t.Errorf("asked again %d times, given up %d, malformed %d, lost %d",
			asked, st.PayloadsLost, st.Malformed[wire.BadPayload], st.Lost)
	}
	now += badPeriod
	b := datagram(t, "BAD 0")
	b[7] = byte(seq)
	s.Receive(now, b)
	if got := s.Stats().PayloadsLost; got != st.PayloadsLost {
		t.Error("the budget does not come back")
	}
}

// TestDeafPeer: a peer that talks with gaps and never acknowledges costs bounded memory, and all is well when it
// hears again.
func TestDeafPeer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		step    uint32 // between its numbers
		most    int    // control messages kept
		refuses bool
	}{
		{"in sequence", 1, ackKept, false},
		{"every second lost", 2, controlMost, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, seq := established(Config{}, Handler{})
			now := second
			f := stateFlow(1, 1)
			var b []byte
			for range 20000 {
				now += 60 * ms
				b = wire.AppendFlow(b[:0], wire.CTNew, 0, seq, &f)
				s.Receive(now, b)
				s.Finish()
				s.Reset()
				s.Tick(now)
				s.Reset()
				seq += tt.step
			}
			if n := s.ring.control + s.again.control(); n > tt.most {
				t.Errorf("%d control messages kept, want at most %d", n, tt.most)
			}
			if got := s.Stats().Refused > 0; got != tt.refuses {
				t.Errorf("refused %d", s.Stats().Refused)
			}
			// It hears again: everything is acknowledged, and what was refused is asked for as one gap.
			st := s.State()
			b = wire.AppendControl(b[:0], wire.Ack, st.PeerSeq+1, 0, st.Seq-1)
			s.Receive(now, wire.AppendControl(b, wire.Alive, seq, 0, 0))
			if got := s.State(); got.PeerSeq != seq || got.UnackedControl > 2 {
				t.Errorf("number %d, %d control messages unacknowledged; want %d, at most 2",
					got.PeerSeq, got.UnackedControl, seq)
			}
		})
	}
}

// TestFlood: the worst datagrams there can be do not make the output grow without end.
func TestFlood(t *testing.T) {
	s, seq := established(Config{}, Handler{})
	for range 100 {
		var b []byte
		for len(b) < 65000 {
			b = wire.AppendControl(b, wire.Resync, seq, 0, 0)
			b = wire.AppendControl(b, wire.Ack, seq+1, 0, s.seq-1)
			b = wire.AppendControl(b, wire.Nack, seq+2, 0, s.seq-1)
			seq += 4
		}
		s.Receive(second, b)
		if n := len(s.out.buf); n > 6*outputMost*1500 {
			t.Fatalf("%d bytes of output", n)
		}
		s.Finish()
	}
}

// acknowledges reports whether one of the messages in buf acknowledges number seq.
func acknowledges(buf []byte, seq uint32) bool {
	for len(buf) > 0 {
		h, _, rest, bad := wire.Next(buf)
		if buf = rest; bad == wire.OK && h.Flags&wire.Ack != 0 && !before(seq, h.From) && !before(h.To, seq) {
			return true
		}
	}
	return false
}

// TestLastResyncIsHeld: a peer that asks for the whole table again and again, while the bulk cannot begin, waits for
// the acknowledgement of its last request. It would drop all our flows on an early one.
func TestLastResyncIsHeld(t *testing.T) {
	s, seq := established(Config{}, Handler{})
	now := second
	pass := func() (buf []byte) {
		for end := now + 2*second; now < end; now += second / 10 {
			s.Tick(now)
			s.Finish()
		}
		buf, _ = s.Output()
		buf = append([]byte(nil), buf...)
		s.Reset()
		return buf
	}
	for range heldMost + 5 {
		s.Receive(now, wire.AppendControl(nil, wire.Resync, seq, 0, 0))
		seq++
		if acknowledges(pass(), seq-1) {
			t.Fatal("a request is acknowledged before the bulk")
		}
	}
	s.BulkStarted()
	s.BulkSent()
	if !acknowledges(pass(), seq-1) {
		t.Error("the last request is not acknowledged behind the bulk")
	}
}

// TestResyncIsHeldAmongNacks: however many NACKs wait for what they asked for, a request for the whole table is not
// acknowledged before its bulk.
func TestResyncIsHeldAmongNacks(t *testing.T) {
	asked := 0
	s, seq := established(Config{}, Handler{Dirty: func() int { return 1000 }, ResyncRequested: func() { asked++ }})
	for range heldMost + 5 {
		s.Receive(second, wire.AppendControl(nil, wire.Nack, seq, 1, 1))
		seq++
	}
	s.Receive(second, wire.AppendControl(nil, wire.Resync, seq, 0, 0))
	for at := second; at < 5*second; at += second / 10 {
		s.Tick(at)
		s.Finish()
	}
	if buf, _ := s.Output(); acknowledges(buf, seq) {
		t.Error("the request is acknowledged")
	}
	if asked != 1 || len(s.acks.held) != heldMost || !s.acks.held[heldMost-1].resync {
		t.Errorf("asked %d times, %d held", asked, len(s.acks.held))
	}
}
