package ctnetlink

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Kind is what an event says of its flow or expectation.
type Kind uint8

// Event kinds.
const (
	EventNew Kind = iota
	EventUpdate
	EventDestroy
	EventExpectNew // the next of Block.Expect
	EventExpectDestroy
)

// BlockSize is the number of events in a full Block, and ExpectBlockSize how many of them may be of expectations.
const (
	BlockSize       = 64
	ExpectBlockSize = 16
)

// Block carries up to BlockSize events in the order of the kernel. It is reused from Read to Read. Event i is Kind[i]
// of Flow[i]; the events of expectations use the first NExpect elements of Expect instead, one after the other.
type Block struct {
	N, NExpect int
	Kind       [BlockSize]Kind
	Flow       [BlockSize]flow.Flow
	Expect     [ExpectBlockSize]flow.Expectation
}

// ListenConfig sizes and paces a Listener.
type ListenConfig struct {
	// Buffer is the size of the socket's receive buffer at first and MaxBuffer the size to which it may grow, in bytes
	// as the kernel accounts them: 1,280 for each waiting event (Linux 6.18). A Buffer of 0 leaves the system's
	// default.
	Buffer, MaxBuffer int
	// Coalesce is the longest time for which Gather asks, while events come fast: 4 or more within Coalesce. 0 means
	// never.
	Coalesce time.Duration
	// Expectations also subscribes to the events of expectations; see SetExpectations.
	Expectations bool
}

// ListenStats counts what a Listener saw.
type ListenStats struct {
	Events      uint64
	Overruns    uint64        // times that the kernel had to drop events (ENOBUFS)
	Unknown     uint64        // messages of another subsystem or type
	Malformed   uint64        // messages dropped because they could not be read
	BufferBytes int           // size of the receive buffer as the kernel accounts it
	BufferLimit int           // size to which it may grow
	BufferGrown uint64        // times that it was doubled
	Coalesce    time.Duration // as in ListenConfig, as last set
	Cover       Cover         // how much of the Filter the kernel applies
}

// Conntrack multicast groups as bits of the legacy mask (NF_NETLINK_CONNTRACK_NEW, _UPDATE, _DESTROY).
const eventGroups = 1 | 2 | 4

// expectGroups are NFNLGRP_CONNTRACK_EXP_NEW, _UPDATE and _DESTROY. The kernel sends nothing to the second.
var expectGroups = [...]int{4, 5, 6}

const (
	eventReadSize  = 8 << 10 // events are below 1 KiB; the kernel allocates at most a page for one
	eventReadCount = BlockSize
)

// Listener receives conntrack events. It never waits: FD is for whoever does. One goroutine calls Read and Gather.
type Listener struct {
	fd int

	in      *receiver
	n, next int    // datagrams of the last drain, and the next to decode
	rest    []byte // what is left of the datagram that is being decoded
	since   int    // datagrams since the last Gather
	lost    bool   // an overrun that Read has not reported yet

	// dropping: there was an overrun, and the kernel drops all events until its queue has been read empty
	dropping bool
	pace     pacer
	epoch    time.Time

	bufferMu sync.Mutex // guards the size of the buffer
	filterMu sync.Mutex // guards ignored and filter, from which the program in the kernel is made
	ignored  []uint32
	filter   flow.Filter

	cover                                              atomic.Uint32
	maxBuffer, coalesce                                atomic.Int64 // as in ListenConfig, as last set
	events, overruns, unknown, malformed, grown, bytes atomic.Uint64
}

// Listen opens an event socket in the network namespace of the calling thread. It needs CAP_NET_ADMIN.
func Listen(cfg ListenConfig) (*Listener, error) {
	fd, _, err := open(eventGroups)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		fd:    fd,
		in:    newReceiver(eventReadCount, eventReadSize),
		pace:  newPacer(cfg.Coalesce),
		epoch: time.Now(),
	}
	l.cover.Store(uint32(CoverWhole)) // of the zero Filter
	l.maxBuffer.Store(int64(cfg.MaxBuffer))
	l.coalesce.Store(int64(cfg.Coalesce))
	if err := l.resize(cfg.Buffer); err != nil {
		l.Close()
		return nil, err
	}
	if cfg.Expectations {
		if err := l.SetExpectations(true); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// SetExpectations subscribes to the events of expectations, or unsubscribes. It may be called from any goroutine, but
// not after Close. Events that wait in the buffer arrive all the same.
func (l *Listener) SetExpectations(on bool) error {
	opt := unix.NETLINK_DROP_MEMBERSHIP
	if on {
		opt = unix.NETLINK_ADD_MEMBERSHIP
	}
	for _, g := range expectGroups {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_NETLINK, opt, g); err != nil {
			return fmt.Errorf("subscribe to expectation events: %w", err)
		}
	}
	return nil
}

// SetCoalesce changes ListenConfig.Coalesce. It may be called from any goroutine.
func (l *Listener) SetCoalesce(d time.Duration) { l.coalesce.Store(int64(d)) }

// SetMaxBuffer changes ListenConfig.MaxBuffer and brings the buffer to within least and most. It may be called from any
// goroutine, but not after Close. Events that wait in a buffer that gets smaller stay.
func (l *Listener) SetMaxBuffer(least, most int) error {
	l.bufferMu.Lock()
	defer l.bufferMu.Unlock()
	if size := int(l.bytes.Load()); size < least || size > most {
		if err := l.resize(min(max(size, least), most)); err != nil {
			return err
		}
	}
	l.maxBuffer.Store(int64(most))
	return nil
}

// resize sets the receive buffer, or only reads its size if n is 0.
func (l *Listener) resize(n int) (err error) {
	var got int
	if n > 0 {
		got, err = forceBuffer(l.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, n)
	} else {
		got, err = bufferSize(l.fd, unix.SO_RCVBUF)
	}
	if err == nil {
		l.bytes.Store(uint64(got))
	}
	return err
}

// FD returns the socket, which is readable when events wait. Only the Listener reads from it.
func (l *Listener) FD() int { return l.fd }

// Read puts up to BlockSize of the waiting events into b and does not wait: b.N is 0 when there are no more. overrun
// reports that the kernel dropped events and has stopped dropping: a dump made afterwards shows what the lost events
// would have shown. b.N may be 0 then as well.
func (l *Listener) Read(b *Block) (overrun bool, err error) {
	b.N, b.NExpect = 0, 0
	for {
		overrun = l.takeLost() || overrun
		l.decode(b)
		if b.N > 0 || overrun {
			l.events.Add(uint64(b.N))
			return overrun, nil
		}
		if n, err := l.fill(); n == 0 || err != nil {
			return l.takeLost(), err
		}
	}
}

// Gather returns how long to let events gather after Read has found no more: when they come fast, looking for each
// would cost more than the event. 0 means to wait until FD is readable.
func (l *Listener) Gather() time.Duration {
	n := l.since
	l.since = 0
	if limit := time.Duration(l.coalesce.Load()); limit != l.pace.limit {
		l.pace = newPacer(limit)
	}
	return l.pace.delay(n, time.Since(l.epoch))
}

// Close closes the socket.
func (l *Listener) Close() error {
	if err := unix.Close(l.fd); err != nil {
		return fmt.Errorf("close event socket: %w", err)
	}
	return nil
}

// Stats returns the counters. It may be called from any goroutine.
func (l *Listener) Stats() ListenStats {
	return ListenStats{
		Events: l.events.Load(), Overruns: l.overruns.Load(), Unknown: l.unknown.Load(), Malformed: l.malformed.Load(),
		BufferBytes: int(l.bytes.Load()), BufferLimit: int(l.maxBuffer.Load()), BufferGrown: l.grown.Load(),
		Coalesce: time.Duration(l.coalesce.Load()), Cover: Cover(l.cover.Load()),
	}
}
