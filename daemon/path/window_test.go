package path

import (
	"testing"
	"time"
)

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
)

func TestWindow(t *testing.T) {
	w := NewWindow(0)
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"start", func() {}, 1024},
		{"the first is acknowledged", func() { w.Sent(1, 1024); w.Acked(1024) }, 2048},
		{"the usual", func() { w.Sent(1, 2048); w.Acked(4000) }, 4096},
		{"not full", func() { w.Sent(0*ms+1, 4095); w.Tick(500*ms, true) }, 4096},
		{"full for a moment", func() { w.Sent(500*ms, 4096); w.Tick(599*ms, true) }, 4096},
		{"full for long", func() { w.Tick(600*ms, true) }, 8192},
		{"full again, acknowledged in time", func() { w.Sent(601*ms, 8192); w.Acked(300); w.Tick(900*ms, true) }, 8192},
		{"full, peer silent", func() { w.Sent(900*ms, 8192); w.Tick(2*second, false) }, 8192},
		{"peer back", func() { w.Tick(2*second, true) }, 16384},
		{"loss", func() { w.Nacked(3*second, 100, 200) }, 8192},
		{"loss of what was in flight then", func() { w.Nacked(3*second, 199, 300) }, 8192},
		{"new loss", func() { w.Nacked(3*second, 200, 300) }, 4096},
		{"full, but a loss was just now", func() { w.Sent(3*second, 4096); w.Tick(3500*ms, true) }, 4096},
		{"never below the least", func() { w.Nacked(3*second, 300, 400); w.Nacked(3*second, 400, 500); w.Nacked(3*second, 500, 600) }, 1024},
		{"acknowledged without having been full", func() { w.Acked(300) }, 1024},
		{"acknowledged while full", func() { w.Sent(3*second, 1024); w.Acked(300) }, 1324},
		{"but not beyond the start", func() { w.Sent(3*second, 1324); w.Acked(5000) }, 4096},
		{"growth ends", func() {
			for i := int64(10); i < 30; i++ {
				w.Sent(i*second, w.limit)
				w.Tick(i*second+windowSlow, true)
			}
		}, 65536},
	}
	for _, s := range steps {
		if s.do(); w.limit != s.want {
			t.Fatalf("%s: window %d, want %d", s.name, w.limit, s.want)
		}
	}
	if w := NewWindow(100); w.Room(0) != 100 || w.Room(100) != 0 || w.Room(101) != 0 {
		t.Errorf("small window: room %d, %d, %d", w.Room(0), w.Room(100), w.Room(101))
	}
}
