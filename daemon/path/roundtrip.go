package path

import "time"

// Bounds of how long an answer may take.
const (
	WaitLeast = int64(10 * time.Millisecond)
	WaitMost  = int64(time.Second)
	waitFirst = int64(100 * time.Millisecond) // while no round trip was measured
)

// RoundTrip is how long the peer takes to answer. Each number is sent once, so there is no doubt which message an
// answer is for. But answers are held back, and get lost and are repeated: so it follows fast ones quickly, slow ones
// slowly, and those that the peer may have held back not at all.
type RoundTrip struct {
	smooth int64
	known  bool
}

// Sample takes the time d from a message to the answer that it caused. prompt says that the peer does not hold back
// such answers.
func (r *RoundTrip) Sample(d int64, prompt bool) {
	switch {
	case !r.known:
		*r = RoundTrip{smooth: d, known: true}
	case d < r.smooth:
		r.smooth -= (r.smooth - d) / 2
	case prompt:
		r.smooth += (d - r.smooth) / 16
	}
}

// Wait returns how long an answer may take: so long nothing is sent again once more.
func (r *RoundTrip) Wait() int64 {
	if !r.known {
		return waitFirst
	}
	return min(max(2*r.smooth, WaitLeast), WaitMost)
}

// Smooth is what was measured, 0 if nothing was.
func (r *RoundTrip) Smooth() int64 { return r.smooth }
