package ctnetlink

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Kind tells what an event says of its flow.
type Kind uint8

// Event kinds.
const (
	EventNew Kind = iota
	EventUpdate
	EventDestroy
	EventExpectNew // the next of Block.Expect
	EventExpectDestroy
)

func (k Kind) String() string {
	switch k {
	case EventNew:
		return "NEW"
	case EventUpdate:
		return "UPDATE"
	case EventDestroy:
		return "DESTROY"
	case EventExpectNew:
		return "EXPECT_NEW"
	case EventExpectDestroy:
		return "EXPECT_DESTROY"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// BlockSize is the number of events in a full Block, and ExpectBlockSize how many of them may be of expectations.
const (
	BlockSize       = 64
	ExpectBlockSize = 16
)

// Block carries up to BlockSize events in the order of the kernel. It is reused from Read to Read. Event i is Kind[i] of
// Flow[i]; the events of expectations use the first NExpect elements of Expect instead, one after the other.
type Block struct {
	N, NExpect int
	Kind       [BlockSize]Kind
	Flow       [BlockSize]flow.Flow
	Expect     [ExpectBlockSize]flow.Expectation
}

// ListenConfig sizes and paces a Listener.
type ListenConfig struct {
	// Buffer is the size of the socket's receive buffer at first and MaxBuffer the size to which it may grow, in bytes
	// as the kernel accounts them: 1,280 for each waiting event (Linux 6.18). A Buffer of 0 leaves the system's default.
	Buffer, MaxBuffer int
	// Coalesce is how long Read may wait for more events after it got some, when events come fast: 2 or more within
	// Coalesce. 0 means never. When events are rare Read never waits.
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

// Listener receives conntrack events. Its socket blocks in ppoll on a thread of its own, outside Go's netpoller, which
// would wake up for every event.
type Listener struct {
	fd   int
	stop int // eventfd, readable after Stop

	in      *receiver
	n, next int    // datagrams of the last drain, and the next to decode
	rest    []byte // what is left of the datagram that is being decoded
	lost    bool   // an overrun that Read has not reported yet
	// dropping: an overrun was noticed, and the kernel drops all events until its queue has been read empty
	dropping bool
	pace     pacer
	epoch    time.Time
	poll     [2]unix.PollFd // stop, fd

	bufferMu sync.Mutex // guards the size of the buffer
	filterMu sync.Mutex // guards what the program in the kernel is made of
	ignored  []uint32
	filter   flow.Filter

	stopped                                            atomic.Bool
	cover                                              atomic.Uint32
	maxBuffer, coalesce                                atomic.Int64 // as in ListenConfig, as last set
	events, overruns, unknown, malformed, grown, bytes atomic.Uint64
}

// Listen opens an event socket in the network namespace of the calling thread. It needs CAP_NET_ADMIN.
func Listen(cfg ListenConfig) (*Listener, error) {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	fd, _, err := open(eventGroups)
	if err != nil {
		unix.Close(stop)
		return nil, err
	}
	l := &Listener{
		fd: fd, stop: stop,
		in:    newReceiver(eventReadCount, eventReadSize),
		pace:  newPacer(cfg.Coalesce),
		epoch: time.Now(),
		poll:  [2]unix.PollFd{{Fd: int32(stop), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}},
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

// SetExpectations subscribes to the events of expectations, or ends that. It may be called from any goroutine, but not
// after Close. Events that wait in the buffer arrive all the same.
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
		got, err = unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	}
	if err == nil {
		l.bytes.Store(uint64(got))
	}
	return err
}

// Read blocks until there are events and puts 1 to BlockSize of them into b. overrun reports that the kernel dropped
// events, and has stopped dropping: a dump made after it shows what they would have told. b.N may be 0 then. The error is io.EOF after Stop.
func (l *Listener) Read(b *Block) (overrun bool, err error) {
	b.N, b.NExpect = 0, 0
	for {
		if l.lost {
			l.lost = false
			overrun = true
		}
		l.decode(b)
		if b.N > 0 || overrun {
			l.events.Add(uint64(b.N))
			return overrun, nil
		}
		if err := l.fill(); err != nil {
			return false, err
		}
	}
}

// Stop makes Read return io.EOF. It may be called from any goroutine, more than once, but not after Close.
func (l *Listener) Stop() {
	if l.stopped.CompareAndSwap(false, true) {
		unix.Write(l.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // any number but 0; it fits, as this is the only write
	}
}

// Close closes the sockets. Read must have returned.
func (l *Listener) Close() error {
	if err := errors.Join(unix.Close(l.fd), unix.Close(l.stop)); err != nil {
		return fmt.Errorf("close event socket: %w", err)
	}
	return nil
}

// Stats may be called from any goroutine.
func (l *Listener) Stats() ListenStats {
	return ListenStats{
		Events: l.events.Load(), Overruns: l.overruns.Load(), Unknown: l.unknown.Load(), Malformed: l.malformed.Load(),
		BufferBytes: int(l.bytes.Load()), BufferLimit: int(l.maxBuffer.Load()), BufferGrown: l.grown.Load(),
		Coalesce: time.Duration(l.coalesce.Load()), Cover: Cover(l.cover.Load()),
	}
}
