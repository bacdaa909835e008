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

// TestVectors puts a session in the place of one node of a captured conversation and lets it hear what that node
// heard: it must ask for the same messages and acknowledge the same, and nothing that was lost.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		name, self      string
		flows           int
		lost            uint64
		restarts, bulks int
		malformed       uint64
	}{
		{name: "basic", self: "b", flows: 49, restarts: 1, malformed: 1}, // DCCP without state,
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
			frames := readFrames(t, tt.name)
			// What the node in the capture asked for is what it did not hear.
			then, now := newSaid(), newSaid()
			for _, f := range frames {
				if f.node == tt.self {
					then.hear(f.data)
				}
			}
			var flows, restarts, bulks int
			var s *FTFW
			s = New(Config{Seq: 1}, Handler{
				Flow:            func(wire.Type, *flow.Flow) { flows++ },
				Acked:           func(Ref, uint32) {},
				Lost:            func(Ref, uint32) {},
				ResyncRequested: func() { bulks++; s.BulkStarted() },
				PeerRestarted:   func() { restarts++; now = newSaid() },
			}, second)
			turn := func() {
				s.BulkSent()
				s.Finish()
				buf, _ := s.Output()
				now.hear(buf)
				s.Reset()
			}
			var last int64
			heard := newSaid()
			for _, f := range frames {
				for next := s.Tick(last); next < f.at; next = s.Tick(next) {
					turn()
				}
				turn()
				last = f.at
				missed := false
				messages(f.data, func(h wire.Header) { missed = missed || then.nacked[h.Seq] })
				if f.node == tt.self || missed {
					continue
				}
				s.Receive(f.at, f.data)
				messages(f.data, func(h wire.Header) {
					if h.Flags&wire.Hello != 0 {
						heard = newSaid()
					}
					heard.acked.add(h.Seq, h.Seq)
				})
				turn()
			}
			s.Tick(last + second)
			turn()
			for q := range now.nacked {
				if !then.nacked[q] {
					t.Errorf("asks for %d, the captured node did not", q)
				}
				if now.acked[q] {
					t.Errorf("acknowledges %d, which it missed", q)
				}
			}
			for q := range heard.acked {
				if !now.acked[q] {
					t.Errorf("does not acknowledge %d", q)
				}
			}
			st := s.Stats()
			if st.MalformedTotal() != tt.malformed || st.UnknownAttributes != 0 || st.Before != 0 {
				t.Errorf("malformed %d, unknown attributes %d, before %d", st.MalformedTotal(), st.UnknownAttributes, st.Before)
			}
			if flows != tt.flows || st.Lost != tt.lost || restarts != tt.restarts || bulks != tt.bulks {
				t.Errorf("flows %d, lost %d, restarts %d, bulks %d; want %d, %d, %d, %d",
					flows, st.Lost, restarts, bulks, tt.flows, tt.lost, tt.restarts, tt.bulks)
			}
			if len(now.nacked) != int(tt.lost) {
				t.Errorf("asked for %d messages, lost %d", len(now.nacked), tt.lost)
			}
		})
	}
}
