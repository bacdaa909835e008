package transport

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// bind binds a socket to an address of its family; index is the interface of a link-local address.
func bind(fd int, addr netip.Addr, port, index int) error {
	err := unix.Bind(fd, sockaddr(addr, port, index))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("this router does not have (or not yet) address %v, add it or correct listen-address: %w",
			addr, ErrNoAddress)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("bind %v: another program uses this port, stop it (conntrackd?) or change port: %w",
			netip.AddrPortFrom(addr, uint16(port)), err)
	}
	return fmt.Errorf("bind %v: %w", netip.AddrPortFrom(addr, uint16(port)), err)
}

func sockaddr(addr netip.Addr, port, index int) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: addr.As4()}
	}
	sa := &unix.SockaddrInet6{Port: port, Addr: addr.As16()}
	if needsScope(addr) {
		sa.ZoneId = uint32(index)
	}
	return sa
}

// needsScope reports whether an address is only meaningful together with an interface.
func needsScope(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast())
}

// intOption is a socket option with an integer value; name appears in errors.
type intOption struct {
	level, option, value int
	name                 string
}

func setInts(fd int, options []intOption) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

// Buffer is the size of a socket buffer in bytes: what was asked for (0 = system default) and what the kernel granted,
// without its doubling for its own overhead.
type Buffer struct{ Asked, Granted int }

// setBuffer sets the size of a socket buffer, beyond the limit of the system (net.core.wmem_max, rmem_max) where
// CAP_NET_ADMIN permits it. It is no error if the kernel grants less: the Buffer shows it.
func setBuffer(fd, force, plain, size int) (Buffer, error) {
	if size > 0 {
		size = min(size, 1<<30-1) // the kernel doubles an int
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size); errors.Is(err, unix.EPERM) {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
			if err != nil {
				return Buffer{}, fmt.Errorf("set socket buffer to %d bytes: %w", size, err)
			}
		} else if err != nil {
			return Buffer{}, fmt.Errorf("force socket buffer to %d bytes: %w", size, err)
		}
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain)
	if err != nil {
		return Buffer{}, fmt.Errorf("read socket buffer size: %w", err)
	}
	return Buffer{Asked: size, Granted: granted / 2}, nil
}
