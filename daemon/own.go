package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// addressPause is how long changes of addresses are gathered before they are looked at.
const addressPause = 20 * time.Millisecond

// runOwnAddresses is the task that keeps the filter in step with the addresses of this router. The kernel says that they
// changed; what they are now is read anew each time, so that nothing is missed when it has much to say.
func (d *Daemon) runOwnAddresses(ctx context.Context) error {
	socket, err := addressEvents()
	if err != nil {
		return err
	}
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- readAddressEvents(socket, changed) }()
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	for {
		other, err := d.refilter(ctx, func(*filterSource) {})
		if err != nil && ctx.Err() == nil {
			d.log.Error("the filter does not follow this router's addresses", "err", err)
		}
		if other {
			signal(d.core.wantReconcile)
		}
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			socket.Close()
			return err
		case <-changed:
			time.Sleep(addressPause)
		}
	}
}

// addressEvents opens a socket on which the kernel says that an address of this network namespace came or went.
func addressEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	groups := uint32(1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1))
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind rtnetlink socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// readAddressEvents signals changed for what the kernel says until the socket is closed. What it says does not matter,
// nor that it had to leave something out (ENOBUFS).
func readAddressEvents(socket *os.File, changed chan<- struct{}) error {
	b := make([]byte, 8<<10)
	for {
		if _, err := socket.Read(b); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("read address changes: %w", err)
		}
		signal(changed)
	}
}
