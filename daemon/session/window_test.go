package session

import "testing"

func TestWindow(t *testing.T) {
	w := newWindow(0)
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"start", func() {}, 4096},
		{"not full", func() { w.sent(0*ms+1, 4095); w.tick(500*ms, true) }, 4096},
		{"full for a moment", func() { w.sent(500*ms, 4096); w.tick(599*ms, true) }, 4096},
		{"full for long", func() { w.tick(600*ms, true) }, 8192},
		{"full again, acknowledged in time", func() { w.sent(601*ms, 8192); w.acked(300); w.tick(900*ms, true) }, 8192},
		{"full, peer silent", func() { w.sent(900*ms, 8192); w.tick(2*second, false) }, 8192},
		{"peer back", func() { w.tick(2*second, true) }, 16384},
		{"loss", func() { w.nacked(3*second, 100, 200) }, 8192},
		{"loss of what was in flight then", func() { w.nacked(3*second, 199, 300) }, 8192},
		{"new loss", func() { w.nacked(3*second, 200, 300) }, 4096},
		{"full, but a loss was just now", func() { w.sent(3*second, 4096); w.tick(3500*ms, true) }, 4096},
		{"never below the least", func() { w.nacked(3*second, 300, 400); w.nacked(3*second, 400, 500); w.nacked(3*second, 500, 600) }, 1024},
		{"acknowledged without having been full", func() { w.acked(300) }, 1024},
		{"acknowledged while full", func() { w.sent(3*second, 1024); w.acked(300) }, 1324},
		{"but not beyond the start", func() { w.sent(3*second, 1324); w.acked(5000) }, 4096},
		{"growth ends", func() {
			for i := int64(10); i < 30; i++ {
				w.sent(i*second, w.limit)
				w.tick(i*second+windowSlow, true)
			}
		}, 65536},
	}
	for _, s := range steps {
		if s.do(); w.limit != s.want {
			t.Fatalf("%s: window %d, want %d", s.name, w.limit, s.want)
		}
	}
	if w := newWindow(100); w.room(0) != 100 || w.room(100) != 0 || w.room(101) != 0 {
		t.Errorf("small window: room %d, %d, %d", w.room(0), w.room(100), w.room(101))
	}
}
