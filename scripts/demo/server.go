package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"time"
)

// The streams are records at a steady rate, so that a pause shows. A record is its number (big endian, from 0) and
// bytes of a fixed random sequence. A TCP client that closes its half gets a last record with the number lastRecord and
// the SHA-256 of all records before it.
const (
	recordEvery = 2 * time.Millisecond
	tcpRecord   = 4096
	udpRecord   = 200
	lastRecord  = 1<<64 - 1
)

// records makes the records of one stream.
type records struct {
	random *rand.ChaCha8
	buf    []byte
	next   uint64
}

func newRecords(size int) *records {
	return &records{random: rand.NewChaCha8([32]byte{}), buf: make([]byte, size)}
}

// record returns the next record; it is valid until the next call.
func (r *records) record() []byte {
	binary.BigEndian.PutUint64(r.buf, r.next)
	r.next++
	r.random.Read(r.buf[8:])
	return r.buf
}

// serve sends a TCP stream to every client that connects, and a UDP stream to every client that sends a datagram, until
// ctx ends.
func serve(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	u, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	go serveUDP(u)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go sendTCP(conn)
	}
}

// sendTCP sends records until the client closes its half, then the checksum.
func sendTCP(conn net.Conn) {
	defer conn.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Read(make([]byte, 1))
	}()
	pace := time.NewTicker(recordEvery)
	defer pace.Stop()
	sum := sha256.New()
	for r := newRecords(tcpRecord); ; {
		select {
		case <-ended:
			last := make([]byte, tcpRecord)
			binary.BigEndian.PutUint64(last, lastRecord)
			sum.Sum(last[8:8])
			_, _ = conn.Write(last)
			return
		case <-pace.C:
			b := r.record()
			sum.Write(b)
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}
}

// serveUDP starts a stream to each new sender. The senders are the lab's own, hence few.
func serveUDP(u net.PacketConn) {
	known := make(map[string]bool)
	for b := make([]byte, 64); ; {
		_, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		if !known[from.String()] {
			known[from.String()] = true
			go sendUDP(u, from)
		}
	}
}

func sendUDP(u net.PacketConn, to net.Addr) {
	pace := time.NewTicker(recordEvery)
	defer pace.Stop()
	for r := newRecords(udpRecord); ; <-pace.C {
		// A record that a router drops is missing: that is what the client measures.
		_, _ = u.WriteTo(r.record(), to)
	}
}
