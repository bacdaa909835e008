package transport

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stats counts what a link has sent, received and lost since it was opened. Bytes are those of the UDP payload. All
// other counters count datagrams, unless they say otherwise.
type Stats struct {
	BytesSent, DatagramsSent uint64
	BytesRecv, DatagramsRecv uint64

	SendErrors      uint64 // lost before they left, the sum of the five below
	SendQueueFull   uint64 // the socket buffer or the queue of the interface was full (EAGAIN, ENOBUFS)
	SendUnreachable uint64 // no route, no answer to ARP or neighbour discovery, no source address, interface down
	SendBlocked     uint64 // the firewall of this router (EPERM)
	SendTooLong     uint64 // the path carries less than the interface (EMSGSIZE)
	SendOther       uint64 // anything else

	RecvErrors     uint64 // failed reads
	WrongInterface uint64 // dropped: arrived on another interface
	WrongSource    uint64 // dropped: not from the peer (unicast) or not from the link (multicast)
	Looped         uint64 // dropped: our own multicast, sent back by something on the link
	Truncated      uint64 // dropped: longer than the largest UDP datagram; a run that UDP_GRO put together counts once
	KernelDrops    uint64 // never seen: the receive buffer was full, or the checksum wrong

	SendBuffer, RecvBuffer Buffer // bytes
}

// Add returns the sum of both counters, for a link and the one that was opened in its place. The buffers are those of
// later. Neither s nor later changes.
func (s Stats) Add(later Stats) Stats {
	later.BytesSent += s.BytesSent
	later.DatagramsSent += s.DatagramsSent
	later.BytesRecv += s.BytesRecv
	later.DatagramsRecv += s.DatagramsRecv
	later.SendErrors += s.SendErrors
	later.SendQueueFull += s.SendQueueFull
	later.SendUnreachable += s.SendUnreachable
	later.SendBlocked += s.SendBlocked
	later.SendTooLong += s.SendTooLong
	later.SendOther += s.SendOther
	later.RecvErrors += s.RecvErrors
	later.WrongInterface += s.WrongInterface
	later.WrongSource += s.WrongSource
	later.Looped += s.Looped
	later.Truncated += s.Truncated
	later.KernelDrops += s.KernelDrops
	return later
}

// sendCounts and recvCounts are the counters behind Stats.
type sendCounts struct {
	bytes, datagrams                atomic.Uint64
	queueFull, unreachable, blocked atomic.Uint64
	tooLong, other                  atomic.Uint64
}

type recvCounts struct {
	bytes, datagrams                                       atomic.Uint64
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
	case unix.EMSGSIZE:
		kind = &c.tooLong
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.ECONNREFUSED,
		unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO,
		unix.EINVAL: // the router no longer has the source address (net/ipv4/route.c, ip_route_output_key_hash_rcu)
		kind = &c.unreachable
	}
	kind.Add(uint64(datagrams))
}

// Stats returns the counters of the link. KernelDrops stays 0 once it is closed.
func (l *Link) Stats() Stats {
	s, r := &l.send.counts, &l.recv.counts
	st := Stats{
		BytesSent: s.bytes.Load(), DatagramsSent: s.datagrams.Load(),
		BytesRecv: r.bytes.Load(), DatagramsRecv: r.datagrams.Load(),
		SendQueueFull: s.queueFull.Load(), SendUnreachable: s.unreachable.Load(),
		SendBlocked: s.blocked.Load(), SendTooLong: s.tooLong.Load(), SendOther: s.other.Load(),
		RecvErrors: r.errors.Load(), WrongInterface: r.wrongInterface.Load(), WrongSource: r.wrongSource.Load(),
		Looped: r.looped.Load(), Truncated: r.truncated.Load(),
		SendBuffer: l.send.buffer, RecvBuffer: l.recv.buffer,
	}
	st.SendErrors = st.SendQueueFull + st.SendUnreachable + st.SendBlocked + st.SendTooLong + st.SendOther
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		st.KernelDrops = kernelDrops(l.recv.fd)
	}
	return st
}

// kernelDrops reads the drop counter of a socket. It is the counter that SO_RXQ_OVFL attaches to datagrams, but can be
// read while no datagram arrives. It has 32 bits and wraps.
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
