package session

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// A script is a conversation as text. Its lines are what the test does, each followed by what the session did:
//
//	< MSG; MSG       a datagram from the peer
//	+ 50ms           time passes, Tick is called whenever it wants
//	send 7           SendFlow of key 7, if there is room
//	request          RequestResync
//	bulk started     BulkStarted
//	bulk sent        BulkSent
//	dirty 3          so many flows wait to be sent
//	> MSG; MSG       a datagram to the peer
//	! words          a callback
//
// MSG is FLAGS NUMBER [FROM-TO], NEW|UPD|DEL NUMBER KEY, or BAD NUMBER for a malformed payload. Finish is called after
// each line. Numbers of the session start at 1.
type player struct {
	t     *testing.T
	s     *FTFW
	now   int64
	dirty int
	log   []string
}

// handshake is how most scripts begin: afterwards the session's next number is 3, the peer's 102, and 101 is not yet
// acknowledged.
const handshake = `
+ 0s
> ALIVE|HELLO 1
< ALIVE|HELLO|HELLO_BACK 100
! peer restarted
! established
> ACK|HELLO_BACK 2 100-100
< ACK 101 2-2`

func newPlayer(t *testing.T, cfg Config) *player {
	p := &player{t: t, now: second}
	cfg.Seq = 1
	say := func(f string, a ...any) { p.log = append(p.log, "! "+fmt.Sprintf(f, a...)) }
	p.s = New(cfg, Handler{
		Flow:            func(t wire.Type, f *flow.Flow) { say("%s k%d", typeName(t), f.Orig.SrcPort) },
		Expectation:     func(t wire.Type, _ *flow.Expectation) { say("%s", typeName(t)) },
		Acked:           func(r Ref, seq uint32) { say("acked k%d %d", r, seq) },
		Lost:            func(r Ref, seq uint32) { say("lost k%d %d", r, seq) },
		Dirty:           func() int { return p.dirty },
		ResyncRequested: func() { say("resync requested") },
		PeerRestarted:   func() { say("peer restarted") },
		Established:     func() { say("established") },
		ResyncSent:      func() { say("resync sent") },
		BulkReceived:    func() { say("bulk received") },
		Contradicted:    func() { say("contradicted") },
	}, p.now)
	return p
}

// play runs the commands of script and compares what happened with it.
func (p *player) play(script string) {
	p.t.Helper()
	script = strings.TrimSpace(script)
	p.log = nil
	for _, line := range strings.Split(script, "\n") {
		if line[0] == '>' || line[0] == '!' {
			continue
		}
		p.log = append(p.log, line)
		p.do(line)
		p.s.Finish()
		p.flush()
	}
	if d := cmp.Diff(strings.Split(script, "\n"), p.log); d != "" {
		p.t.Errorf("(-want +got):\n%s", d)
	}
}

func (p *player) do(line string) {
	p.t.Helper()
	verb, arg, _ := strings.Cut(line, " ")
	switch verb {
	case "<":
		p.s.Receive(p.now, datagram(p.t, arg))
	case "+":
		d, err := time.ParseDuration(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		p.pass(int64(d))
	case "send":
		if p.s.Room() == 0 {
			p.log = append(p.log, "! no room")
			return
		}
		k, _ := strconv.Atoi(arg)
		f := stateFlow(k, 1)
		p.s.SendFlow(p.now, wire.CTNew, &f, Ref(k))
	case "request":
		p.s.RequestResync(p.now)
	case "bulk":
		if arg == "started" {
			p.s.BulkStarted()
		} else {
			p.s.BulkSent()
		}
	case "dirty":
		p.dirty, _ = strconv.Atoi(arg)
	default:
		p.t.Fatalf("no such line: %q", line)
	}
}

// pass lets time pass as an event loop would.
func (p *player) pass(d int64) {
	end := p.now + d
	for turns := 0; ; turns++ {
		if turns > 1000 {
			p.t.Fatal("Tick wants to be called all the time")
		}
		next := p.s.Tick(p.now)
		p.flush()
		if p.now == end {
			return
		}
		p.now = min(max(next, p.now), end)
	}
}

func (p *player) flush() {
	buf, ends := p.s.Output()
	from := 0
	for _, end := range ends {
		p.log = append(p.log, "> "+text(p.t, buf[from:end]))
		from = end
	}
	p.s.Reset()
}

func typeName(t wire.Type) string {
	return [...]string{"NEW", "UPD", "DEL", "EXP_NEW", "EXP_UPD", "EXP_DEL"}[t]
}

// flagNames returns the names of the set flags joined by "|".
func flagNames(f wire.Flags) string {
	var set []string
	for i, name := range [...]string{"0x01", "RESYNC", "NACK", "ACK", "ALIVE", "HELLO", "HELLO_BACK", "0x80"} {
		if f>>i&1 != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, "|")
}

// text writes a datagram in the words of a script.
func text(t *testing.T, b []byte) string {
	var words []string
	for len(b) > 0 {
		h, body, rest, bad := wire.Next(b)
		if b = rest; bad != wire.OK {
			t.Fatalf("malformed output: %v", bad)
		}
		w := flagNames(h.Flags)
		if h.Type != wire.Control {
			var f flow.Flow
			if _, err := wire.ParseFlow(body, &f); err != nil {
				t.Fatal(err)
			}
			if w = typeName(h.Type) + "|" + w; h.Flags == 0 {
				w = typeName(h.Type)
			}
			w += fmt.Sprintf(" %d k%d", h.Seq, f.Orig.SrcPort)
		} else if w += fmt.Sprintf(" %d", h.Seq); h.Flags&(wire.Ack|wire.Nack) != 0 {
			w += fmt.Sprintf(" %d-%d", h.From, h.To)
		}
		words = append(words, w)
	}
	return strings.Join(words, "; ")
}

// datagram is the inverse of text.
func datagram(t *testing.T, words string) []byte {
	t.Helper()
	var b []byte
	for _, m := range strings.Split(words, "; ") {
		f := strings.Fields(m)
		var h wire.Header
		typ := wire.Control
		for _, name := range strings.Split(f[0], "|") {
			switch name {
			case "NEW", "UPD", "DEL", "BAD":
				typ = map[string]wire.Type{"NEW": 0, "UPD": 1, "DEL": 2, "BAD": 0}[name]
			default:
				h.Flags |= map[string]wire.Flags{
					"ACK": wire.Ack, "NACK": wire.Nack, "RESYNC": wire.Resync, "ALIVE": wire.Alive,
					"HELLO": wire.Hello, "HELLO_BACK": wire.HelloBack,
				}[name]
			}
		}
		seq, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(f[0], "BAD"):
			b = append(b, 0x10, byte(h.Flags), 0, 16)
			b = binary.BigEndian.AppendUint32(b, uint32(seq))
			b = append(b, 0xff, 0xff, 0, 1, 0, 0, 0, 0)
		case typ != wire.Control:
			k, _ := strconv.Atoi(f[2][1:])
			fl := stateFlow(k, 1)
			b = wire.AppendFlow(b, typ, h.Flags, uint32(seq), &fl)
		default:
			var from, to uint32
			if len(f) > 2 {
				fmt.Sscanf(f[2], "%d-%d", &from, &to)
			}
			b = wire.AppendControl(b, h.Flags, uint32(seq), from, to)
		}
	}
	return b
}
