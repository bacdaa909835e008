package coretest

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/link"
	"ctsync/daemon/transport"
	"ctsync/daemon/upkeep"
)

// Sim is two whole cores, caches and sessions as they are, joined by two links that lose datagrams, go down at either
// end and are cut unseen, on a clock of its own. The seed decides everything.
type Sim struct {
	T     *testing.T
	Rnd   *rand.Rand
	Clock int64 // ns
	Nodes [2]*Node
	Loss  int     // percent
	Cut   [2]bool // by link: nothing arrives, and neither end notices
}

// Node is one router of a Sim.
type Node struct {
	Core  *core.Core
	Links [2]*Link
	Addr  [2]netip.Addr // on each

	bulk *upkeep.Bulk // under way
}

// NewSim returns a Sim whose nodes have no cores yet; see Start.
func NewSim(t *testing.T, seed, stream uint64) *Sim {
	s := &Sim{T: t, Rnd: rand.New(rand.NewPCG(seed, stream)), Clock: int64(time.Second)}
	s.Loss = []int{0, 1, 5, 20}[s.Rnd.IntN(4)]
	for i, a := range []netip.Addr{AddrA, AddrB} {
		s.Nodes[i] = &Node{Addr: [2]netip.Addr{a, a.Next().Next()}}
	}
	return s
}

// Start gives a node a core that knows nothing, with two open links, as a daemon that was (re)started.
func (s *Sim) Start(n *Node, change ...func(*core.Options)) {
	n.bulk = nil
	n.Core = New(append(change, func(o *core.Options) {
		o.Now, o.Lot = func() int64 { return s.Clock }, s.Rnd.Uint32
	})...)
	for i := range n.Links {
		n.Links[i] = &Link{Address: n.Addr[i]}
	}
	Open(n.Core, []transport.Config{{Interface: "sync0"}, {Interface: "sync1"}}, n.Links[:]...)
}

// SetLink changes the carrier of a node's link.
func (n *Node) SetLink(k int, up bool) {
	state := "NO-CARRIER"
	if up {
		state = "RUNNING"
	}
	n.Core.ChangeLinks(func(set *link.Set, now int64) { set.Is(set.Channels()[k], n.Links[k], state, now) })
}

// usable reports whether a node's link can carry anything.
func (n *Node) usable(k int) bool { return n.Core.Links.Channels()[k].Usable() }

// Heal ends all trouble on the links.
func (s *Sim) Heal() {
	s.Cut, s.Loss = [2]bool{}, 0
	for _, n := range s.Nodes {
		n.SetLink(0, true)
		n.SetLink(1, true)
	}
}

// Step lets both speak, carries what they said, and does the work of their bulks and sweeps.
func (s *Sim) Step() {
	for i, n := range s.Nodes {
		n.Core.Transmit()
		n.Core.Tick()
		for k := range n.Links {
			s.carry(n, s.Nodes[1-i], k)
		}
		n.work()
	}
}

// carry takes what a node said by link k to the other one.
func (s *Sim) carry(from, to *Node, k int) {
	from.Links[k].Each(func(d []byte) {
		if from.usable(k) && to.usable(k) && !s.Cut[k] && s.Rnd.IntN(100) >= s.Loss {
			to.Core.Receive(to.Core.Links.Channels()[k], from.Addr[k], d)
		}
	})
}

func (n *Node) compared() bool {
	select {
	case <-n.Core.Compared:
		return true
	default:
		return false
	}
}

// work does what the tasks of bulk and sweep do.
func (n *Node) work() {
	if n.bulk == nil && n.compared() {
		select {
		case <-n.Core.Want.Bulk:
			n.bulk = &upkeep.Bulk{}
		default:
		}
	}
	for wait, more := n.bulk == nil, true; !wait && more; {
		if wait, more = n.bulk.Step(n.Core); !more {
			n.bulk = nil
		}
	}
	select {
	case <-n.Core.Want.Sweep:
		for from, more := cache.Ref(0), true; more; more = from != 0 {
			from, _ = n.Core.SweepFrom(from, 100)
		}
	default:
	}
}
