package session

import (
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// pair is two sessions on a perfect link without delay.
type pair struct {
	a, b *FTFW
	now  int64
	got  int
	f    flow.Flow
}

func newPair(tb testing.TB) *pair {
	p := &pair{now: second, f: stateFlow(1, 1)}
	none := func(Ref, uint32) {}
	h := Handler{
		Flow:  func(wire.Type, *flow.Flow) { p.got++ },
		Acked: none,
		Lost:  func(Ref, uint32) { tb.Error("lost on a perfect link") },
	}
	p.a, p.b = New(Config{Seq: 1}, h, p.now), New(Config{Seq: 1000}, h, p.now)
	p.exchange(100)
	if p.a.Room() == 0 || p.b.Room() == 0 {
		tb.Fatal("no handshake")
	}
	return p
}

func deliver(now int64, from, to *FTFW) {
	from.Tick(now)
	from.Finish()
	buf, ends := from.Output()
	at := 0
	for _, end := range ends {
		to.Receive(now, buf[at:end])
		at = end
	}
	from.Reset()
}

func (p *pair) exchange(turns int) {
	for range turns {
		p.now += ms
		deliver(p.now, p.a, p.b)
		deliver(p.now, p.b, p.a)
	}
}

// round sends 600 flows and lets them be acknowledged.
func (p *pair) round() {
	for i := range 600 {
		p.a.SendFlow(p.now, wire.CTUpdate, &p.f, Ref(i))
	}
	p.exchange(60)
}

func TestNoAllocations(t *testing.T) {
	p := newPair(t)
	for range 10 {
		p.round()
	}
	before := p.got
	if n := testing.AllocsPerRun(100, p.round); n != 0 {
		t.Errorf("%v allocations in a round of 600 messages", n)
	}
	if p.got-before != 101*600 {
		t.Errorf("%d messages arrived, want %d", p.got-before, 101*600)
	}
	if st := p.a.State(); st.Unacked != 0 {
		t.Errorf("%d messages not acknowledged", st.Unacked)
	}
}

// BenchmarkSend is one state message: encoded, packed, kept, acknowledged.
func BenchmarkSend(b *testing.B) {
	s, seq := established(Config{Window: 1 << 20, Seq: 1}, Handler{})
	f := stateFlow(1, 1)
	var ack []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.SendFlow(second, wire.CTUpdate, &f, Ref(i))
		if i%300 == 299 {
			ack = wire.AppendControl(ack[:0], wire.Ack, seq, 0, s.seq-1)
			s.Receive(second, ack)
			s.Finish()
			s.Reset()
			seq++
		}
	}
}

// BenchmarkReceive is one state message in a full datagram: taken in, acknowledged by the window.
func BenchmarkReceive(b *testing.B) {
	s, seq := established(Config{Seq: 1}, Handler{})
	f := stateFlow(1, 1)
	size := flowSize(&f)
	n := 1400 / size
	var d, ack []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%n == 0 {
			b.StopTimer()
			d = d[:0]
			if i%(100*n) == 0 {
				ack = wire.AppendControl(ack[:0], wire.Ack, seq, 0, s.seq-1)
				s.Receive(second, ack)
				seq++
			}
			for range n {
				d = wire.AppendFlow(d, wire.CTUpdate, 0, seq, &f)
				seq++
			}
			b.StartTimer()
			s.Receive(second, d)
			s.Finish()
			s.Reset()
		}
	}
}

// BenchmarkAckRange is an acknowledgement of 300 messages.
func BenchmarkAckRange(b *testing.B) {
	var r ring
	seq := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		for range 300 {
			r.push(element{seq: seq, kind: state})
			seq++
		}
		r.remove(seq-300, seq-1, func(element) {})
	}
}
