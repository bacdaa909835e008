package transport

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stats is what a link has done since it was opened. Bytes are those of UDP payload; except where it says otherwise the
// unit of the rest is a datagram.
type Stats struct {
	BytesSent, DatagramsSent uint64
	BytesRecv, DatagramsRecv uint64
	Segmented                uint64 // of those sent: left by UDP_SEGMENT
	Coalesced                uint64 // of those received: arrived by UDP_GRO

	SendErrors      uint64     // lost on the way out, the sum of the four below
	SendQueueFull   uint64     // the socket buffer or the queue of the interface was full (EAGAIN, ENOBUFS)
	SendUnreachable uint64     // no route, no answer to ARP or neighbour discovery, no source address, interface down
	SendBlocked     uint64     // the firewall of this router (EPERM)
	SendOther       uint64     // anything else
	LastSendError   unix.Errno // reason of the last of them, 0 = none

	RecvErrors     uint64 // failed reads
	WrongInterface uint64 // dropped: arrived on another interface
	WrongSource    uint64 // dropped: not from the peer (unicast) or not from the link (multicast)
	Looped         uint64 // dropped: our own multicast, sent back by something on the link
	Truncated      uint64 // dropped: longer than any UDP datagram we have room for; a coalesced one counts once
	KernelDrops    uint64 // never seen: the receive buffer was full, or the checksum wrong

	SendBuffer, RecvBuffer Buffer // bytes
	GSO, GRO               bool   // UDP_SEGMENT and UDP_GRO are in use; GSO ends when the kernel refuses it
}

// sendCounts and recvCounts are the counters behind Stats.
type sendCounts struct {
	bytes, datagrams, segmented            atomic.Uint64
	queueFull, unreachable, blocked, other atomic.Uint64
	last                                   atomic.Uintptr // unix.Errno
}

type recvCounts struct {
	bytes, datagrams, coalesced                            atomic.Uint64
	errors, wrongInterface, wrongSource, looped, truncated atomic.Uint64
}

func (c *sendCounts) sent(bytes, datagrams int) {
	c.bytes.Add(uint64(bytes))
	c.datagrams.Add(uint64(datagrams))
}

// lost counts datagrams that could not be sent.
func (c *sendCounts) lost(errno unix.Errno, datagrams int) {
	kind := &c.other
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS:
		kind = &c.queueFull
	case unix.EPERM, unix.EACCES:
		kind = &c.blocked
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.ECONNREFUSED,
		unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO,
		unix.EINVAL: // the source address was taken from the router (net/ipv4/route.c, ip_route_output_key_hash_rcu)
		kind = &c.unreachable
	}
	kind.Add(uint64(datagrams))
	c.last.Store(uintptr(errno))
}

// Stats returns the counters of the link. KernelDrops stays 0 once it is closed.
func (l *Link) Stats() Stats {
	s, r := &l.send.counts, &l.recv.counts
	st := Stats{
		BytesSent: s.bytes.Load(), DatagramsSent: s.datagrams.Load(), Segmented: s.segmented.Load(),
		BytesRecv: r.bytes.Load(), DatagramsRecv: r.datagrams.Load(), Coalesced: r.coalesced.Load(),
		SendQueueFull: s.queueFull.Load(), SendUnreachable: s.unreachable.Load(),
		SendBlocked: s.blocked.Load(), SendOther: s.other.Load(), LastSendError: unix.Errno(s.last.Load()),
		RecvErrors: r.errors.Load(), WrongInterface: r.wrongInterface.Load(), WrongSource: r.wrongSource.Load(),
		Looped: r.looped.Load(), Truncated: r.truncated.Load(),
		SendBuffer: l.send.buffer, RecvBuffer: l.recv.buffer,
		GSO: l.send.gso.Load(), GRO: l.recv.gro,
	}
	st.SendErrors = st.SendQueueFull + st.SendUnreachable + st.SendBlocked + st.SendOther
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		st.KernelDrops = kernelDrops(l.recv.fd)
	}
	return st
}

// kernelDrops reads the drop counter of a socket. It is the one that SO_RXQ_OVFL attaches to datagrams, but can be
// read when no datagram follows; it has 32 bits and wraps.
func kernelDrops(fd int) uint64 {
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	const drops = 8 // SK_MEMINFO_DROPS
	if errno != 0 || size <= drops*4 {
		return 0
	}
	return uint64(info[drops])
}

// Add returns the sum of the counters of s and t; what is no counter is t's.
func (s Stats) Add(t Stats) Stats {
	t.BytesSent += s.BytesSent
	t.BytesRecv += s.BytesRecv
	t.DatagramsSent += s.DatagramsSent
	t.DatagramsRecv += s.DatagramsRecv
	t.SendErrors += s.SendErrors
	t.SendQueueFull += s.SendQueueFull
	t.SendUnreachable += s.SendUnreachable
	t.SendBlocked += s.SendBlocked
	t.SendOther += s.SendOther
	t.RecvErrors += s.RecvErrors
	t.WrongInterface += s.WrongInterface
	t.WrongSource += s.WrongSource
	t.Looped += s.Looped
	t.Truncated += s.Truncated
	t.KernelDrops += s.KernelDrops
	return t
}
