package transport

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSlots  = 64
	slotBytes   = 64 << 10 // the largest datagram, and the largest run that UDP_GRO puts together
	controlSize = 96       // IPV6_PKTINFO (40) and UDP_GRO (24) with room to spare, a multiple of 8
)

// receiver is the receiving half of a link.
type receiver struct {
	mu        sync.Mutex
	fd        int
	buffer    Buffer
	refreshed time.Time // when a stranger last caused a look at the addresses; only the reader uses it
	counts    recvCounts
}

// prepare sets the buffer and asks for the arriving interface and for UDP_GRO.
func (r *receiver) prepare(family, size int) (err error) {
	if r.buffer, err = setBuffer(r.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, size); err != nil {
		return err
	}
	info := intOption{unix.IPPROTO_IP, unix.IP_PKTINFO, 1, "IP_PKTINFO"}
	if family == unix.AF_INET6 {
		info = intOption{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"}
	}
	if err := setInts(r.fd, []intOption{info}); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(r.fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) // without it, datagrams arrive one by one
	return nil
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr  unix.Msghdr
	size uint32
}

// arrival is one datagram, or a run of several of one sender that UDP_GRO put together.
type arrival struct {
	src     netip.AddrPort
	data    []byte
	segment int     // size of each datagram of a run but the last; 0 = one datagram
	refusal Refusal // why it is dropped
}

// each calls fn for every datagram of an arrival.
func (a *arrival) each(fn func(src netip.AddrPort, datagram []byte)) {
	rest := a.data
	for a.segment > 0 && len(rest) > a.segment {
		fn(a.src, rest[:a.segment:a.segment])
		rest = rest[a.segment:]
	}
	fn(a.src, rest)
}

// Batch holds the datagrams of one Read. The zero value is ready. Use it again for the next Read, and do not copy it.
// It reserves 4 MiB of address space, and occupies as much memory as the largest batch so far has filled.
type Batch struct {
	n       int
	arrived [batchSlots]arrival
	hdrs    []mmsghdr
	iovs    []unix.Iovec
	names   []unix.RawSockaddrInet6 // the larger of both families
	control []byte
	data    []byte
	slot    int // bytes of data per slot
}

// prepare makes the buffers of a batch, slot bytes for each arrival.
func (b *Batch) prepare(slot int) {
	b.slot = slot
	b.hdrs = make([]mmsghdr, batchSlots)
	b.iovs = make([]unix.Iovec, batchSlots)
	b.names = make([]unix.RawSockaddrInet6, batchSlots)
	b.control = make([]byte, batchSlots*controlSize)
	b.data = make([]byte, batchSlots*slot)
	for i := range b.hdrs {
		b.iovs[i].Base = &b.data[i*slot]
		b.iovs[i].SetLen(slot)
		h := &b.hdrs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.control[i*controlSize]
	}
	b.rearm(batchSlots)
}

// rearm resets the lengths that the kernel wrote into the first n headers.
func (b *Batch) rearm(n int) {
	for i := range b.hdrs[:n] {
		b.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		b.hdrs[i].hdr.SetControllen(controlSize)
	}
}

// Each calls fn for every datagram of the batch that may be the peer's, in the order of arrival. The bytes belong to
// the batch and are valid until the next Read. The zone of a link-local source is the name of the interface.
func (b *Batch) Each(fn func(src netip.AddrPort, datagram []byte)) {
	for i := range b.arrived[:b.n] {
		if a := &b.arrived[i]; a.refusal == allowed {
			a.each(fn)
		}
	}
}

// Refused calls fn for every other datagram of the batch, which was counted and is to be dropped; see Each.
func (b *Batch) Refused(fn func(src netip.Addr, why Refusal, datagram []byte)) {
	for i := range b.arrived[:b.n] {
		if a := &b.arrived[i]; a.refusal != allowed {
			a.each(func(src netip.AddrPort, d []byte) { fn(src.Addr(), a.refusal, d) })
		}
	}
}

// FD returns the descriptor of the receiving socket, which is readable when datagrams wait. Only Read may read it. It
// is invalid after Close.
func (l *Link) FD() int { return l.recv.fd }

// Read fills b with the datagrams that wait in the socket, and does not wait for any. more says that there may be more
// in the socket. The error is net.ErrClosed after Close; any other means that the socket no longer works.
func (l *Link) Read(b *Batch) (more bool, err error) {
	r := &l.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.slot == 0 {
		b.prepare(slotBytes)
	}
	b.n = 0
	if r.fd < 0 {
		return false, fmt.Errorf("read from link %s: %w", l.cfg.Interface, net.ErrClosed)
	}
	n, errno := r.recvmmsg(b)
	if errno != 0 {
		r.counts.errors.Add(1)
		return false, fmt.Errorf("read from link %s: %w", l.cfg.Interface, errno)
	}
	for i := range n {
		l.take(b, i)
	}
	b.rearm(n)
	return n == batchSlots, nil
}

// recvmmsg reads up to batchSlots arrivals and returns how many there were.
func (r *receiver) recvmmsg(b *Batch) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&b.hdrs[0])),
			batchSlots, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EAGAIN:
			return 0, 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// take adds what arrived in slot i to the batch, or counts why it is dropped.
func (l *Link) take(b *Batch, i int) {
	h := &b.hdrs[i]
	a := arrival{src: sourceOf(&b.names[i]), data: b.data[i*b.slot:][:min(int(h.size), b.slot)]}
	index, segment := parseControl(b.control[i*controlSize:][:min(int(h.hdr.Controllen), controlSize)])
	datagrams := uint64(1)
	if segment > 0 && len(a.data) > segment {
		a.segment = segment
		datagrams = uint64((len(a.data) + segment - 1) / segment)
	}
	c := &l.recv.counts
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		c.truncated.Add(1)
		return
	}
	switch a.refusal = l.judge(a.src.Addr(), index); a.refusal {
	case WrongInterface:
		c.wrongInterface.Add(datagrams)
	case WrongSource:
		c.wrongSource.Add(datagrams)
	case Looped:
		c.looped.Add(datagrams)
	default:
		c.bytes.Add(uint64(len(a.data)))
		c.datagrams.Add(datagrams)
	}
	if needsScope(a.src.Addr()) {
		a.src = netip.AddrPortFrom(a.src.Addr().WithZone(l.cfg.Interface), a.src.Port())
	}
	b.arrived[b.n] = a
	b.n++
}

// sourceOf returns the source address that the kernel wrote, of either family and without a zone.
func sourceOf(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&name.Port)) // in the same place in both families, in network byte order
	addr := netip.AddrFrom16(name.Addr)
	if name.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}

// parseControl returns the index of the receiving interface and the size of the datagrams of a run, 0 where the control
// messages do not say.
func parseControl(b []byte) (index, segment int) {
	const header = unix.SizeofCmsghdr
	for len(b) >= header {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < header || size > len(b) {
			return index, segment
		}
		data := b[header:size]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			index = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			index = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			segment = int(int32(binary.NativeEndian.Uint32(data)))
		}
		b = b[min(unix.CmsgSpace(size-header), len(b)):]
	}
	return index, segment
}
