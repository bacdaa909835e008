package main

import (
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

func TestTapFindsProbes(t *testing.T) {
	other, first, second := translated(1), probe(1), probe(2)
	b := wire.AppendControl(nil, wire.Alive, 1, 0, 0)
	b = wire.AppendFlow(b, wire.CTNew, 0, 2, &other)
	b = wire.AppendFlow(b, wire.CTNew, 0, 3, &first)
	b = wire.AppendFlow(b, wire.CTUpdate, 0, 4, &second)
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	tp := &tap{seen: arrivals{}}
	tp.read(b, early)
	tp.read(b, late) // sent again
	if len(tp.seen) != 2 || tp.seen[first.Orig] != early || tp.seen[second.Orig] != early {
		t.Errorf("seen %v", tp.seen)
	}
	tp.read(b[:len(b)-1], early)
	tp.read([]byte("rubbish"), early)
	if len(tp.seen) != 2 {
		t.Errorf("seen in rubbish: %v", tp.seen)
	}
}

func TestPayload(t *testing.T) {
	packet := datagram(0)
	packet[22], packet[23] = syncPort>>8, syncPort&0xff
	if got := payload(append(packet, "data"...)); string(got) != "data" {
		t.Errorf("payload %q", got)
	}
	for n := range len(packet) {
		if got := payload(packet[:n]); got != nil {
			t.Errorf("payload %q in a packet cut after %d", got, n)
		}
	}
	if got := payload(datagram(0)); got != nil {
		t.Errorf("payload %q of another port", got)
	}
	packet[9] = byte(flow.TCP)
	if got := payload(packet); got != nil {
		t.Errorf("payload %q of another protocol", got)
	}
}
