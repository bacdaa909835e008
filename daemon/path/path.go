package path

import "time"

// Path is all that is learned of the path to a peer.
type Path struct {
	Size      Size
	Window    Window
	RoundTrip RoundTrip
	Again     Again

	lostAt int64
}

// lossyFor is how long after a loss a path counts as lossy.
const lossyFor = int64(3 * time.Second)

// New is a path of which nothing is known, by a link whose datagrams have up to size bytes. window is the most messages
// that may be in flight, 0 = WindowMost, next the number of the first message.
func New(now int64, size, window int, next uint32) Path {
	return Path{
		Size: NewSize(now, size, Limit{}, next), Window: NewWindow(window), Again: Again{credit: CreditMost, arrived: true},
	}
}

// Lost notes that a message was lost, of ours or of the peer.
func (p *Path) Lost(now int64) { p.lostAt = max(now, 1) }

// Lossy reports whether something was lost lately.
func (p *Path) Lossy(now int64) bool { return p.lostAt != 0 && now-p.lostAt < lossyFor }
