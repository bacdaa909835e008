package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// address is one address of an interface.
type address struct {
	ip     netip.Addr
	prefix netip.Prefix // the network it connects to; on a point-to-point interface the other end's
	flags  uint32       // IFA_F_TENTATIVE and so on
}

func ofFamily(list []address, like netip.Addr) []address {
	var out []address
	for _, a := range list {
		if a.ip.Is4() == like.Is4() {
			out = append(out, a)
		}
	}
	return out
}

func hasAddress(list []address, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(a address) bool { return a.ip == ip })
}

// addressReader lists addresses over rtnetlink. It keeps one socket, so that it goes on asking the namespace in which
// the link was opened, from whatever thread.
type addressReader struct {
	mu  sync.Mutex
	fd  int
	seq uint32
}

var errInterrupted = errors.New("dump interrupted by a change")

func (r *addressReader) open() (err error) {
	if r.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("make rtnetlink socket: %w", err)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind rtnetlink socket: %w", err)
	}
	return nil
}

func (r *addressReader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil
	}
	fd := r.fd
	r.fd = -1
	return unix.Close(fd)
}

// list returns the addresses of the interface with that index, of both families, as the kernel orders them.
func (r *addressReader) list(index int) ([]address, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil, fmt.Errorf("list addresses: %w", unix.EBADF)
	}
	var out []address
	var err error
	for range 5 {
		if out, err = r.dump(index); !errors.Is(err, errInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return out, nil
}

func (r *addressReader) dump(index int) ([]address, error) {
	r.seq++
	req := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfAddrmsg)
	*(*unix.NlMsghdr)(unsafe.Pointer(&req[0])) = unix.NlMsghdr{
		Len: uint32(len(req)), Type: unix.RTM_GETADDR, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP, Seq: r.seq,
	}
	if err := unix.Sendto(r.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var out []address
	interrupted := false
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return nil, err
		}
		done, intr, err := parseAddresses(buf[:n], r.seq, index, &out)
		interrupted = interrupted || intr
		if err != nil {
			return nil, err
		}
		if done && interrupted {
			return nil, errInterrupted
		} else if done {
			return out, nil
		}
	}
}

// parseAddresses reads one datagram of the answer to request seq and appends the addresses of the interface.
func parseAddresses(b []byte, seq uint32, index int, out *[]address) (done, interrupted bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, interrupted, fmt.Errorf("rtnetlink message of %d bytes in %d: %w", size, len(b), unix.EBADMSG)
		}
		body := b[unix.SizeofNlMsghdr:size]
		if binary.NativeEndian.Uint32(b[8:]) == seq {
			interrupted = interrupted || binary.NativeEndian.Uint16(b[6:])&unix.NLM_F_DUMP_INTR != 0
			switch binary.NativeEndian.Uint16(b[4:]) {
			case unix.NLMSG_DONE:
				return true, interrupted, nil
			case unix.NLMSG_ERROR:
				if len(body) < 4 {
					return false, interrupted, unix.EBADMSG
				}
				return false, interrupted, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			case unix.RTM_NEWADDR:
				if a, ok := parseAddress(body, index); ok {
					*out = append(*out, a)
				}
			}
		}
		b = b[min(align4(size), len(b)):]
	}
	return false, interrupted, nil
}

// parseAddress reads an ifaddrmsg and its attributes; ok is false for another interface and for what is no IP address.
func parseAddress(b []byte, index int) (a address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || int(binary.NativeEndian.Uint32(b[4:])) != index {
		return address{}, false
	}
	prefixLen := int(b[1])
	a.flags = uint32(b[2])
	var network netip.Addr
	for rest := b[unix.SizeofIfAddrmsg:]; len(rest) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			return address{}, false
		}
		value := rest[unix.SizeofRtAttr:size]
		switch binary.NativeEndian.Uint16(rest[2:]) {
		case unix.IFA_LOCAL:
			a.ip, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS: // the same as IFA_LOCAL, or the other end of a point-to-point interface
			network, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS: // all 32 flags, where the header has room for 8
			if len(value) == 4 {
				a.flags = binary.NativeEndian.Uint32(value)
			}
		}
		rest = rest[min(align4(size), len(rest)):]
	}
	if !network.IsValid() {
		network = a.ip
	}
	if !a.ip.IsValid() { // IPv6 sends IFA_LOCAL only for point-to-point addresses
		a.ip = network
	}
	prefix, err := network.Prefix(prefixLen)
	if err != nil {
		return address{}, false
	}
	a.prefix = prefix
	return a, a.ip.IsValid()
}

func align4(n int) int { return (n + 3) &^ 3 }
