package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// connect opens a connection that the test speaks on by itself.
func connect(t *testing.T, c *Client) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answered fails unless the server serves c promptly.
func answered(t *testing.T, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.Status(ctx); err != nil {
		t.Error(err)
	}
}

func TestSilentConnectionsHarmNobody(t *testing.T) {
	c := start(t, fake())
	var silent []net.Conn
	for range 100 {
		silent = append(silent, connect(t, c))
	}
	answered(t, c)
	// Nobody waits for them without end either.
	for _, conn := range silent {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Fatalf("a silent connection is still open: %v", err)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	c := start(t, fake())
	for name, bytes := range map[string]string{
		"garbage":        "\x00\x01\xff\xfe garbage \r\n\r\n",
		"conntrackd":     "\x10\x00\x00\x00",
		"half a request": "POST /v1/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"type\":",
		"half a header":  "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-A",
		"endless header": "GET /v1/status HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4096),
		"huge body":      "POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("[", 1_000_000),
		"deep JSON":      "POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 16000\r\n\r\n" + strings.Repeat("[", 16000),
		"bad chunk":      "POST /v1/notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		"HTTP/2":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"no host":        "GET /v1/status HTTP/1.1\r\n\r\n",
		"two lengths":    "POST /v1/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"long query":     "GET /v1/flows?table=internal&sort=" + strings.Repeat("a", 8000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"options":        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"proxy":          "CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: 192.0.2.1:22\r\n\r\n",
		"negative":       "POST /v1/notify HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, c)
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			go io.WriteString(conn, bytes) // the server may refuse to read it all
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && resp.StatusCode/100 != 4 {
				t.Errorf("status %s", resp.Status)
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the server still waits")
			}
			answered(t, c)
		})
	}
}

// TestDribble sends a request so slowly that it would never end: the server does not go along.
func TestDribble(t *testing.T) {
	c := start(t, fake())
	conn := connect(t, c)
	io.WriteString(conn, "POST /v1/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(conn)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("the server still listens")
	}
	if len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		t.Errorf("%.100q", b)
	}
	answered(t, c)
}

// Readers who stop reading hold a place in a bounded number of lists, and nothing else.
func TestSlowReaders(t *testing.T) {
	b := fake()
	b.Flows = func(ctx context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
		for i := 0; ctx.Err() == nil; i++ {
			if err := fn(sampleFlow(i%1000), Meta{}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	ln, err := Listen(t.Context(), filepath.Join(t.TempDir(), "s"), "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	server := serveOn(t, ln, b)
	c := New(ln.Addr().String())
	q := FlowQuery{Table: TableKernel}
	var open []io.ReadCloser
	for range streamEach[owner] {
		r, err := c.FlowText(context.Background(), q, FormatVyOS)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		open = append(open, r)
	}
	if _, err := c.FlowText(context.Background(), q, FormatVyOS); !hasCode(err, CodeCrowded) {
		t.Errorf("one list more than allowed: %v", err)
	}
	answered(t, c)
	// They lose it after streamTimeout, and can tell a list that was cut off from a whole one.
	for deadline := time.Now().Add(20 * time.Second); server.streams.open() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("unread lists are still held")
		}
	}
	for _, r := range open {
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrUnreachable) {
			t.Errorf("a list that was cut off ends with %v", err)
		}
	}
}
