package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A pause shorter than minGap is the machine's own and does not count. Of the others the last maxGaps are kept.
const (
	minGap  = 10 * time.Millisecond
	maxGaps = 1000
)

// backgroundFlows is how many more flows the client begins through the router, with one datagram each.
const backgroundFlows = 1000

// backgroundPort is the first of their destination ports on the server, where no program listens.
const backgroundPort = 20000

// Gap is a time without a record; times are nanoseconds since the epoch.
type Gap struct{ From, To int64 }

// Duration returns the length of the gap.
func (g Gap) Duration() time.Duration { return time.Duration(g.To - g.From) }

// Stream is what the client has seen of one stream.
type Stream struct {
	Records  int64
	Bytes    int64
	Last     int64 // arrival of the last record
	Gaps     []Gap // oldest first
	Err      string
	Verified bool // all records came in order, and the checksum at the end was right
}

// Status is the client's status file.
type Status struct{ TCP, UDP Stream }

func readStatus(path string) (Status, error) {
	var s Status
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// client receives both streams and updates a status file until it is stopped.
type client struct {
	mu     sync.Mutex
	status Status
}

// arrived notes a record at the present time.
func (c *client) arrived(s *Stream, size int) {
	now := time.Now().UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Records > 0 && now-s.Last >= int64(minGap) {
		s.Gaps = append(s.Gaps[max(0, len(s.Gaps)+1-maxGaps):], Gap{s.Last, now})
	}
	s.Records++
	s.Bytes += int64(size)
	s.Last = now
}

// write replaces the status file, so that a reader never sees half of it.
func (c *client) write(path string) error {
	c.mu.Lock()
	data, err := json.Marshal(c.status)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// receive runs the client until ctx ends; then it closes its half of the TCP connection and verifies the stream.
func receive(ctx context.Context, address, statusPath string) error {
	tcp, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer tcp.Close()
	udp, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer udp.Close()
	if err := background(address); err != nil {
		return err
	}

	c := new(client)
	tcpDone := make(chan struct{})
	go func() {
		defer close(tcpDone)
		c.receiveTCP(tcp)
	}()
	go c.receiveUDP(udp)

	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if err := c.write(statusPath); err != nil {
				return err
			}
		}
	}
	_ = tcp.(*net.TCPConn).CloseWrite()
	select {
	case <-tcpDone:
	case <-time.After(2 * time.Second):
	}
	return c.write(statusPath)
}

// receiveTCP reads records until the stream ends, and checks their order and the checksum.
func (c *client) receiveTCP(conn net.Conn) {
	fail := func(err error) {
		c.mu.Lock()
		c.status.TCP.Err = err.Error()
		c.mu.Unlock()
	}
	sum := sha256.New()
	b := make([]byte, tcpRecord)
	for want := uint64(0); ; want++ {
		if _, err := io.ReadFull(conn, b); err != nil {
			fail(err)
			return
		}
		switch got := binary.BigEndian.Uint64(b); {
		case got == lastRecord:
			if !bytes.Equal(b[8:8+sha256.Size], sum.Sum(nil)) {
				fail(errors.New("the checksum is wrong"))
				return
			}
			c.mu.Lock()
			c.status.TCP.Verified = true
			c.mu.Unlock()
			return
		case got != want:
			fail(fmt.Errorf("record %d came, want %d", got, want))
			return
		}
		sum.Write(b)
		c.arrived(&c.status.TCP, tcpRecord)
	}
}

// receiveUDP asks for the stream until it flows, and then only listens: a datagram of the client would make a new flow
// on another router.
func (c *client) receiveUDP(conn net.Conn) {
	b := make([]byte, udpRecord)
	for flowing := false; ; {
		if !flowing {
			_, _ = conn.Write([]byte("start"))
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		}
		n, err := conn.Read(b)
		if err != nil {
			continue // the deadline, or an ICMP error of a router: the stream may still come
		}
		if !flowing {
			flowing = true
			_ = conn.SetReadDeadline(time.Time{})
		}
		c.arrived(&c.status.UDP, n)
	}
}

// background begins flows that stay idle, so that there is more to restore than two.
func background(address string) error {
	server, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range backgroundFlows {
		to := &net.UDPAddr{IP: server.IP, Port: backgroundPort + i}
		if _, err := conn.WriteToUDP([]byte("x"), to); err != nil {
			return err
		}
	}
	return nil
}
