package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// Real packets go from the client through the first router, which forwards and translates them, to the server.
const (
	packetSeconds = 2
	udpRate       = 10_000 // flows per second of one datagram each
	tcpRate       = 5000   // connections per second
	serverPort    = 5001
)

// openNetwork gives the first router the virtual addresses, in place of keepalived, and starts the daemons. The
// server's kernel does not answer.
func (t *trial) openNetwork() error {
	r := t.pair[0].NS
	for _, side := range []struct{ iface, address string }{{"eth0", lab.WANAddress}, {"eth1", lab.LANAddress}} {
		if err := r.IP("addr", "add", side.address+"/24", "dev", side.iface); err != nil {
			return err
		}
	}
	quiet := fmt.Sprintf("table ip bench { chain input { type filter hook input priority 0; udp dport %d drop; }; }",
		serverPort)
	if err := t.net.Server.Firewall(quiet); err != nil {
		return err
	}
	if err := t.net.Client.Sysctl("net.ipv4.ip_local_port_range=1024 65000"); err != nil {
		return err
	}
	if _, err := t.net.Client.Run("ping", "-c", "1", "-W", "5", lab.ServerAddress); err != nil {
		return fmt.Errorf("the network does not forward: %w", err)
	}
	return t.start()
}

// through sends real packets of n flows and records what that cost the daemons.
func (t *trial) through(what string, n, rate int, do func(from, to int) error) error {
	if err := t.settle(); err != nil {
		return err
	}
	before, err := t.usage()
	if err != nil {
		return err
	}
	if err := paced(t.ctx, n, rate, do); err != nil {
		return err
	}
	took := time.Since(before.at).Seconds()
	if err := t.settle(); err != nil {
		return err
	}
	after, err := t.usage()
	if err != nil {
		return err
	}
	t.record(float64(n)/took, "packets/%s/rate", what)
	return t.recordFlows("packets/"+what, after.since(before), n)
}

// udpPackets sends one datagram per flow, from changing ports of changing addresses behind the client.
func udpPackets(t *trial) error {
	if err := t.openNetwork(); err != nil {
		return err
	}
	var fd int
	err := t.net.Client.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet4{Addr: [4]byte(server[:4])}
	return t.through("udp", packetSeconds*udpRate, udpRate, func(from, till int) error {
		for i := from; i < till; i++ {
			if err := unix.Sendto(fd, datagram(i), 0, to); err != nil {
				return fmt.Errorf("send packet: %w", err)
			}
		}
		return nil
	})
}

// datagram returns the i-th IPv4 packet: a UDP header and no data. The kernel fills in length and checksum of IP, and
// UDP needs no checksum.
func datagram(i int) []byte {
	const ipHeader, udpHeader = 20, 8
	p := make([]byte, ipHeader+udpHeader)
	p[0], p[8], p[9] = 0x45, 64, byte(flow.UDP)
	copy(p[12:], []byte{10, 10, 0, 101 + byte(i/portsPerAddress)})
	copy(p[16:], server[:4])
	binary.BigEndian.PutUint16(p[20:], uint16(1024+i%portsPerAddress))
	binary.BigEndian.PutUint16(p[22:], serverPort)
	binary.BigEndian.PutUint16(p[24:], udpHeader)
	return p
}

// tcpPackets opens and closes connections, which makes six events for each.
func tcpPackets(t *trial) error {
	if err := t.openNetwork(); err != nil {
		return err
	}
	var listener int
	err := t.net.Server.Do(func() (err error) {
		if listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Port: serverPort}), unix.Listen(listener, 1024))
	})
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	to := &unix.SockaddrInet4{Addr: [4]byte(server[:4]), Port: serverPort}
	return t.net.Client.Do(func() error {
		return t.through("tcp", packetSeconds*tcpRate, tcpRate, func(from, till int) error {
			for range till - from {
				if err := connection(listener, to); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// connection opens a connection from the thread's namespace, accepts it, and closes both ends.
func connection(listener int, to unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, to); err != nil {
		return errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return errors.Join(fmt.Errorf("accept: %w", err), unix.Close(fd))
	}
	return errors.Join(unix.Close(fd), unix.Close(peer))
}
