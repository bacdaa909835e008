package tui

import "testing"

// BenchmarkFrame draws each view in a small and in a large terminal.
func BenchmarkFrame(b *testing.B) {
	for _, size := range [][2]int{{80, 24}, {200, 60}} {
		for v := range views {
			m := sampleExpecting(sample())
			m.shown, m.width, m.height = m.screens[v], size[0], size[1]
			m.settle()
			b.Run(m.screens[v].name()+"/"+itoa(size[0]), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m.View()
				}
			})
		}
	}
}

// BenchmarkKey goes down a row and up again, with the frame after each.
func BenchmarkKey(b *testing.B) {
	m := pressed(sample(), "2")
	m.table().pace.busy = true
	b.ReportAllocs()
	for b.Loop() {
		m = pressed(m, "j")
		m.View()
		m = pressed(m, "k")
		m.View()
	}
}

// BenchmarkTyping types a character of a filter and erases it, with the frame after each.
func BenchmarkTyping(b *testing.B) {
	m := pressed(sample(), "2", "/")
	b.ReportAllocs()
	for b.Loop() {
		pressed(m, "x")
		m.View()
		pressed(m, "backspace")
		m.View()
	}
}
