package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// Requests to conntrackd's control socket, as its command line sends them: a number. The answer is text until
// conntrackd closes the socket.
const (
	askExternal   uint32 = 17 // -e
	askStatistics uint32 = 21 // -s
)

// askTimeout is how long conntrackd may take to answer: a commit keeps it busy.
const askTimeout = 60 * time.Second

func (c *conntrackd) open(question uint32) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", c.socket(), askTimeout)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(askTimeout))
	if _, err := conn.Write(binary.NativeEndian.AppendUint32(nil, question)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("ask conntrackd: %w", err)
	}
	return conn, nil
}

func (c *conntrackd) ask(question uint32) (string, error) {
	conn, err := c.open(question)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("read conntrackd's answer: %w", err)
	}
	return string(answer), nil
}

func (c *conntrackd) External(_ context.Context, each func(line []byte) error) error {
	conn, err := c.open(askExternal)
	if err != nil {
		return err
	}
	defer conn.Close()
	return eachLine(conn, each)
}

// Table returns the command that VyOS runs for `show conntrack table`.
func (c *conntrackd) Table() []string { return []string{"conntrack", "-L", "-f", "ipv4"} }

// eachLine calls each for every line of r that describes a flow.
func eachLine(r io.Reader, each func(line []byte) error) error {
	lines := bufio.NewScanner(bufio.NewReaderSize(r, 1<<20))
	for lines.Scan() {
		if line := bytes.Trim(lines.Bytes(), "\x00 "); bytes.Contains(line, []byte("src=")) {
			if err := each(line); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
