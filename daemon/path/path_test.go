package path

import "testing"

// TestAgain: what is sent again follows what is acknowledged, and backs off.
func TestAgain(t *testing.T) {
	a := New(0, 1468, 0, 1).Again
	now := second
	open := func(left bool) int {
		n := a.Open(now, 10*ms, left)
		a.Spend(now, n)
		return n
	}
	if n := open(true); n != CreditMost || a.At() != now+10*ms {
		t.Fatalf("at first %d may leave, the next round is %d ms later", n, (a.At()-now)/ms)
	}
	for _, want := range []int64{20, 40, 80, 160, 320, 640, 1000, 1000} {
		now = a.At()
		if n := open(true); n != Grant || a.At() != now+want*ms {
			t.Fatalf("in vain: %d may leave, the next round is %d ms later, want %d", n, (a.At()-now)/ms, want)
		}
	}
	for range 10 {
		a.Acked(false)
	}
	a.Acked(true)
	now = a.At()
	if n := open(true); n != 11*CreditPer || a.At() != now+10*ms {
		t.Errorf("after 11 acknowledgements %d may leave, the next round is %d ms later", n, (a.At()-now)/ms)
	}
	now = a.At()
	if n := open(false); n != 0 {
		t.Errorf("without credit, and before the last round has left, %d may leave", n)
	}
}

func TestRoundTrip(t *testing.T) {
	var r RoundTrip
	for _, s := range []struct {
		sample int64
		prompt bool
		want   int64
	}{
		{800 * ms, false, 800 * ms}, // the first will do
		{900 * ms, false, 800 * ms}, // held back
		{0, true, 400 * ms},
		{0, false, 200 * ms},
		{360 * ms, true, 210 * ms},
	} {
		if r.Sample(s.sample, s.prompt); r.Smooth() != s.want {
			t.Errorf("after %d ms: %d ms, want %d", s.sample/ms, r.Smooth()/ms, s.want/ms)
		}
	}
	for range 20 {
		r.Sample(0, true)
	}
	if r.Wait() != WaitLeast {
		t.Errorf("waits %d ms", r.Wait()/ms)
	}
}

// TestSizeByChance: losses that hit all sizes do not make anything be said.
func TestSizeByChance(t *testing.T) {
	s := NewSize(second, 1468, Limit{}, 1)
	seq := uint32(1)
	for i := range 1000 {
		now := second + int64(i)*20*ms
		if i%5 < 3 {
			s.Missed(now, 1468, seq, seq+1)
			s.Missed(now, 100, seq+1, seq+2)
			s.Lower(now)
		} else {
			s.Arrived(now, 1468, seq)
			s.Arrived(now, 100, seq+1)
		}
		if seq += 2; s.Known() != (Limit{}) {
			t.Fatalf("step %d: %+v", i, s.Known())
		}
	}
}

// TestSizeRemembered: what was known of a path holds until something longer arrives.
func TestSizeRemembered(t *testing.T) {
	s := NewSize(second, 1468, Limit{Most: 1427, Sent: 1400}, 100)
	if s.Now() != 1400 || s.Link() != 1468 || s.News() {
		t.Fatalf("%d of %d, news %v", s.Now(), s.Link(), s.News())
	}
	if s.Target(second) != 0 || s.Target(second+probeEvery) != 1468 {
		t.Errorf("a probe of %d at once, of %d later", s.Target(second), s.Target(second+probeEvery))
	}
	s.Arrived(second, 1468, 99) // by the link before
	if s.Now() != 1400 {
		t.Error("what went another way counts")
	}
	s.Probed(2*second, 1460, 120)
	s.Arrived(2*second, 1460, 120)
	if s.Now() != 1468 || s.Tell() != (Limit{}) || s.News() {
		t.Errorf("%d, %+v", s.Now(), s.Known())
	}
}
