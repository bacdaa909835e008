package session

import (
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// TestDeaf: a peer that speaks is deaf while it does not answer our hello, and when it acknowledges nothing for long.
func TestDeaf(t *testing.T) {
	const second = int64(time.Second)
	for _, tt := range []struct {
		name    string
		flags   wire.Flags // of what the peer says
		send    int        // messages about flows; it acknowledges neither them nor our first one
		seconds int64      // that pass
		want    bool
	}{
		{"our hello is not answered", wire.Alive | wire.Hello, 0, 1, true},
		{"it has not heard our answer", wire.Alive | wire.Hello | wire.HelloBack, 0, 1, true},
		{"it hears us", wire.Alive | wire.HelloBack, 0, 1000, false},
		{"little is not acknowledged", wire.Alive | wire.HelloBack, 598, 89, false},
		{"little for long", wire.Alive | wire.HelloBack, 1, 90, true},
		{"much", wire.Alive | wire.HelloBack, 599, 5, true},
		{"much, but not for long", wire.Alive | wire.HelloBack, 599, 4, false},
	} {
		now := 1000 * second
		s := New(Config{}, Handler{
			Flow: func(wire.Type, *flow.Flow) {}, Acked: func(Ref, uint32) {}, Lost: func(Ref, uint32) {},
		}, now)
		s.Finish()
		ack := wire.AppendControl(nil, tt.flags, 100, 0, 0)
		s.Receive(now, ack)
		for i := range tt.send {
			s.SendFlow(now, wire.CTNew, &flow.Flow{}, Ref(i+1))
		}
		if got := s.Deaf(now + tt.seconds*second); got != tt.want {
			t.Errorf("%s: deaf %v", tt.name, got)
		}
	}
}
