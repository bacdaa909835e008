package session

import (
	"slices"
	"testing"

	"ctsync/daemon/wire"
)

// TestSecondSenderIsProved: an old number with other content is one, whichever of the two came first. A copy is none,
// nor is a number that is too old to be known again, nor a hello of a peer that restarted within the handshake.
func TestSecondSenderIsProved(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"a forged ALIVE with the next number", handshake + `
< ALIVE 102
< NEW 102 k1
! contradicted`},
		{"a forged flow", handshake + `
< NEW 102 k2
! NEW k2
< NEW 102 k1
! contradicted`},
		{"another acknowledgement", handshake + `
< ACK 102 1-2
< ACK 102 2-2
! contradicted`},
		{"a forged one behind a gap", handshake + `
< ALIVE 104
> ACK 3 101-101; NACK 4 102-103
< NEW 102 k1; NEW 103 k2; NEW 104 k3
! contradicted`},
		{"a copy", handshake + `
< NEW 102 k1
! NEW k1
< NEW 102 k1`},
		{"too late, and asked for", handshake + `
< NEW 103 k2
! NEW k2
> ACK 3 101-101; NACK 4 102-102
< NEW 102 k1`},
		{"the same number after a restart", handshake + `
< NEW 102 k1
! NEW k1
< ALIVE|HELLO 5102
! peer restarted
> ACK|HELLO_BACK 3 5102-5102
< ALIVE 102`},
		{"a restart within the handshake", `
+ 0s
> ALIVE|HELLO 1
< ALIVE|HELLO 100
! peer restarted
> ACK|HELLO|HELLO_BACK 2 100-100
< ACK|HELLO|HELLO_BACK 101 1-1
! established
> ACK|HELLO_BACK 3 101-101
< ALIVE|HELLO 101
< NEW 101 k1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayer(t, Config{})
			p.play(tt.script)
			proved := slices.Contains(p.log, "! contradicted")
			if n := p.s.Stats().Contradicted; n > 0 != proved || p.s.doubt.open != proved {
				t.Errorf("counted %d, %+v", n, p.s.State())
			}
		})
	}
}

// TestDoubtEndsWithTheTable: what was lost is repaired by the peer's table, which is asked for every 30 s at most,
// however many messages are forged. A message that was forged after that leaves the doubt open.
func TestDoubtEndsWithTheTable(t *testing.T) {
	p := newPlayer(t, Config{})
	p.play(handshake + `
< ALIVE 102; NEW 102 k1
! contradicted
request
! resync sent
> RESYNC 3
< ACK 103 3-3
! bulk received`)
	if p.s.doubt.open {
		t.Error("in doubt for ever")
	}
	p.play(`
< ALIVE 104; NEW 104 k1
+ 1s
> ACK 4 101-104
< ACK 105 4-4`)
	if !p.s.doubt.open {
		t.Error("not in doubt about what was forged since")
	}
	p.log = nil
	for range 62 {
		p.s.Tick(p.now)
		p.s.Reset()
		p.now += second / 2
	}
	if len(p.log) != 1 || p.log[0] != "! contradicted" {
		t.Errorf("in 31 s: %q", p.log)
	}
}

// TestRecallIsBounded: what it knows of a number goes with the number that takes its place.
func TestRecallIsBounded(t *testing.T) {
	r := newRecall()
	m, other := wire.AppendControl(nil, wire.Alive, 7, 0, 0), wire.AppendControl(nil, wire.Ack, 7, 1, 1)
	if r.contradicts(7, other) || r.contradicts(0, other) {
		t.Error("a number that was never heard is contradicted")
	}
	if r.keep(7, m); !r.contradicts(7, other) || r.contradicts(7, m) {
		t.Error("not known again")
	}
	if r.keep(7+recallMost, m); r.contradicts(7, other) {
		t.Error("known for longer than there is room")
	}
	if r.clear(); r.contradicts(7+recallMost, other) {
		t.Error("not forgotten")
	}
}

func BenchmarkRecall(b *testing.B) {
	r, f := newRecall(), stateFlow(1, 1)
	m := wire.AppendFlow(nil, wire.CTUpdate, 0, 1, &f)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		r.keep(i, m)
	}
}
