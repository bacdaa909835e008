package session

import "testing"

func TestConversation(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		cfg          Config
	}{
		{name: "hello of both, answered at once", script: `
+ 0s
> ALIVE|HELLO 1
< ALIVE|HELLO 100
! peer restarted
> ACK|HELLO|HELLO_BACK 2 100-100
< ACK|HELLO|HELLO_BACK 101 1-1
! established
> ACK|HELLO_BACK 3 101-101
send 1
! no room
< ACK|HELLO_BACK 102 2-2
send 1
> NEW 4 k1`},
		{name: "hello is repeated every second until it is answered", script: `
+ 2s
> ALIVE|HELLO 1
> ALIVE|HELLO 2
> ALIVE|HELLO 3
< NEW|HELLO_BACK 100 k1
! established
! NEW k1
> ACK 4 100-100`},
		{name: "nothing that matters before the handshake is complete", script: `
+ 0s
> ALIVE|HELLO 1
request
send 1
! no room
< ALIVE|HELLO 100
! peer restarted
> ACK|HELLO|HELLO_BACK 2 100-100
send 1
! no room
< ACK|HELLO_BACK 101 1-2
! established
! resync sent
> RESYNC 3
send 1
> NEW 4 k1`},
		{name: "idle: one message a second", script: handshake + `
+ 3s
> ACK 3 101-101
> ALIVE 4
> ALIVE 5`},
		{name: "state is acknowledged when the line is quiet", script: handshake + `
< NEW 102 k1; UPD 103 k1
! NEW k1
! UPD k1
+ 40ms
< UPD 104 k1
! UPD k1
+ 49ms
+ 1ms
> ACK 3 101-104`},
		{name: "a line that is never quiet is acknowledged all the same", script: handshake + `
< NEW 102 k1
! NEW k1
+ 40ms
< NEW 103 k1
! NEW k1
+ 40ms
< NEW 104 k1
! NEW k1
+ 40ms
< NEW 105 k1
! NEW k1
+ 40ms
< NEW 106 k1
! NEW k1
+ 40ms
> ACK 3 101-106`},
		{name: "control messages alone are acknowledged after a second: no ping-pong", script: handshake + `
< ALIVE 102
+ 900ms
< ALIVE 103
+ 100ms
> ACK 3 101-103`},
		{name: "ack window", cfg: Config{AckWindow: 3}, script: handshake + `
< ALIVE 102; ALIVE 103; ALIVE 104
> ACK 3 101-103`},
		{name: "gap: acknowledge what came before, ask for what is missing, go on behind it", script: handshake + `
< NEW 105 k5
! NEW k5
> ACK 3 101-101; NACK 4 102-104
+ 50ms
> ACK 5 105-105`},
		{name: "late and doubled messages are dropped", script: handshake + `
< NEW 102 k2
! NEW k2
< NEW 102 k2
< ACK 101 2-2
+ 50ms
> ACK 3 101-102`},
		{name: "each range is asked for once; a lost request is asked for in turn and sent again", script: handshake + `
< ALIVE 103
> ACK 3 101-101; NACK 4 102-102
< NACK 104 3-4
> ACK 5 101-101; NACK 6 102-102; ACK 7 103-104`},
		{name: "several gaps, ranges are disjoint", script: handshake + `
< NEW 103 k1; NEW 105 k2
! NEW k1
! NEW k2
> ACK 3 101-101; NACK 4 102-102; ACK 5 103-103; NACK 6 104-104
+ 50ms
> ACK 7 105-105`},
		{name: "acknowledged and lost state", script: handshake + `
send 1
> NEW 3 k1
send 2
> NEW 4 k2
send 3
> NEW 5 k3
< ACK 102 3-3; NACK 103 4-4
! acked k1 3
! lost k2 4
> ACK 6 101-103
send 2
> NEW 7 k2
< ACK 104 5-7
! acked k3 5
! acked k2 7`},
		{name: "a NACK is acknowledged behind what it asked for", script: handshake + `
send 1
> NEW 3 k1
dirty 2
< NACK 102 3-3
! lost k1 3
+ 50ms
> ACK 4 101-101
send 8
> NEW 5 k8
+ 50ms
send 1
> NEW 6 k1; ACK 7 102-102`},
		{name: "a repeated NACK waits with the first", script: handshake + `
send 1
> NEW 3 k1
dirty 1
< NACK 102 3-3; NACK 103 3-3
! lost k1 3
+ 50ms
> ACK 4 101-101
dirty 0
> ACK 5 102-102; ACK 6 103-103`},
		{name: "passed over: lost after three seconds", script: handshake + `
send 1
> NEW 3 k1
send 2
> NEW 4 k2
< ACK 102 4-4
! acked k2 4
+ 3.5s
> ACK 5 101-102
> ALIVE 6
! lost k1 3
> ALIVE 7`},
		{name: "not acknowledged at all: not lost, the peer may be silent for long", script: handshake + `
send 1
> NEW 3 k1
+ 3.5s
> ACK 4 101-101
> ALIVE 5
> ALIVE 6`},
		{name: "ranges for numbers never sent are from before a restart", script: handshake + `
send 1
> NEW 3 k1
< ACK 102 1-4; NACK 103 3-9
< ACK 104 0-3
! acked k1 3`},
		{name: "ranges across the end of the numbers", script: `
+ 0s
> ALIVE|HELLO 1
< ALIVE|HELLO_BACK 4294967295
! established
> ACK 2 4294967295-4294967295
< NEW 1 k1
! NEW k1
> NACK 3 0-0
< ACK 2 2-3; NEW 3 k2
! NEW k2
+ 50ms
> ACK 4 1-3`},
		{name: "malformed payload is not acknowledged but asked for", script: handshake + `
< BAD 102; NEW 103 k1
! NEW k1
> ACK 3 101-101; NACK 4 102-102`},
	} {
		t.Run(tt.name, func(t *testing.T) { newPlayer(t, tt.cfg).play(tt.script) })
	}
}

func TestRestart(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"lower numbers: everything in flight is given back, everything owed is forgotten", handshake + `
send 1
> NEW 3 k1
request
! resync sent
> RESYNC 4
< NEW 102 k1
! NEW k1
< ALIVE|HELLO 20
! lost k1 3
! peer restarted
> ACK|HELLO_BACK 5 20-20
send 1
! no room
< ACK 21 5-5
! resync sent
> RESYNC 6
send 1
> NEW 7 k1`},
		{"higher numbers are a restart, not a gap", handshake + `
+ 1s
> ACK 3 101-101
< ALIVE|HELLO 5000
! peer restarted
> ACK|HELLO_BACK 4 5000-5000
< ALIVE 5001`},
		{"the same number that comes next", handshake + `
< ALIVE|HELLO 102
! peer restarted
> ACK|HELLO_BACK 3 102-102`},
		{"a hello that goes on is one restart, and its gaps are gaps", `
+ 0s
> ALIVE|HELLO 1
< NEW|HELLO 100 k1; NEW|HELLO 101 k2
! peer restarted
! NEW k1
! NEW k2
> ACK|HELLO|HELLO_BACK 2 100-101
< NEW|HELLO 104 k5
! NEW k5
> NACK|HELLO|HELLO_BACK 3 102-103
+ 1s
> ACK|HELLO 4 104-104
< ALIVE|HELLO 105
> ACK|HELLO|HELLO_BACK 5 105-105`},
		{"a hello doubled or overtaken by the network is no restart", handshake + `
send 1
> NEW 3 k1
< ALIVE|HELLO|HELLO_BACK 100
< ALIVE|HELLO 99
send 2
> NEW 4 k2`},
		{"the same numbers later are a restart", handshake + `
+ 1s
> ACK 3 101-101
< ALIVE|HELLO 100
! peer restarted
> ACK|HELLO_BACK 4 100-100`},
		{"a jump within the hello phase is a restart", `
+ 0s
> ALIVE|HELLO 1
< ALIVE|HELLO 100
! peer restarted
> ACK|HELLO|HELLO_BACK 2 100-100
< ALIVE|HELLO 10000
! peer restarted
> ACK|HELLO|HELLO_BACK 3 10000-10000`},
		{"nothing but old numbers for two seconds: its hello was missed", handshake + `
send 1
> NEW 3 k1
< ALIVE 7
+ 1s
> ACK 4 101-101
< ALIVE 8
+ 1s
> ALIVE 5
< NEW 9 k9
! lost k1 3
! peer restarted
! NEW k9
send 1
> NEW 6 k1
+ 50ms
> ACK 7 9-9`},
		{"old numbers between new ones mean nothing", handshake + `
< ALIVE 7
+ 1s
> ACK 3 101-101
< ALIVE 102
+ 1s
> ACK 4 102-102
< ALIVE 8`},
		{"we restarted: the first number that comes will do", `
< NEW 700 k1
! NEW k1
> ACK|HELLO 1 700-700
< ACK|HELLO_BACK 701 1-1
! established
> ACK 2 701-701`},
		{"an answer to our hello counts even in a late message", `
+ 0s
> ALIVE|HELLO 1
< ALIVE 101
< ALIVE|HELLO_BACK 100
! established
> ACK 2 101-101`},
	} {
		t.Run(tt.name, func(t *testing.T) { newPlayer(t, Config{}).play(tt.script) })
	}
}

func TestResync(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"a bulk is complete when its request is acknowledged and no gap is open", handshake + `
request
! resync sent
> RESYNC 3
< UPD 102 k1; UPD 104 k3; ACK 105 3-3
! UPD k1
! UPD k3
> ACK 4 101-102; NACK 5 103-103
< UPD 106 k2; ACK 107 4-5
! UPD k2
! bulk received
+ 50ms
> ACK 6 104-107`},
		{"an open gap in the very message that acknowledges it", handshake + `
request
! resync sent
> RESYNC 3
< ACK 103 3-3
> ACK 4 101-101; NACK 5 102-102
< ACK 104 4-5
! bulk received`},
		{"two requests, one bulk received: the later counts", handshake + `
request
! resync sent
> RESYNC 3
request
! resync sent
> RESYNC 4
< ACK 102 3-3
< ACK 103 4-4
! bulk received`},
		{"a lost request goes out again", handshake + `
request
! resync sent
> RESYNC 3
< NACK 102 3-3
> RESYNC 4; ACK 5 101-102
< ACK 103 4-4
! bulk received`},
		{"a request passed over is repeated when the peer says nothing of substance", handshake + `
request
! resync sent
> RESYNC 3
+ 3s
> ACK 4 101-101
> ALIVE 5
> ALIVE 6
< ALIVE 102
+ 2s
> ACK 7 102-102
> RESYNC 8
< ACK 103 3-3
< ACK 104 8-8
! bulk received`},
		{"while state arrives it is not repeated", handshake + `
request
! resync sent
> RESYNC 3
+ 3s
> ACK 4 101-101
> ALIVE 5
> ALIVE 6
< UPD 102 k1
! UPD k1
+ 2s
> ACK 7 102-102
> ALIVE 8`},
		{"gaps that never close do not keep it open for ever", handshake + `
request
! resync sent
> RESYNC 3
< ACK 103 3-3
> ACK 4 101-101; NACK 5 102-102
+ 9.9s
> ACK 6 101-101
> NACK 7 102-102
> ACK 8 101-101
> ACK 9 101-101
> NACK 10 102-102
> ACK 11 103-103
> ACK 12 103-103
> ACK 13 103-103
> ACK 14 103-103
> NACK 15 102-102
> ALIVE 16
> ALIVE 17
> ALIVE 18
> ALIVE 19
> ALIVE 20
> NACK 21 102-102
> ALIVE 22
> NACK 23 102-102
> ALIVE 24
> NACK 25 102-102
> ALIVE 26
> NACK 27 102-102
+ 100ms
! bulk received`},
		{"the peer's request is acknowledged behind the bulk, other messages around it", handshake + `
< RESYNC 102; ALIVE 103
! resync requested
bulk started
+ 50ms
> ACK 3 101-101; ACK 4 103-103
send 1
> NEW 5 k1
send 2
> NEW 6 k2
bulk sent
> ACK 7 102-102`},
		{"a request during a bulk gets its own", handshake + `
< RESYNC 102
! resync requested
bulk started
< RESYNC 103
bulk sent
! resync requested
> ACK 3 101-102
< RESYNC 104
! resync requested
bulk started
bulk sent
> ACK 4 103-103; ACK 5 104-104`},
		{"requests before the bulk begins share it", handshake + `
< RESYNC 102; RESYNC 103
! resync requested
! resync requested
bulk started
bulk sent
> ACK 3 101-103`},
		{"a bulk asked for before a restart answers nobody", handshake + `
< RESYNC 102
! resync requested
bulk started
< ALIVE|HELLO 20
! peer restarted
> ACK|HELLO_BACK 3 20-20
< RESYNC 21
bulk sent
! resync requested
bulk started
bulk sent
> ACK 4 21-21`},
	} {
		t.Run(tt.name, func(t *testing.T) { newPlayer(t, Config{}).play(tt.script) })
	}
}
