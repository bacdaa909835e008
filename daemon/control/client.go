package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ctsync/daemon/owned"
)

// ErrUnreachable is wrapped by every client error that means: no daemon answered. If the connection broke after it was
// made, the request may have been carried out or not.
var ErrUnreachable = errors.New("ctsyncd is not reachable")

// clientTimeout bounds a request that is answered from memory, for callers whose context has no deadline.
const clientTimeout = 10 * time.Second

// maxAnswer bounds what the client keeps of an answer that is one JSON value.
const maxAnswer = 8 << 20

// Client asks a daemon. It is safe for concurrent use.
type Client struct {
	socket  string
	timeout time.Duration
	http    http.Client
}

// New returns a client of the daemon at a socket. It does not connect yet. It speaks to no server but one of root, of
// this process's user, or of the owner of the socket's directory (SO_PEERCRED).
func New(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialServer(ctx, socket) }
	return &Client{socket: socket, timeout: clientTimeout, http: http.Client{Transport: &http.Transport{
		DialContext:        dial,
		DisableCompression: true,
		ReadBufferSize:     streamBuffer,
		MaxIdleConns:       2,
		IdleConnTimeout:    idleTimeout / 2, // before the server closes it under us
	}}}
}

// foreignServerError says that a user whom owned.Trusts does not trust serves a socket.
type foreignServerError struct{ server Caller }

func (e *foreignServerError) Error() string {
	return fmt.Sprintf("pid %d of uid %d serves it, who is neither root, nor you, nor the owner of the directory",
		e.server.PID, e.server.UID)
}

// dialServer connects to a socket if it is served by somebody to be trusted: whoever may write in the directory could
// have put a socket there. The answers go to root's terminal, and keepalived's word must reach the daemon.
func dialServer(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if server, ok := peerOf(c); !ok || !owned.Trusts(server.UID, filepath.Dir(socket)) {
		c.Close()
		return nil, &foreignServerError{server}
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns what the daemon is doing.
func (c *Client) Status(ctx context.Context) (v Status, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/status", nil, &v)
}

// Statistics returns the daemon's counters.
func (c *Client) Statistics(ctx context.Context) (v Statistics, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/statistics", nil, &v)
}

// Snapshot returns status and statistics of one moment.
func (c *Client) Snapshot(ctx context.Context) (v Snapshot, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/snapshot", nil, &v)
}

// Transitions returns the records of the last notifications, oldest first.
func (c *Client) Transitions(ctx context.Context) (v []Transition, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/transitions", nil, &v)
}

// Metrics returns the page of metrics, in the text format of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	resp, err := c.send(ctx, http.MethodGet, metricsPath, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if len(page) > maxAnswer {
		return nil, fmt.Errorf("read answer to %s: it has more than %d bytes", metricsPath, maxAnswer)
	}
	return page, nil
}

// Notify hands over a notification and returns the record that the daemon made of it, without waiting for its work.
func (c *Client) Notify(ctx context.Context, n Notification) (v Transition, err error) {
	return v, c.call(ctx, http.MethodPost, "/v1/notify", n, &v)
}

// Action runs an operation to its end and calls progress, which may be nil, as it advances. There is no time limit but
// ctx; the daemon finishes what it started even when ctx ends first.
func (c *Client) Action(ctx context.Context, a Action, progress func(done, total int)) (Result, error) {
	resp, err := c.send(ctx, http.MethodPost, "/v1/actions", a)
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxAnswer)
	for lines.Scan() {
		var l ActionLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if lines.Err() != nil { // the last line is torn because the connection broke
				break
			}
			return Result{}, fmt.Errorf("read progress of %s: %w", a.Verb, err)
		}
		switch {
		case l.Error != nil:
			return Result{}, l.Error
		case l.Result != nil:
			return *l.Result, nil
		case l.Progress != nil && progress != nil:
			progress(l.Progress.Done, l.Progress.Total)
		}
	}
	if err := lines.Err(); err != nil {
		return Result{}, c.unreachable(err)
	}
	return Result{}, c.unreachable(io.ErrUnexpectedEOF)
}

// call is patientCall for what is answered from memory.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	return c.patientCall(ctx, method, path, in, out)
}

// patientCall sends in and reads the answer into out. There is no time limit but ctx.
func (c *Client) patientCall(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read answer to %s: %w", path, err)
	}
	return nil
}

// send makes a request and returns the answer if it is not a refusal. The caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request to %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://ctsync"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request to %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// readError makes an *Error of a refusal. One that is not our JSON comes from another program on the socket.
func readError(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	e := new(Error)
	if json.Unmarshal(b, e) != nil || e.Message == "" {
		return fmt.Errorf("answer of the daemon: %s: %.200q", resp.Status, b)
	}
	return e
}

// unreachable says in plain words why no answer came. It keeps an error of the caller's context recognisable.
func (c *Client) unreachable(err error) error {
	why := "it broke off"
	foreign, isForeign := errors.AsType[*foreignServerError](err)
	switch {
	case isForeign:
		why = foreign.Error()
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		why = "it did not answer in time"
	case errors.Is(err, os.ErrNotExist):
		why = "no socket there: is it running, and with this socket?"
	case errors.Is(err, os.ErrPermission):
		why = "permission denied: be root or in the socket's group"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nobody serves the socket: is it running?"
	}
	return &unreachableError{socket: c.socket, why: why, cause: err}
}

// unreachableError is ErrUnreachable with a readable reason.
type unreachableError struct {
	socket, why string
	cause       error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("%v at %s: %s", ErrUnreachable, e.socket, e.why)
}

func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.cause} }
