package transport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// device is the state of an interface at one moment.
type device struct {
	index, mtu int
	flags      uint16 // IFF_UP and so on
}

// readDevice asks the kernel for the interface with that name, by ioctl on any socket of its namespace.
func readDevice(fd int, name string) (device, error) {
	var d device
	for _, ask := range []struct {
		request uint
		store   func(*unix.Ifreq)
	}{
		{unix.SIOCGIFINDEX, func(r *unix.Ifreq) { d.index = int(r.Uint32()) }},
		{unix.SIOCGIFMTU, func(r *unix.Ifreq) { d.mtu = int(r.Uint32()) }},
		{unix.SIOCGIFFLAGS, func(r *unix.Ifreq) { d.flags = r.Uint16() }},
	} {
		req, err := unix.NewIfreq(name)
		if err != nil {
			return device{}, fmt.Errorf("interface %q: %w", name, err)
		}
		if err := unix.IoctlIfreq(fd, ask.request, req); errors.Is(err, unix.ENODEV) {
			return device{}, fmt.Errorf("interface %s, make it or correct its name: %w", name, ErrNoInterface)
		} else if err != nil {
			return device{}, fmt.Errorf("interface %s: %w", name, err)
		}
		ask.store(req)
	}
	return d, nil
}

// state names the operational state of the interface, in the words of Up.
func (d device) state() (running bool, text string) {
	switch {
	case d.flags&unix.IFF_UP == 0:
		return false, "DOWN"
	case d.flags&unix.IFF_RUNNING == 0:
		return false, "NO-CARRIER"
	}
	return true, "RUNNING"
}

// now reads the interface as it is now.
func (l *Link) now() (device, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return device{}, fmt.Errorf("link %s: %w", l.cfg.Interface, unix.EBADF)
	}
	return readDevice(l.send.fd, l.cfg.Interface)
}

// Up reports whether the interface can carry traffic, and its state: RUNNING, NO-CARRIER or DOWN. An interface that
// does not exist is DOWN. It costs three ioctls.
func (l *Link) Up() (running bool, text string) {
	d, err := l.now()
	if err != nil {
		return false, "DOWN"
	}
	return d.state()
}

// Valid returns an error if the sockets no longer fit the interface and the link should be closed and opened again:
// the interface is gone or was re-created (ErrNoInterface), its MTU changed, or it lost the address that the link sends
// from (ErrNoAddress). An interface that is only down is valid. Valid also reads the on-link prefixes again. Call it
// about once a second, and when a link or an address changed.
func (l *Link) Valid() error {
	d, err := l.now()
	if err != nil {
		return err
	}
	if d.index != l.dev.index {
		return fmt.Errorf("interface %s was re-created (index %d, was %d): %w",
			l.cfg.Interface, d.index, l.dev.index, ErrNoInterface)
	}
	if d.mtu != l.dev.mtu {
		return fmt.Errorf("interface %s: MTU is %d, was %d", l.cfg.Interface, d.mtu, l.dev.mtu)
	}
	list, err := l.refreshSources()
	if err != nil {
		return err
	}
	// An interface that is down has no IPv6 address; it gets them back when it is up.
	if running, _ := d.state(); running && l.localOn && !hasAddress(list, l.local) {
		return fmt.Errorf("interface %s no longer has %v: %w", l.cfg.Interface, l.local, ErrNoAddress)
	}
	return nil
}
