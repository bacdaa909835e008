package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Groups of rtnetlink events, as bits of the legacy mask.
const (
	addressGroups = 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)
	linkGroups    = 1 << (unix.RTNLGRP_LINK - 1)
)

// eventPause is how long events are gathered after one that was looked at.
const eventPause = 20 * time.Millisecond

// watchRoutes has the kernel say that a link or an address of this network namespace changed: changed gets a signal, at
// once. What the kernel said does not matter, nor that it had to leave something out (ENOBUFS): what is now is read anew
// each time. failed gets the error when there will be no more signals; it gets nothing when ctx ended.
func watchRoutes(ctx context.Context, groups uint32) (changed <-chan struct{}, failed <-chan error, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("bind rtnetlink socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "rtnetlink")
	context.AfterFunc(ctx, func() { socket.Close() })
	signals, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		defer socket.Close()
		b := make([]byte, 8<<10)
		for {
			if _, err := socket.Read(b); err != nil && !errors.Is(err, unix.ENOBUFS) {
				if ctx.Err() == nil {
					ended <- fmt.Errorf("read rtnetlink events: %w", err)
				}
				return
			}
			signal(signals)
		}
	}()
	return signals, ended, nil
}
