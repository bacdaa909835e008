package ctnetlink

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// open makes a bound NETLINK_NETFILTER socket that blocks, so it stays out of Go's netpoller. groups is the legacy
// bit mask of multicast groups.
func open(groups uint32) (fd int, portID uint32, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, 0, fmt.Errorf("open netlink socket: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("bind netlink socket: %w", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("name netlink socket: %w", err)
	}
	return fd, sa.(*unix.SockaddrNetlink).Pid, nil
}

// forceBuffer sets SO_RCVBUFFORCE or SO_SNDBUFFORCE so that the kernel accounts n bytes (it doubles the value),
// and returns what the socket has afterwards.
func forceBuffer(fd, opt, read, n int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, n/2); err != nil {
		return 0, fmt.Errorf("size netlink buffer to %d bytes: %w", n, err)
	}
	return bufferSize(fd, read)
}

// bufferSize returns the size of a socket's SO_RCVBUF or SO_SNDBUF, in bytes as the kernel accounts them.
func bufferSize(fd, opt int) (int, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err != nil {
		return 0, fmt.Errorf("read size of netlink buffer: %w", err)
	}
	return n, nil
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// receiver is the memory for up to len(hdrs) datagrams per recvmmsg.
type receiver struct {
	hdrs []mmsghdr
	iovs []unix.Iovec
	size int
	buf  []byte
}

func newReceiver(datagrams, size int) *receiver {
	r := &receiver{
		hdrs: make([]mmsghdr, datagrams),
		iovs: make([]unix.Iovec, datagrams),
		size: size,
		buf:  make([]byte, datagrams*size),
	}
	for i := range r.hdrs {
		r.iovs[i].Base = &r.buf[i*size]
		r.iovs[i].SetLen(size)
		r.hdrs[i].hdr.Iov = &r.iovs[i]
		r.hdrs[i].hdr.SetIovlen(1)
	}
	return r
}

// receive takes up to max waiting datagrams without blocking: n is 0 when none waits. unix.ENOBUFS means that the
// kernel had to drop datagrams since the last call.
func (r *receiver) receive(fd, max int) (n int, err error) {
	max = min(max, len(r.hdrs))
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.hdrs[0])),
			uintptr(max), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(got), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// datagram returns the i-th datagram of the last receive; ok is false when it did not fit.
func (r *receiver) datagram(i int) (b []byte, ok bool) {
	h := &r.hdrs[i]
	return r.buf[i*r.size:][:min(int(h.len), r.size)], h.hdr.Flags&unix.MSG_TRUNC == 0
}
