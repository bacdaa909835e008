package path

import (
	"math"
	"time"
)

// Bounds and times of the window, in messages and nanoseconds.
const (
	windowUsual = 4096 // some 400 KB of datagrams: less than any configured socket buffer of the peer
	WindowLeast = 1024 // more than three of conntrackd's acknowledgement windows
	WindowMost  = 65536

	windowSlow  = int64(100 * time.Millisecond) // a window full for so long may grow: the peer acknowledges rarely
	windowQuiet = int64(time.Second)            // for so long after a loss the window does not grow
)

// Window bounds the state messages that are unacknowledged.
//
// It begins small and grows with the acknowledgements to its usual size, so they pace a bulk from its start. It is
// halved when the peer missed something (on a dedicated link usually because of a full socket buffer) and returns to
// its usual size while acknowledgements arrive. It doubles, up to its maximum, when it stays full although
// the peer is alive and misses nothing: then the peer is a conntrackd with a large ACKWindowSize, which acknowledges
// only after that many messages or when it has sent nothing for a second.
type Window struct {
	limit, usual, most int
	fullAt             int64 // when the window became full; 0 = it is not
	nackAt             int64 // when it was halved last; 0 = never
	recover            uint32
}

// NewWindow returns a window of at most most messages; 0 = WindowMost.
func NewWindow(most int) Window {
	if most <= 0 {
		most = WindowMost
	}
	usual := min(windowUsual, most)
	return Window{limit: min(WindowLeast, usual), usual: usual, most: most}
}

// Room is how many more messages may be in flight.
func (w *Window) Room(unacked int) int { return max(0, w.limit-unacked) }

// Sent notes that so many messages are unacknowledged now.
func (w *Window) Sent(now int64, unacked int) {
	if unacked >= w.limit && w.fullAt == 0 {
		w.fullAt = now
	}
}

// Acked notes that n messages were acknowledged.
func (w *Window) Acked(n int) {
	if w.fullAt != 0 && w.limit < w.usual {
		w.limit = min(w.usual, w.limit+n)
	}
	w.fullAt = 0
}

// Nacked notes that the peer missed the message seq. next is the number of the next message to be sent. A message that
// was in flight at the last reduction does not reduce the window again.
func (w *Window) Nacked(now int64, seq, next uint32) {
	w.fullAt = 0
	if w.nackAt != 0 && before(seq, w.recover) {
		return
	}
	w.limit = max(min(WindowLeast, w.most), w.limit/2)
	w.recover, w.nackAt = next, max(now, 1)
}

// Tick lets the window grow when it has been full for long. alive says that the peer was heard recently.
func (w *Window) Tick(now int64, alive bool) {
	if w.fullAt == 0 || !alive || now-w.fullAt < windowSlow || w.nackAt != 0 && now-w.nackAt < windowQuiet {
		return
	}
	if w.limit < w.most {
		w.limit = min(w.most, 2*w.limit)
		w.fullAt = 0
	}
}

// Next returns when tick is to be called.
func (w *Window) Next() int64 {
	if w.fullAt == 0 || w.limit >= w.most {
		return math.MaxInt64
	}
	if w.nackAt != 0 {
		return max(w.fullAt+windowSlow, w.nackAt+windowQuiet)
	}
	return w.fullAt + windowSlow
}

// Limit is how many messages may be in flight now.
func (w *Window) Limit() int { return w.limit }

// Most is how many messages may ever be in flight.
func (w *Window) Most() int { return w.most }
