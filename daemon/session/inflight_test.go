package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/wire"
)

func TestAppendInFlight(t *testing.T) {
	s := New(Config{Seq: 4294967294}, Handler{}, 0) // the numbers wrap
	s.seq = 4294967294
	push := func(k kind) {
		s.ring.push(element{seq: s.seq, kind: k})
		s.seq++
	}
	for _, k := range []kind{resync, state, ack, state, nack} {
		push(k)
	}
	s.ring.take(2)
	want := []InFlight{{Seq: 4294967294, Flags: wire.Resync}, {Seq: 4294967295}, {Seq: 1}, {Seq: 2, Flags: wire.Nack}}
	got := s.AppendInFlight(nil)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("in flight (-want +got):\n%s", d)
	}
	if len(got) != s.ring.len() || !got[0].Control() || got[1].Control() {
		t.Errorf("%d of %d, %+v", len(got), s.ring.len(), got)
	}
	if st := s.State(); st.Unacked+st.UnackedControl != len(got) {
		t.Errorf("State says %d + %d in flight, the list has %d", st.Unacked, st.UnackedControl, len(got))
	}
}
