package path

// Credit is how many messages may be sent again.
const (
	CreditPer  = 4    // for each message that the peer acknowledges
	CreditMost = 1024 // saved up, and at the start: what a full socket buffer of the peer costs at once

	Grant = 16 // messages of a round without credit

	vainMost = 8
)

// Again paces what is sent again. It leaves in rounds: between two there is at least a round trip, and twice as much
// after each of which nothing arrived, up to WaitMost. How much may leave follows from what the peer acknowledges;
// without credit it is about a datagram. So however often the peer asks, it gets no more than a multiple of what it
// takes in.
type Again struct {
	credit  int
	at      int64 // the next round
	began   int64 // the last
	vain    uint  // rounds in a row of which nothing arrived
	arrived bool  // something that was sent again has arrived since
}

// At returns when the next round may begin.
func (a *Again) At() int64 { return a.at }

// Acked notes that the peer acknowledged a message. again says that it was not sent for the first time.
func (a *Again) Acked(again bool) {
	a.credit = min(a.credit+CreditPer, CreditMost)
	a.arrived = a.arrived || again
}

// Open begins a round at now, which is not before At, and returns how many messages may leave in it. left says that
// those of the round before have left. wait is how long an answer may take.
func (a *Again) Open(now, wait int64, left bool) int {
	left = left || now-a.began > WaitMost // or are in a long queue
	switch {
	case a.arrived:
		a.vain, a.arrived = 0, false
	case left:
		a.vain = min(a.vain+1, vainMost)
	}
	a.at = now + min(wait<<a.vain, WaitMost)
	if a.credit == 0 && left {
		return Grant
	}
	return a.credit
}

// Spend notes that n messages leave in the round that Open began at now.
func (a *Again) Spend(now int64, n int) {
	if n > 0 {
		a.credit, a.began = max(a.credit-n, 0), now
	}
}
