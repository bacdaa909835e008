package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/path"
	"ctsync/daemon/wire"
)

// These simulations have two ends with thousands of flows on a link that loses what a rule says, and hold two promises:
// all arrives within a bounded time, and what is sent stays within the bound of the package comment.

// lossy is such a link, with a round trip of two ticks of a millisecond.
type lossy struct {
	r    *rand.Rand
	ends [2]*speaker
	drop func(r *rand.Rand, to int, datagram []byte) bool
	way  [2][][]byte // datagrams that arrive at the end next
	now  int64
}

// speaker is an end: a session, and the flows of a router whose caches are maps.
type speaker struct {
	s        *FTFW
	dirty    []Ref
	queued   map[Ref]bool
	version  map[Ref]uint32 // of each flow that exists here
	latest   map[Ref]uint32 // number of its last message
	external map[Ref]uint32 // what the peer said
	news     int            // messages that were due to something new
	bytes    int            // sent
	most     int            // bytes of its largest datagram in this millisecond
	limits   []int          // Most of what PathLimited said
	bulks    int
}

func newLossy(cfg [2]Config, drop func(*rand.Rand, int, []byte) bool) *lossy {
	l := &lossy{r: rand.New(rand.NewPCG(1, 1)), drop: drop, now: second}
	for i := range l.ends {
		cfg[i].Seq = uint32(1000 * (i + 1))
		l.ends[i] = newSpeaker(cfg[i], l.now)
	}
	return l
}

func newSpeaker(cfg Config, now int64) *speaker {
	e := &speaker{
		queued: map[Ref]bool{}, version: map[Ref]uint32{}, latest: map[Ref]uint32{}, external: map[Ref]uint32{},
	}
	e.s = New(cfg, Handler{
		Flow:  func(_ wire.Type, f *flow.Flow) { e.external[wideRef(f)] = f.Mark },
		Acked: func(Ref, uint32) {},
		Lost: func(ref Ref, seq uint32) {
			if e.latest[ref] == seq {
				e.mark(ref)
			}
		},
		Dirty: func() int { return len(e.dirty) },
		ResyncRequested: func() {
			e.bulks++
			e.s.BulkStarted()
			for ref := range Ref(len(e.version)) {
				e.mark(ref)
			}
			e.s.BulkSent() // early, which does not matter here
		},
		PathLimited: func(l path.Limit) { e.limits = append(e.limits, l.Most) },
	}, now)
	return e
}

// wideFlow is stateFlow for more keys than a port has.
func wideFlow(ref Ref, value uint32) flow.Flow {
	f := stateFlow(int(ref)&0xffff, value)
	f.Orig.Src[1] = byte(ref >> 16)
	f.Reply = f.Orig.Inverse()
	return f
}

func wideRef(f *flow.Flow) Ref { return Ref(f.Orig.SrcPort) | Ref(f.Orig.Src[1])<<16 }

func (e *speaker) mark(ref Ref) {
	if !e.queued[ref] {
		e.queued[ref] = true
		e.dirty = append(e.dirty, ref)
	}
}

// change gives flow ref another value.
func (e *speaker) change(ref Ref) {
	e.version[ref]++
	e.news++
	e.mark(ref)
}

// speak lets the end do one turn and returns its datagrams.
func (e *speaker) speak(now int64) (out [][]byte) {
	take := func() {
		buf, ends := e.s.Output()
		at := 0
		for _, end := range ends {
			out = append(out, append([]byte(nil), buf[at:end]...))
			e.bytes += end - at
			e.most = max(e.most, end-at)
			at = end
		}
		e.s.Reset()
	}
	e.most = 0
	for len(e.dirty) > 0 && e.s.Room() > 0 {
		ref := e.dirty[0]
		e.dirty = e.dirty[1:]
		delete(e.queued, ref)
		f := wideFlow(ref, e.version[ref])
		e.latest[ref] = e.s.SendFlow(now, wire.CTUpdate, &f, ref)
		if len(e.s.out.ends) == outputMost {
			take()
		}
	}
	e.s.Finish()
	take()
	e.s.Tick(now)
	take()
	return out
}

// run lets d pass, or less if all is done.
func (l *lossy) run(d time.Duration, done func() bool) (took time.Duration, ok bool) {
	for began := l.now; ; l.now += ms {
		took = time.Duration(l.now - began)
		if done() {
			return took, true
		}
		if took >= d {
			return took, false
		}
		for i, e := range l.ends {
			arrived := l.way[i]
			l.way[i] = nil
			for _, b := range arrived {
				e.s.Receive(l.now, b)
			}
			for _, b := range e.speak(l.now) {
				if !l.drop(l.r, 1-i, b) {
					l.way[1-i] = append(l.way[1-i], b)
				}
			}
		}
	}
}

// missing returns how many flows of end i the other does not have as they are.
func (l *lossy) missing(i int) (n int) {
	for ref, v := range l.ends[i].version {
		if l.ends[1-i].external[ref] != v {
			n++
		}
	}
	return n
}

// settled reports whether both ends have all, and know that the other does.
func (l *lossy) settled() bool {
	for i, e := range l.ends {
		if st := e.s.State(); !st.Established || len(e.dirty) > 0 || st.OldestUnacked != 0 || l.missing(i) > 0 {
			return false
		}
	}
	return true
}

// bound is what the package comment allows an end in took: messages of about 80 bytes.
func (e *speaker) bound(took time.Duration) int {
	const message = 80
	again := path.CreditPer*e.news + path.CreditMost + path.Grant*int(int64(took)/path.WaitLeast)
	return message*(e.news+again) + 200*int(took/(100*time.Millisecond))
}

// longer drops datagrams of more than so many bytes.
func longer(most int) func(*rand.Rand, int, []byte) bool {
	return func(_ *rand.Rand, to int, b []byte) bool { return to == 1 && len(b) > most }
}

// TestConverges: whatever a link loses, as long as something gets through, all flows arrive within a time, and the
// sender stays within its bound.
func TestConverges(t *testing.T) {
	lose := func(there, back float64) func(*rand.Rand, int, []byte) bool {
		return func(r *rand.Rand, to int, _ []byte) bool {
			if to == 1 {
				return r.Float64() < there
			}
			return r.Float64() < back
		}
	}
	for _, tt := range []struct {
		name  string
		drop  func(*rand.Rand, int, []byte) bool
		mtu   int
		flows int
		both  bool
		most  time.Duration
		share int // of what is new that is sent at most, all told
		limit int // a datagram of so many bytes is the largest that arrives; 0 = any
	}{
		{"nothing is lost", lose(0, 0), 1468, 6000, false, time.Second, 2, 0},
		{"5 % is lost", lose(0.05, 0.05), 1468, 6000, false, 10 * time.Second, 2, 0},
		{"60 % is lost", lose(0.6, 0.6), 1468, 6000, true, 20 * time.Second, 6, 0},
		{"80 % is lost", lose(0.8, 0.8), 1468, 500, false, 120 * time.Second, 16, 0},
		{"90 % of the answers are lost", lose(0, 0.9), 1468, 6000, false, 20 * time.Second, 5, 0},
		{"80 % of the messages are lost", lose(0.8, 0), 1468, 2000, false, 60 * time.Second, 16, 0},
		{"large datagrams are lost", longer(1422), 1468, 400, false, 5 * time.Second, 8, 1422},
		{"large datagrams are lost, many flows", longer(1422), 1468, 6000, false, 10 * time.Second, 4, 1422},
		{"9000 against 1500", longer(1472), 8972, 6000, true, 10 * time.Second, 5, 1472},
		{"a message hardly fits", longer(150), 1468, 1000, false, 20 * time.Second, 8, 150},
		{"large datagrams and a third of all", func(r *rand.Rand, to int, b []byte) bool {
			return to == 1 && len(b) > 1200 || r.Float64() < 0.33
		}, 1468, 6000, false, 20 * time.Second, 6, 1200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLossy([2]Config{{MaxDatagram: tt.mtu}, {MaxDatagram: tt.mtu}}, tt.drop)
			for ref := range Ref(tt.flows) {
				l.ends[0].change(ref)
				if tt.both {
					l.ends[1].change(ref)
				}
			}
			took, ok := l.run(tt.most, l.settled)
			a := l.ends[0]
			fresh := a.news * 54
			t.Logf("%v, %d bytes for %d new ones, asked for again %d, limits %v, round trip %v", took, a.bytes, fresh,
				a.s.Stats().Nacked, a.limits, time.Duration(a.s.State().RoundTrip))
			if !ok {
				t.Errorf("%d and %d flows are missing after %v", l.missing(0), l.missing(1), took)
			}
			for _, e := range l.ends {
				if most := e.bound(took); e.bytes > most {
					t.Errorf("%d bytes were sent, the bound is %d", e.bytes, most)
				}
			}
			if most := tt.share * fresh; a.bytes > most+20_000 {
				t.Errorf("%d bytes were sent for %d new ones, want at most %d times as many", a.bytes, fresh, tt.share)
			}
			if (len(a.limits) > 0) != (tt.limit > 0) {
				t.Errorf("datagrams that do not arrive: %v, want any: %v", a.limits, tt.limit > 0)
			}
			for _, n := range a.limits {
				if n < tt.limit {
					t.Errorf("datagrams of more than %d bytes are said not to arrive, the path carries %d", n, tt.limit)
				}
			}
		})
	}
}

// TestPathIsFound: while there is traffic the largest datagram that arrives is found to within a message, and when the
// path carries more again, that is found out too.
func TestPathIsFound(t *testing.T) {
	carries := 1422
	l := newLossy([2]Config{{MaxDatagram: 1468}, {MaxDatagram: 1468}}, func(_ *rand.Rand, to int, b []byte) bool {
		return to == 1 && len(b) > carries
	})
	a, next := l.ends[0], Ref(0)
	pass := func(d time.Duration) {
		l.run(d, func() bool {
			if l.now%(20*ms) == 0 {
				for range 40 {
					a.change(next % 5000)
					next++
				}
			}
			return false
		})
	}
	found := func() {
		t.Helper()
		got := a.s.State().Path
		if got.Most < carries || got.Most > carries+60 || got.Sent > carries || got.Sent < carries-60 {
			t.Errorf("%+v, the path carries %d: %v", got, carries, a.limits)
		}
	}
	pass(30 * time.Second)
	found()
	carries = 1468
	pass(time.Duration(2 * path.RetryLeast))
	if got := a.s.State().Path; got != (path.Limit{}) {
		t.Errorf("%+v, though all arrive: %v", got, a.limits)
	}
	carries = 600
	pass(30 * time.Second)
	found()
	if took, ok := l.run(5*time.Second, l.settled); !ok {
		t.Errorf("%d flows are missing %v after the last change", l.missing(0), took)
	}
}

// TestResyncWhileLost: a peer that asks for the table while the same messages get lost has them sent anew. What is sent
// again follows the newer ones, and what the older ones said costs nothing.
func TestResyncWhileLost(t *testing.T) {
	l := newLossy([2]Config{{MaxDatagram: 8968}, {MaxDatagram: 8968}}, longer(1472))
	pass := func(d time.Duration) { l.run(d, func() bool { return false }) }
	pass(500 * time.Millisecond)
	for ref := range Ref(5640) {
		l.ends[0].change(ref)
	}
	pass(time.Second)
	l.ends[1].s.RequestResync(l.now)
	if took, ok := l.run(10*time.Second, l.settled); !ok {
		t.Errorf("%d flows are missing after %v", l.missing(0), took)
	}
}

// TestPeerThatOnlyAsks: a peer that asks for everything again and acknowledges nothing gets little, and less and less.
func TestPeerThatOnlyAsks(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(seq uint32, s *FTFW) []byte
		most int // messages
	}{
		{"for what is in flight", func(seq uint32, s *FTFW) []byte {
			return wire.AppendControl(nil, wire.Nack, seq, 0, s.seq-1)
		}, 2000 + path.CreditMost + 30*path.Grant},
		{"for what is in flight, each time twice", func(seq uint32, s *FTFW) []byte {
			b := wire.AppendControl(nil, wire.Nack, seq, 0, s.seq-1)
			return append(b, b...)
		}, 2000 + path.CreditMost + 30*path.Grant},
		{"for the whole table", func(seq uint32, s *FTFW) []byte {
			b := wire.AppendControl(nil, wire.Resync, seq, 0, 0)
			return wire.AppendControl(b, wire.Ack, seq+1, 0, s.seq-1)
		}, 2000 * (bulksAtOnce + int(20*second/bulkEvery) + 1)},
		{"by hello", func(seq uint32, s *FTFW) []byte {
			step := seq/4 - 26
			b := wire.AppendControl(nil, wire.Alive|wire.Hello, step*8192, 0, 0)
			return wire.AppendControl(b, wire.Alive, step*8192+1, 0, 0)
		}, path.WindowLeast * (bulksAtOnce + int(20*second/bulkEvery) + 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newSpeaker(Config{Seq: 1}, second)
			e.s.Receive(second, wire.AppendControl(nil, wire.Alive|wire.HelloBack, 100, 0, 0))
			for ref := range Ref(2000) {
				e.change(ref)
			}
			seq := uint32(104)
			for now := second; now < 21*second; now += ms {
				e.speak(now)
				e.s.Receive(now, tt.say(seq, e.s))
				seq += 4
			}
			st := e.s.Stats().Sent
			n := int(st.New + st.Update + st.Destroy)
			t.Logf("%d messages, %d bytes", n, e.bytes)
			if n > tt.most {
				t.Errorf("%d messages about %d flows, want at most %d", n, e.news, tt.most)
			}
		})
	}
}

// TestDoubledRequests: requests that arrive several times cause nothing more.
func TestDoubledRequests(t *testing.T) {
	sent := [2]int{}
	for i, copies := range []int{1, 5} {
		l := newLossy([2]Config{{}, {}}, func(r *rand.Rand, to int, _ []byte) bool { return to == 1 && r.IntN(10) == 0 })
		a := l.ends[0]
		for ref := range Ref(6000) {
			a.change(ref)
		}
		l.run(10*time.Second, func() bool {
			whole := l.way[0]
			for range copies - 1 {
				l.way[0] = append(l.way[0], whole...)
			}
			return l.settled()
		})
		sent[i] = a.bytes
	}
	if sent[1] > sent[0]*11/10 {
		t.Errorf("%d bytes, and %d when each answer comes five times", sent[0], sent[1])
	}
}

// TestRepeated: while the same messages are asked for again and again, State says so.
func TestRepeated(t *testing.T) {
	for _, tt := range []struct {
		name string
		drop func(*rand.Rand, int, []byte) bool
		want bool
	}{
		{"5 % is lost", func(r *rand.Rand, to int, _ []byte) bool { return to == 1 && r.IntN(20) == 0 }, false},
		{"no message about a flow arrives", longer(40), true},
	} {
		l := newLossy([2]Config{{}, {}}, tt.drop)
		a, most := l.ends[0], 0
		for ref := range Ref(100) {
			a.change(ref)
		}
		l.run(10*time.Second, func() bool {
			n, _ := a.s.Repeated()
			most = max(most, n)
			return l.settled()
		})
		if got := most == 100; got != tt.want {
			t.Errorf("%s: %d messages are asked for again and again", tt.name, most)
		}
		if n, tries := a.s.Repeated(); tt.want && tries < repeatedTries {
			t.Error(fmt.Sprintf("%s: %d messages, tried %d times", tt.name, n, tries))
		}
	}
}
