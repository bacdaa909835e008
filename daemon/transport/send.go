package transport

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSegments = 64    // UDP_MAX_SEGMENTS of the kernels that have it; newer ones allow 128
	maxRunBytes = 65000 // below the largest packet of either family, headers included
)

// sender is the sending half of a link: one socket, and all arguments of sendmsg, prepared once.
type sender struct {
	mu      sync.Mutex
	fd      int
	segMax  int // a larger datagram leaves in fragments, and UDP_SEGMENT cannot fragment
	buffer  Buffer
	gso     atomic.Bool
	hdr     unix.Msghdr
	iov     unix.Iovec
	control [unix.SizeofCmsghdr + 8]byte // one UDP_SEGMENT
	name4   unix.RawSockaddrInet4
	name6   unix.RawSockaddrInet6
	counts  sendCounts
}

// prepare sets the buffer, the destination and the control message, and finds out whether the kernel has UDP_SEGMENT.
func (s *sender) prepare(remote netip.Addr, port int, dev device, size int) (err error) {
	if s.buffer, err = setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, size); err != nil {
		return err
	}
	if err := discardAll(s.fd); err != nil {
		return err
	}
	s.segMax = payloadMax(dev.mtu, remote)
	// An older kernel ignores the control message and would send the whole run as one datagram.
	s.gso.Store(unix.SetsockoptInt(s.fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil)

	// The socket is not connected: a connected one loses a datagram for every ICMP error that the one before caused.
	if remote.Is4() {
		s.name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(port), Addr: remote.As4()}
		s.hdr.Name, s.hdr.Namelen = (*byte)(unsafe.Pointer(&s.name4)), unix.SizeofSockaddrInet4
	} else {
		s.name6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(port), Addr: remote.As16()}
		if needsScope(remote) {
			s.name6.Scope_id = uint32(dev.index)
		}
		s.hdr.Name, s.hdr.Namelen = (*byte)(unsafe.Pointer(&s.name6)), unix.SizeofSockaddrInet6
	}
	s.hdr.Iov = &s.iov
	s.hdr.SetIovlen(1)
	cmsg := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	cmsg.Level, cmsg.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	cmsg.SetLen(unix.CmsgLen(2))
	return nil
}

// discardAll makes the kernel drop all that is sent to a socket that only sends, so that nobody can fill its queue.
func discardAll(fd int) error {
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	program := unix.SockFprog{Len: 1, Filter: &none}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("attach filter to sending socket: %w", err)
	}
	return nil
}

func networkOrder(port int) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(port >> 8), byte(port)})
}

// Send sends the datagrams buf[0:ends[0]], buf[ends[0]:ends[1]] and so on, in this order, and does not wait. A datagram
// that the socket buffer or the network refuses is lost and counted in Stats; the session sends it again. Runs of
// datagrams of one size (the last of a run may be shorter) leave by one system call where the kernel has UDP_SEGMENT.
//
// The only error is net.ErrClosed, after Close. Valid says when the interface is gone.
func (l *Link) Send(buf []byte, ends []int) error {
	s := &l.send
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return fmt.Errorf("send on link %s: %w", l.cfg.Interface, net.ErrClosed)
	}
	for start := 0; len(ends) > 0; {
		n := 1
		if s.gso.Load() {
			n = run(ends, start, s.segMax)
		}
		s.sendRun(buf, start, ends[:n])
		start, ends = ends[n-1], ends[n:]
	}
	return nil
}

// run returns how many of the datagrams that end at ends may leave as one; the first of them begins at start. They must
// have one size, at most limit; only the last one may be shorter.
func run(ends []int, start, limit int) int {
	size := ends[0] - start
	if size == 0 || size > limit {
		return 1
	}
	n, begin := 1, start
	for n < len(ends) && n < maxSegments {
		next := ends[n] - ends[n-1]
		if next == 0 || next > size || ends[n]-begin > maxRunBytes {
			break
		}
		n++
		if next < size {
			break
		}
	}
	return n
}

// sendRun sends the datagrams of one run and counts them as sent or lost.
func (s *sender) sendRun(buf []byte, start int, ends []int) {
	if len(ends) == 1 {
		s.sendOne(buf[start:ends[0]])
		return
	}
	last := ends[len(ends)-1]
	errno := s.sendmsg(buf[start:last], ends[0]-start)
	switch {
	case errno == 0:
		s.counts.sent(last-start, len(ends))
	case maybeSegmentation(errno):
		s.sendOneByOne(buf, start, ends)
	default:
		s.counts.lost(errno, len(ends))
	}
}

// sendOneByOne sends the datagrams of a run that was refused as a whole. If each of them passes, UDP_SEGMENT does not
// work on this path, and the link stops using it.
func (s *sender) sendOneByOne(buf []byte, start int, ends []int) {
	passed := true
	for _, end := range ends {
		passed = s.sendOne(buf[start:end]) && passed
		start = end
	}
	if passed {
		s.gso.Store(false)
	}
}

func (s *sender) sendOne(b []byte) bool {
	if errno := s.sendmsg(b, 0); errno != 0 {
		s.counts.lost(errno, 1)
		return false
	}
	s.counts.sent(len(b), 1)
	return true
}

// maybeSegmentation reports whether an error may come from UDP_SEGMENT rather than from the network: EIO from a device
// without checksum offload or a route through IPsec, EINVAL or EMSGSIZE where the path carries less than the interface.
func maybeSegmentation(errno unix.Errno) bool {
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EOPNOTSUPP, unix.ENOPROTOOPT:
		return true
	}
	return false
}

// sendmsg sends b as one datagram, or as datagrams of segment bytes if that is not 0.
func (s *sender) sendmsg(b []byte, segment int) unix.Errno {
	s.iov.Base = unsafe.SliceData(b)
	s.iov.SetLen(len(b))
	s.hdr.Control = nil
	s.hdr.SetControllen(0)
	if segment > 0 {
		binary.NativeEndian.PutUint16(s.control[unix.CmsgLen(0):], uint16(segment))
		s.hdr.Control = &s.control[0]
		s.hdr.SetControllen(unix.CmsgSpace(2))
	}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.hdr)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return errno
		}
	}
}
