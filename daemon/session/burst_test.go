package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// burst sends n messages from a session to peer over a link of a millisecond in each direction whose receiver holds at
// most queue datagrams, reads them once in a millisecond, and loses some; it returns the time until all are
// acknowledged.
func burst(t *testing.T, n, queue int, loss float64, peer endpoint) (took int64, s *FTFW) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	dirty := make([]Ref, n)
	for i := range dirty {
		dirty[i] = Ref(i)
	}
	latest, acked := make([]uint32, n), 0
	s = New(Config{Seq: 1, MaxDatagram: 1400}, Handler{
		Flow: func(wire.Type, *flow.Flow) {},
		Acked: func(ref Ref, seq uint32) {
			if latest[ref] == seq {
				acked++
			}
		},
		Lost: func(ref Ref, seq uint32) {
			if latest[ref] == seq {
				dirty = append(dirty, ref)
			}
		},
		Dirty: func() int { return len(dirty) },
	}, second)
	now, wake, sent := second, second, 0
	var there, back [][]byte
	keep := func(q *[][]byte) func([]byte) {
		return func(b []byte) {
			if sent++; r.Float64() >= loss && len(*q) < queue {
				*q = append(*q, append([]byte(nil), b...))
			}
		}
	}
	peer.restart(now)
	for ; acked < n && now < 600*second; now += ms {
		for _, b := range back {
			s.Receive(now, b)
		}
		back = back[:0]
		for len(dirty) > 0 && s.Room() > 0 {
			f := stateFlow(int(dirty[0])%simKeys, 1)
			latest[dirty[0]] = s.SendFlow(now, wire.CTUpdate, &f, dirty[0])
			dirty = dirty[1:]
		}
		s.Finish()
		s.Tick(now)
		buf, ends := s.Output()
		at := 0
		for _, end := range ends {
			keep(&there)(buf[at:end])
			at = end
		}
		s.Reset()
		heard := len(there) > 0
		for _, b := range there {
			peer.receive(now, b)
		}
		if there = there[:0]; heard || now >= wake {
			wake = peer.run(now, keep(&back))
		}
	}
	if acked < n {
		t.Fatalf("%d of %d acknowledged", acked, n)
	}
	return now - second, s
}

// TestBurst: a hundred thousand messages leave in reasonable time whatever the peer's acknowledgement window and
// socket buffer are, and without loss the window never overruns a buffer of a megabyte.
func TestBurst(t *testing.T) {
	ctsync := func() endpoint { return &node{cfg: Config{MaxDatagram: 1400}} }
	conntrackd := func(w int) endpoint {
		return &conntrackd{r: rand.New(rand.NewPCG(1, 1)), size: 1472, w: w}
	}
	for _, tt := range []struct {
		name   string
		peer   endpoint
		queue  int // datagrams; 256 are about a megabyte as the kernel counts
		loss   float64
		most   time.Duration
		nacked bool
	}{
		{"ctsync", ctsync(), 256, 0, 2 * time.Second, false},
		{"ctsync, small buffer", ctsync(), 16, 0, 5 * time.Second, true},
		{"ctsync, loss", ctsync(), 256, 0.05, 5 * time.Second, true},
		{"conntrackd", conntrackd(300), 256, 0, 5 * time.Second, false},
		{"conntrackd, large ACK window", conntrackd(20000), 1024, 0, 6 * time.Second, false},
		{"conntrackd, loss", conntrackd(300), 256, 0.05, 10 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.peer.tab()
			p.other, p.up = &tables{}, true
			took, s := burst(t, 100_000, tt.queue, tt.loss, tt.peer)
			st := s.Stats()
			t.Logf("%v, window %d, asked for again %d", time.Duration(took), s.State().Window, st.Nacked)
			if took > int64(tt.most) {
				t.Errorf("took %v, want at most %v", time.Duration(took), tt.most)
			}
			if (st.Nacked > 0) != tt.nacked {
				t.Errorf("asked for again: %d", st.Nacked)
			}
		})
	}
}
