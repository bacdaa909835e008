package session

import (
	"testing"

	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

// TestSetMaxDatagram changes the size while finished datagrams and one that is being filled wait: no message is torn or
// lost, their order stays, and all that leaves fits.
func TestSetMaxDatagram(t *testing.T) {
	f := stateFlow(1, 1)
	size := flowSize(&f)
	for _, tt := range []struct {
		name     string
		old, new int // in messages
		finish   bool
		ends     []int
	}{
		{"smaller", 3, 2, false, []int{2, 4, 6, 7}},
		{"smaller, finished", 3, 2, true, []int{2, 4, 6, 7}},
		{"larger", 3, 5, false, []int{5, 7}},
		{"larger, finished", 3, 5, true, []int{5, 7}},
		{"all in one", 1, 9, true, []int{7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := established(Config{MaxDatagram: tt.old * size}, Handler{})
			first := s.State().Seq
			for range 7 {
				s.SendFlow(second, wire.CTNew, &f, 1)
			}
			if tt.finish {
				s.Finish()
			}
			s.SetMaxDatagram(tt.new * size)
			if tt.finish {
				if buf, ends := s.Output(); ends[len(ends)-1] != len(buf) {
					t.Error("what was finished is being filled again")
				}
			}
			s.Finish()
			buf, ends := s.Output()
			if len(ends) != len(tt.ends) {
				t.Fatalf("ends %v, want %v messages of %d", ends, tt.ends, size)
			}
			for i := range ends {
				if ends[i] != tt.ends[i]*size {
					t.Errorf("datagram %d ends at %d, want %d", i, ends[i], tt.ends[i]*size)
				}
			}
			for i := range uint32(7) {
				h, _, rest, bad := wire.Next(buf)
				if buf = rest; bad != wire.OK || h.Seq != first+i {
					t.Errorf("message %d: %v %v, want number %d", i, h, bad, first+i)
				}
			}
		})
	}
}

// TestNews: what came late, twice or broken does not count as hearing the peer where it is now.
func TestNews(t *testing.T) {
	s, next := established(Config{}, Handler{})
	f := stateFlow(1, 1)
	fresh := wire.AppendFlow(nil, wire.CTNew, 0, next, &f)
	for _, tt := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"nothing", nil, false},
		{"broken", []byte{0x10, 0, 0, 4}, false},
		{"fresh", fresh, true},
		{"again", fresh, false},
		{"late and fresh", wire.AppendControl(fresh, wire.Alive, next+1, 0, 0), true},
		{"behind a gap", wire.AppendControl(nil, wire.Alive, next+5, 0, 0), true},
		{"from the gap", wire.AppendControl(nil, wire.Alive, next+3, 0, 0), false},
		{"broken payload", append(wire.AppendControl(nil, 0, next+6, 0, 0)[:4:4], fresh[4:]...), false},
	} {
		if got := s.Receive(second, tt.in); got != tt.want {
			t.Errorf("%s: news %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestMove: an end that moved to another link says so at once, though nothing is due.
func TestMove(t *testing.T) {
	s, _ := established(Config{}, Handler{})
	s.Tick(second)
	s.Reset()
	s.Finish()
	if _, ends := s.Output(); len(ends) != 0 {
		t.Fatalf("%d datagrams leave, none is due", len(ends))
	}
	for range 2 { // once, not ever after
		s.Move(path.Limit{})
		s.Finish()
		if _, ends := s.Output(); len(ends) != 1 {
			t.Errorf("%d datagrams leave, want 1", len(ends))
		}
		s.Reset()
		s.Finish()
		if _, ends := s.Output(); len(ends) != 0 {
			t.Errorf("%d datagrams leave afterwards", len(ends))
		}
	}
}
