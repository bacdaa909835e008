package session

import "time"

// Bounds and times of the window, in messages and nanoseconds.
const (
	windowStart = 4096 // some 400 KB of datagrams: less than any configured socket buffer of the peer
	windowLeast = 1024 // more than three of conntrackd's acknowledgement windows
	windowMost  = 65536

	windowSlow  = int64(100 * time.Millisecond) // a window full for so long may grow: the peer acknowledges rarely
	windowQuiet = int64(time.Second)            // for so long after a loss the window does not grow
)

// window bounds the state messages that are unacknowledged.
//
// It is halved when the peer missed something (on a dedicated link usually because of a full socket buffer) and
// returns to its start size while acknowledgements arrive. It doubles, up to its maximum, when it stays full although
// the peer is alive and misses nothing: then the peer is a conntrackd with a large ACKWindowSize, which acknowledges
// only after that many messages or when it has sent nothing for a second.
type window struct {
	limit, start, most int
	fullAt             int64 // when the window became full; 0 = it is not
	nackAt             int64 // when it was halved last; 0 = never
	recover            uint32
}

func newWindow(most int) window {
	if most <= 0 {
		most = windowMost
	}
	start := min(windowStart, most)
	return window{limit: start, start: start, most: most}
}

func (w *window) room(unacked int) int { return max(0, w.limit-unacked) }

// sent notes that so many messages are unacknowledged now.
func (w *window) sent(now int64, unacked int) {
	if unacked >= w.limit && w.fullAt == 0 {
		w.fullAt = now
	}
}

// acked notes that n messages were acknowledged.
func (w *window) acked(n int) {
	if w.fullAt != 0 && w.limit < w.start {
		w.limit = min(w.start, w.limit+n)
	}
	w.fullAt = 0
}

// nacked notes that the peer missed the message seq. next is the number of the next message to be sent. A message that
// was in flight at the last reduction does not reduce the window again.
func (w *window) nacked(now int64, seq, next uint32) {
	w.fullAt = 0
	if w.nackAt != 0 && before(seq, w.recover) {
		return
	}
	w.limit = max(min(windowLeast, w.most), w.limit/2)
	w.recover, w.nackAt = next, max(now, 1)
}

// tick lets the window grow when it has been full for long. alive says that the peer was heard recently.
func (w *window) tick(now int64, alive bool) {
	if w.fullAt == 0 || !alive || now-w.fullAt < windowSlow || w.nackAt != 0 && now-w.nackAt < windowQuiet {
		return
	}
	if w.limit < w.most {
		w.limit = min(w.most, 2*w.limit)
		w.fullAt = 0
	}
}

// next returns when tick is to be called.
func (w *window) next() int64 {
	if w.fullAt == 0 || w.limit >= w.most {
		return never
	}
	if w.nackAt != 0 {
		return max(w.fullAt+windowSlow, w.nackAt+windowQuiet)
	}
	return w.fullAt + windowSlow
}
