package rtnetlink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Groups says which changes Watch reports. It is the bit mask of rtnetlink multicast groups that bind(2) takes.
type Groups uint32

const (
	Links     Groups = 1 << (unix.RTNLGRP_LINK - 1)
	Addresses Groups = 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)
)

// pause is how long changes are gathered after one that was reported.
const pause = 20 * time.Millisecond

// Watch reports changes of links and addresses in this network namespace until ctx ends. changed gets a signal at once
// for the first change, and then one signal for all changes of the next 20 ms. failed gets the error after which there
// are no more signals; it gets nothing when ctx ended.
//
// A signal does not say what changed: the caller reads the present state. So changes that the kernel could not queue
// (ENOBUFS) are one more signal, and messages are not decoded: one that the library cannot read (it refuses link
// addresses shorter than 4 bytes) must not end the watch.
func Watch(ctx context.Context, groups Groups) (changed <-chan struct{}, failed <-chan error, err error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: uint32(groups)})
	if err != nil {
		return nil, nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	changed, failed = watch(ctx, conn)
	return changed, failed, nil
}

// watch reads conn until ctx ends, and closes it. One goroutine reads, so that the socket rarely overflows; the other
// one gathers.
func watch(ctx context.Context, conn *netlink.Conn) (changed <-chan struct{}, failed <-chan error) {
	heard, signals, ended := make(chan struct{}, 1), make(chan struct{}, 1), make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(heard)
		defer conn.Close()
		defer stop()
		for {
			if _, err := conn.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) {
				if ctx.Err() == nil {
					ended <- fmt.Errorf("read rtnetlink events: %w", err)
				}
				return
			}
			signal(heard)
		}
	}()
	go func() {
		for range heard {
			signal(signals)
			time.Sleep(pause)
		}
	}()
	return signals, ended
}

// signal puts a value into a channel with one slot, unless there is one already.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
