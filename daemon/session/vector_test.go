package session

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// frame is a captured datagram.
type frame struct {
	at   int64
	node string
	data []byte
}

func readFrames(t *testing.T, name string) []frame {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var frames []frame
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		var us int64
		var node, data string
		if _, err := fmt.Sscan(sc.Text(), &us, &node, &data); err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame{second + us*1000, node, b})
	}
	return frames
}

// numbers is a set of sequence numbers.
type numbers map[uint32]bool

func (n numbers) add(from, to uint32) {
	for q := from; !before(to, q); q++ {
		n[q] = true
	}
}

func messages(b []byte, fn func(wire.Header)) {
	for len(b) > 0 {
		h, _, rest, _ := wire.Next(b)
		fn(h)
		b = rest
	}
}

// said collects what a node acknowledged and asked for again.
type said struct{ acked, nacked numbers }

func newSaid() said { return said{numbers{}, numbers{}} }

func (s said) hear(b []byte) {
	messages(b, func(h wire.Header) {
		switch {
		case h.Flags&wire.Ack != 0:
			s.acked.add(h.From, h.To)
		case h.Flags&wire.Nack != 0:
			s.nacked.add(h.From, h.To)
		}
	})
}

// replay is a session in the place of one node of a captured conversation.
type replay struct {
	s                      *FTFW
	flows, restarts, bulks int
	said                   said    // by the session, since its peer last restarted
	heard                  numbers // from its peer, since it last restarted
}

func newReplay() *replay {
	r := &replay{said: newSaid(), heard: numbers{}}
	r.s = New(Config{Seq: 1}, Handler{
		Flow:            func(wire.Type, *flow.Flow) { r.flows++ },
		Acked:           func(Ref, uint32) {},
		Lost:            func(Ref, uint32) {},
		ResyncRequested: func() { r.bulks++; r.s.BulkStarted() },
		PeerRestarted:   func() { r.restarts++; r.said, r.heard = newSaid(), numbers{} },
	}, second)
	return r
}

func (r *replay) turn() {
	r.s.BulkSent()
	r.s.Finish()
	buf, _ := r.s.Output()
	r.said.hear(buf)
	r.s.Reset()
}

// play lets the session hear what the node self heard: what it asked for again is what it did not hear.
func (r *replay) play(frames []frame, self string) (then said) {
	then = newSaid()
	for _, f := range frames {
		if f.node == self {
			then.hear(f.data)
		}
	}
	var now int64
	for _, f := range frames {
		for next := r.s.Tick(now); next < f.at; next = r.s.Tick(next) {
			r.turn()
		}
		r.turn()
		now = f.at
		missed := false
		messages(f.data, func(h wire.Header) { missed = missed || then.nacked[h.Seq] })
		if f.node == self || missed {
			continue
		}
		r.s.Receive(now, f.data)
		messages(f.data, func(h wire.Header) { r.heard[h.Seq] = true })
		r.turn()
	}
	r.s.Tick(now + second)
	r.turn()
	return then
}

// TestVectors: a session asks for the same messages as the conntrackd whose place it takes, acknowledges what it
// heard, and nothing that was lost.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		name, self      string
		flows           int
		lost            uint64
		restarts, bulks int
		malformed       uint64
	}{
		{name: "basic", self: "b", flows: 49, restarts: 1, malformed: 1}, // DCCP without state
		{name: "basic", self: "a", restarts: 1},
		{name: "loss-to-b", self: "b", flows: 14, lost: 6, restarts: 1},
		{name: "loss-to-b", self: "a", restarts: 1},
		{name: "loss-to-a", self: "b", flows: 15, restarts: 1},
		{name: "loss-to-a", self: "a", lost: 3, restarts: 1},
		{name: "loss-resend", self: "b", flows: 18, lost: 5, restarts: 1},
		{name: "resync", self: "b", flows: 33, restarts: 2},
		{name: "resync", self: "a", restarts: 2, bulks: 2},
	} {
		t.Run(tt.name+" as "+tt.self, func(t *testing.T) {
			r := newReplay()
			then := r.play(readFrames(t, tt.name), tt.self)
			for q := range r.said.nacked {
				if !then.nacked[q] {
					t.Errorf("asks for %d, the captured node did not", q)
				}
				if r.said.acked[q] {
					t.Errorf("acknowledges %d, which it missed", q)
				}
			}
			for q := range r.heard {
				if !r.said.acked[q] {
					t.Errorf("does not acknowledge %d", q)
				}
			}
			st := r.s.Stats()
			if malformed(&st) != tt.malformed || st.UnknownAttributes != 0 || st.Before != 0 {
				t.Errorf("malformed %d, unknown attributes %d, before %d",
					malformed(&st), st.UnknownAttributes, st.Before)
			}
			if r.flows != tt.flows || st.Lost != tt.lost || r.restarts != tt.restarts || r.bulks != tt.bulks {
				t.Errorf("flows %d, lost %d, restarts %d, bulks %d; want %d, %d, %d, %d",
					r.flows, st.Lost, r.restarts, r.bulks, tt.flows, tt.lost, tt.restarts, tt.bulks)
			}
			if len(r.said.nacked) != int(tt.lost) {
				t.Errorf("asked for %d messages, lost %d", len(r.said.nacked), tt.lost)
			}
		})
	}
}
