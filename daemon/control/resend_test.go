package control

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The list of vectors/cli/stats-all-sender-mcast.txt.
func TestResendFormats(t *testing.T) {
	c := start(t, fake())
	for format, want := range map[Format]string{
		FormatConntrackd: "resent queue (len=3)\ncontrol -> seq:1795381300 flags:8\nobject -> seq:1795381301\nobject -> seq:1795381304\n",
		FormatNDJSON: `{"kind":"control","seq":1795381300,"flags":8}` + "\n" + `{"kind":"object","seq":1795381301}` + "\n" +
			`{"kind":"object","seq":1795381304}` + "\n",
	} {
		r, err := c.ResendText(context.Background(), format)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n got %s\nwant %s", format, err, got, want)
		}
	}
	if _, err := c.ResendText(context.Background(), FormatVyOS); !hasCode(err, CodeBadRequest) {
		t.Errorf("format vyos: %v", err)
	}
	b := fake()
	b.Resend = func(context.Context) ([]Resend, error) { return nil, nil }
	r, err := start(t, b).ResendText(context.Background(), FormatConntrackd)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "resent queue (len=0)\n" {
		t.Errorf("nothing in flight: %q, %v", got, err)
	}
}

// What conntrackd's -s runtime has lines for and never counts.
func TestRequestsCounted(t *testing.T) {
	var s *Server
	c := start(t, fake(), func(server *Server) { s = server })
	ask := func(request string) {
		t.Helper()
		conn := connect(t, c)
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		conn.(*net.UnixConn).CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			resp.Body.Close()
		}
	}
	ask("GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	ask("GET /v1/flows?table=none HTTP/1.1\r\nHost: x\r\n\r\n")
	ask("POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{\"verb\":\"jump\"}")
	ask("POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"verb\":")
	ask("POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n\"" + strings.Repeat("x", 19999))
	if got, want := s.Requests(), (RequestStatistics{Unknown: 3, ReadFailed: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
