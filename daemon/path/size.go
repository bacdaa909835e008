package path

import "time"

// Times and bounds of the search for the size that a path carries.
const (
	pathLeast  = 64 // bytes: less than any message about a flow, so each leaves alone
	pathFine   = 16 // bytes to which the size is found out
	pathRounds = 3  // rounds of loss after which datagrams are made smaller
	pathSure   = 6  // datagrams that must have been lost before it is said that such sizes do not arrive
	probeTries = 3  // probes of one size before it counts as too large

	okFor      = int64(time.Second) // for so long the arrival of a size proves that the path carries it
	probeEvery = int64(time.Second)
	RetryLeast = int64(60 * time.Second) // after the search, the largest size is tried again so much later,
	retryMost  = int64(10 * time.Minute) // and ever later, up to this
)

// Size finds out how large a datagram may be to arrive. The MTU of the interface promises more than a tunnel, an
// overlay or a switch on the way may carry, and nobody says so.
//
// Each message in flight knows how many bytes of its datagram ended with it. An acknowledgement proves that so many
// arrive, a NACK that as many did not. Losses by chance hit all sizes alike. So when in three rounds datagrams beyond
// some size were lost and none arrived, datagrams become smaller, down to a message in each. Later one at a time is
// filled further, as a probe: first to the full size, in case it was chance, then half way between what arrives and
// what does not. The full size is tried again after a minute, and ever later.
type Size struct {
	most  int  // bytes that the link carries, by its MTU
	limit int  // bytes of a datagram now
	fail  int  // the smallest datagram that did not arrive; 0 = all do
	sure  bool // of that; it may be said
	told  Limit

	ok     int    // the largest size that arrived lately
	okAt   int64  // when it did first
	rounds int    // of loss beyond ok, with no arrival beyond ok
	least  int    // bytes of the shortest datagram beyond ok that was lost in them
	before int    // of the lost message looked at last: if the next one has less, another datagram begins with it
	next   uint32 // what is lost of the numbers from here on is another round
	from   uint32 // what has an earlier number went another way, or in other datagrams

	// The evidence since something beyond limit arrived, in datagrams.
	lost    int // beyond ok
	chance  int // others that were lost
	passed  int // that arrived
	passing int // of the message looked at last, as before

	halving   bool   // the full size was tried; otherwise it is what to try next
	tries     int    // probes of the present size that were lost
	probeAt   int64  // when to make the next
	retry     int64  // how long to wait after the search
	probeSize int    // of the probe in flight
	probeSeq  uint32 // its last number
}

// Limit is what is known of a path that carries less than its link, in bytes of a datagram. The zero value is one
// that carries all.
type Limit struct {
	Most int // datagrams of more do not arrive
	Sent int // of so many are sent
}

// Known returns what is sure enough to be said.
func (p *Size) Known() (l Limit) {
	if p.sure {
		l = Limit{Most: p.fail - 1, Sent: p.limit}
	}
	return l
}

// News reports whether Known is something else than Tell returned last.
func (p *Size) News() bool { return p.Known() != p.told }

// Tell returns Known, which is no news then.
func (p *Size) Tell() Limit {
	p.told = p.Known()
	return p.told
}

// NewSize says that from number next on datagrams go by a link that carries most bytes, and what is known of it.
func NewSize(now int64, most int, known Limit, next uint32) Size {
	p := Size{most: most, limit: most, from: next, next: next, okAt: now - okFor}
	if known.Most != 0 && known.Most < most {
		p.limit, p.fail, p.sure, p.told = known.Sent, known.Most+1, true, known
		p.retry, p.probeAt = RetryLeast, now+probeEvery
	}
	return p
}

// Link is how many bytes the link carries.
func (p *Size) Link() int { return p.most }

// Now is how many bytes a datagram is to have at most, unless it is a probe.
func (p *Size) Now() int { return p.limit }

// Arrived takes note that a datagram of at least size bytes arrived.
func (p *Size) Arrived(now int64, size int, seq uint32) {
	if size <= p.passing {
		p.passed++
	}
	if p.passing = size; size > p.ok && !before(seq, p.from) {
		p.grow(now, size)
	}
}

func (p *Size) grow(now int64, size int) {
	p.ok, p.okAt, p.rounds = size, now, 0
	switch {
	case p.fail != 0 && size >= p.fail:
		p.limit, p.fail, p.sure = p.most, 0, false
	case size > p.limit:
		p.limit, p.tries, p.probeAt = size, 0, now
	case p.fail != 0:
		return // it is no news
	}
	p.lost, p.chance, p.passed = 0, 0, 0
}

// Missed takes note that a datagram of at least size bytes was lost. next is the number of the next message.
func (p *Size) Missed(now int64, size int, seq, next uint32) {
	if before(seq, p.from) {
		return
	}
	if size > p.limit {
		if p.probeSize != 0 && seq == p.probeSeq {
			p.probeLost(now)
		}
		return
	}
	another := size <= p.before
	if another {
		p.shortest()
	}
	p.before = size
	if size <= p.ok {
		if now-p.okAt < okFor {
			return
		}
		p.ok, p.rounds, p.okAt = 0, 0, now
	}
	if p.rounds == 0 {
		p.least = p.limit
	}
	if p.rounds == 0 || !before(seq, p.next) {
		p.rounds++
		p.next = next
	}
}

// shortest takes the datagram that was looked at last into account.
func (p *Size) shortest() {
	switch {
	case p.before > p.ok:
		p.least = min(p.least, p.before)
		p.lost++
	case p.before > 0:
		p.chance++
	}
	p.before = 0
}

// judge decides whether the evidence may be said.
func (p *Size) judge() { p.sure = p.sure || p.lost >= pathSure && p.passed > p.chance }

// Lower makes datagrams smaller when the evidence is there. It is called behind a NACK.
func (p *Size) Lower(now int64) {
	if p.rounds < pathRounds || p.limit <= pathLeast {
		return
	}
	p.shortest()
	p.judge()
	p.fail = p.least
	p.limit = max(p.limit/2, p.ok, pathLeast) &^ 3
	p.rounds, p.tries, p.halving = 0, 0, false
	p.retry, p.probeAt = RetryLeast, now+probeEvery
}

// Target returns how far to fill the next probe, 0 if none is due.
func (p *Size) Target(now int64) int {
	switch {
	case p.limit >= p.most || now < p.probeAt:
		return 0
	case !p.halving:
		return p.most
	}
	return (p.limit + p.fail) / 2 &^ 3
}

// Probed takes note that a datagram of size bytes, which ends with number seq, was to be a probe. It is none when the
// next message would have been too long for it: then the search is over.
func (p *Size) Probed(now int64, size int, seq uint32) {
	if p.probeAt = now + probeEvery; size > p.limit {
		p.probeSize, p.probeSeq = size, seq
	} else if p.halving {
		p.rest(now)
	}
}

func (p *Size) probeLost(now int64) {
	size := p.probeSize
	p.probeSize = 0
	p.lost++
	p.judge()
	if p.tries++; p.tries < probeTries {
		return
	}
	p.tries, p.halving = 0, true
	if p.fail = min(p.fail, size); p.fail-p.limit <= pathFine {
		p.rest(now)
	}
}

// rest ends the search for a while.
func (p *Size) rest(now int64) {
	p.halving, p.tries, p.probeAt = false, 0, now+p.retry
	p.retry = min(2*p.retry, retryMost)
}
