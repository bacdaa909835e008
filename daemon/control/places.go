package control

import (
	"fmt"
	"sync"
)

// rank says what a caller may do, and so whose places he takes.
type rank uint8

// Ranks.
const (
	reader rank = iota // may read
	actor              // may act, as a member of a group
	owner              // may act, as root or the daemon's user
	ranks
)

func (r rank) String() string {
	return [ranks]string{"all readers", "all of the control group", "root"}[r]
}

// places are what callers share: connections, or lists that are being read. Each rank has its own, so that those who
// may only read never take the place of keepalived's word, and nobody takes all that his rank has.
type places struct {
	what string     // they are, for the refusal
	room [ranks]int // in all
	each [ranks]int // for one user

	mu    sync.Mutex
	taken [ranks]int
	users map[taker]int // who have places, and how many
}

// taker is who takes a place. The same user may be a member of a group in one process, and not in another.
type taker struct {
	rank rank
	uid  uint32
}

// enter takes a place, to be given back by leave, or says why there is none.
func (p *places) enter(u taker) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.users[u] >= p.each[u.rank]:
		return &Error{
			Code: CodeCrowded, Message: fmt.Sprintf("%d %s of uid %d are open, no more are allowed", p.users[u], p.what, u.uid),
			Hint: "close some or try again",
		}
	case p.taken[u.rank] >= p.room[u.rank]:
		return &Error{
			Code: CodeCrowded, Message: fmt.Sprintf("%d %s of %s are open, no more are allowed", p.taken[u.rank], p.what, u.rank),
			Hint: "try again",
		}
	}
	if p.users == nil {
		p.users = map[taker]int{}
	}
	p.taken[u.rank]++
	p.users[u]++
	return nil
}

func (p *places) leave(u taker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[u.rank]--
	if p.users[u]--; p.users[u] == 0 {
		delete(p.users, u)
	}
}

// open returns how many places are taken.
func (p *places) open() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, taken := range p.taken {
		n += taken
	}
	return n
}
