package control

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// Groups of those who may read, and of those who may also act.
var (
	ofReaders = []uint32{readers}
	ofDoers   = []uint32{readers, doers}
)

// flood opens n connections and keeps those that the server does not close.
func flood(t *testing.T, socket string, n int) {
	for range n {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Errorf("the server does not let callers in: %v", err)
			return
		}
		t.Cleanup(func() { c.Close() })
	}
}

// serveReaders serves b on a socket that the group readers may use; the group doers may act.
func serveReaders(t *testing.T, b Backend) (*Client, *Server) {
	t.Helper()
	dir := runtimeDirectory(t)
	ln, err := Listen(t.Context(), filepath.Join(dir, "s"), strconv.Itoa(readers), quietLog)
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, ln, b, func(s *Server) { s.ActBy(doers) })
	s.headerTimeout = time.Minute // silent connections stay
	c := New(ln.Addr().String())
	t.Cleanup(c.Close)
	return c, s
}

// However many connections readers open, and however many users they are, those who may act get in at once.
func TestReadersDoNotStopTheWord(t *testing.T) {
	c, _ := serveReaders(t, fake())
	nstest.As(t, somebody, ofReaders, func() { flood(t, c.socket, 1100) })
	for uid := somebody + 1; uid < somebody+10; uid++ {
		nstest.As(t, uid, ofReaders, func() { flood(t, c.socket, 2*connectionEach[reader]) })
	}
	word := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n := Notification{Type: TypeGroup, Name: "g", State: StateMaster, Source: "test"}
		began := time.Now()
		if _, err := c.Notify(ctx, n); err != nil {
			t.Error(err)
		}
		t.Logf("accepted after %v", time.Since(began))
	}
	word()
	nstest.As(t, somebody+100, ofDoers, func() {
		conn, err := net.Dial("unix", c.socket)
		if err != nil {
			t.Error(err)
			return
		}
		c = &Client{socket: c.socket, timeout: c.timeout, http: http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		}}}
		word()
	})
}

// A user gets no more places than his share, and hears why. Others of his rank still get in.
func TestPlacesOfOneUser(t *testing.T) {
	c, server := serveReaders(t, fake())
	get := func() (status, body string) {
		conn, err := net.Dial("unix", c.socket)
		if err != nil {
			t.Error(err)
			return "", ""
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Error(err)
			return "", ""
		}
		b, _ := io.ReadAll(io.LimitReader(resp.Body, resp.ContentLength))
		return resp.Status, string(b)
	}
	nstest.As(t, somebody, ofReaders, func() {
		flood(t, c.socket, connectionEach[reader])
		status, body := get()
		says := "64 connections of uid " + strconv.Itoa(somebody) + " are open"
		if !strings.HasPrefix(status, "503") || !strings.Contains(body, `"code":"crowded"`) || !strings.Contains(body, says) {
			t.Errorf("one too many: %s %s", status, body)
		}
	})
	if n := server.Requests().Crowded; n != 1 {
		t.Errorf("%d callers had no place", n)
	}
	nstest.As(t, somebody+1, ofReaders, func() {
		if status, body := get(); !strings.HasPrefix(status, "200") {
			t.Errorf("another user: %s %s", status, body)
		}
	})
}

// Lists have places of their own: readers who hold all of theirs leave those of root.
func TestReadersDoNotTakeAllLists(t *testing.T) {
	b := fake()
	b.Events = func(ctx context.Context, _ FlowQuery, fn func(*EventBatch) error) error {
		if err := fn(&EventBatch{}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	c, s := serveReaders(t, b)
	for uid := somebody; uid < somebody+4; uid++ {
		nstest.As(t, uid, ofReaders, func() {
			for range 3 * streamEach[reader] {
				conn, err := net.Dial("unix", c.socket)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { conn.Close() })
				io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
			}
		})
	}
	nstest.Eventually(t, 10*time.Second, func() bool { return s.watches.open() == watchRoom[reader] },
		func() string { return "readers do not hold their places" })
	for range watchRoom[owner] {
		r, err := c.EventText(t.Context(), FlowQuery{}, FormatText)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
	}
	if _, err := c.EventText(t.Context(), FlowQuery{}, FormatText); !hasCode(err, CodeCrowded) {
		t.Errorf("one list more than allowed: %v", err)
	}
	sum := 0
	for _, n := range watchRoom {
		sum += n
	}
	if sum != MaxWatchers {
		t.Errorf("%d places for %d watchers", sum, MaxWatchers)
	}
}

// Places are given back, each once.
func TestPlacesAreGivenBack(t *testing.T) {
	p := places{what: "x", room: [ranks]int{2, 1, 1}, each: [ranks]int{2, 1, 1}}
	a, b := taker{reader, 1}, taker{reader, 2}
	for _, step := range []struct {
		enter bool
		user  taker
		ok    bool
	}{
		{true, a, true}, {true, a, true}, {true, a, false}, {true, b, false}, {true, taker{actor, 1}, true},
		{true, taker{actor, 2}, false}, {true, taker{owner, 0}, true}, {false, a, true}, {true, b, true}, {true, a, false},
	} {
		if !step.enter {
			p.leave(step.user)
		} else if full := p.enter(step.user); (full == nil) != step.ok {
			t.Fatalf("%+v: %v", step, full)
		}
	}
	for _, u := range []taker{a, b, {actor, 1}, {owner, 0}} {
		p.leave(u)
	}
	if n := p.open(); n != 0 || len(p.users) != 0 {
		t.Errorf("%d places are taken, by %v", n, p.users)
	}
}
