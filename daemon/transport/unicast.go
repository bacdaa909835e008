package transport

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

// openUnicast binds the receiving socket to the local address and port, and the sending socket to the same address and
// to the device: the peer knows this router by that address, and the link is that interface whatever the routes say.
// Neither socket is on the wildcard address, which would take the port from the other links. The receiving socket is
// not bound to the device, so that datagrams on another interface are seen and counted.
func (l *Link) openUnicast(list []rtnetlink.Address) error {
	if hasAddress(list, l.remote) {
		return fmt.Errorf("peer %v: is an address of this router's own %s, give the other router's",
			l.remote, l.cfg.Interface)
	}
	if len(l.cfg.Listen) == 1 {
		l.local = l.cfg.Listen[0] // on any interface of this router; bind says if it is nowhere
	} else {
		var err error
		if l.local, err = l.chooseLocal(list); err != nil {
			return err
		}
	}
	if err := unix.BindToDevice(l.send.fd, l.cfg.Interface); err != nil {
		return fmt.Errorf("bind to device %s: %w", l.cfg.Interface, err)
	}
	if err := bind(l.recv.fd, l.local, l.cfg.Port, l.dev.index); err != nil {
		return err
	}
	return bind(l.send.fd, l.local, 0, l.dev.index)
}
