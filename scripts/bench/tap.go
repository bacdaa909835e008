package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
	"ctsync/scripts/lab"
)

const (
	tapBuffer = 256 << 20              // bytes: enough for everything that arrives during a commit
	tapPoll   = 100 * time.Millisecond // how often a tap without traffic checks whether it must stop
	syncPort  = 3780
)

// tap reads what arrives at a router over the sync link, and notes when the first message about each probe came.
type tap struct {
	fd   int
	seen arrivals
	stop chan struct{}
	done chan error
}

func openTap(r *lab.Router) (*tap, error) {
	t := &tap{seen: make(arrivals), stop: make(chan struct{}), done: make(chan error, 1)}
	if err := r.NS.Do(t.open); err != nil {
		return nil, fmt.Errorf("watch the sync link: %w", err)
	}
	go func() { t.done <- t.run() }()
	return t, nil
}

func (t *tap) open() (err error) {
	link, err := net.InterfaceByName(lab.SyncInterface)
	if err != nil {
		return err
	}
	const ip = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network byte order
	if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, ip); err != nil {
		return err
	}
	timeout := unix.NsecToTimeval(int64(tapPoll))
	err = errors.Join(
		unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer),
		unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: ip, Ifindex: link.Index}))
	if err != nil {
		unix.Close(t.fd)
	}
	return err
}

func (t *tap) run() error {
	packet, control := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, nc, _, from, err := unix.Recvmsg(t.fd, packet, control, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			select {
			case <-t.stop:
				return nil
			default:
				continue
			}
		case err != nil:
			return err
		}
		if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		at, err := timestamp(control[:nc])
		if err != nil {
			return err
		}
		t.read(payload(packet[:n]), at)
	}
}

// read notes the probes in a datagram, or in several that offloading has joined: messages follow each other in both.
func (t *tap) read(b []byte, at time.Time) {
	for len(b) > 0 {
		h, body, rest, bad := wire.Next(b)
		if bad != 0 {
			return
		}
		b = rest
		if !h.Type.IsFlow() {
			continue
		}
		var f flow.Flow
		if _, err := wire.ParseFlow(body, &f); err != nil || f.Orig.DstPort != probePort {
			continue
		}
		if _, known := t.seen[f.Orig]; !known {
			t.seen[f.Orig] = at
		}
	}
}

// close stops the tap when nothing more arrives, and returns what it saw.
func (t *tap) close() (arrivals, error) {
	close(t.stop)
	err := <-t.done
	stats, e := unix.GetsockoptTpacketStats(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	err = errors.Join(err, e, unix.Close(t.fd))
	if err == nil && stats.Drops > 0 {
		err = fmt.Errorf("watch the sync link: %d packets were not seen", stats.Drops)
	}
	return t.seen, err
}

// payload returns the data of a UDP datagram to the sync port.
func payload(packet []byte) []byte {
	if len(packet) < 20 || packet[9] != byte(flow.UDP) {
		return nil
	}
	packet = packet[min(len(packet), int(packet[0]&0xf)*4):]
	if len(packet) < 8 || binary.BigEndian.Uint16(packet[2:]) != syncPort {
		return nil
	}
	return packet[8:]
}

// timestamp reads when the kernel received a packet.
func timestamp(control []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			sec, nsec := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(sec), int64(nsec)), nil
		}
	}
	return time.Time{}, errors.New("packet without the time of its arrival")
}
