package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// FlowText asks for a list as text. The caller reads it to the end and closes it; reading ends with the daemon's
// *Error when the list is not complete, and with an error that wraps ErrUnreachable when the connection broke.
func (c *Client) FlowText(ctx context.Context, q FlowQuery, format Format) (io.ReadCloser, error) {
	v := q.values()
	v.Set("format", string(format))
	resp, err := c.send(ctx, http.MethodGet, "/v1/flows?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return &flowText{c: c, resp: resp}, nil
}

// Flows calls fn for each entry of a list until it returns an error, which Flows returns.
func (c *Client) Flows(ctx context.Context, q FlowQuery, fn func(Entry) error) error {
	r, err := c.FlowText(ctx, q, FormatNDJSON)
	if err != nil {
		return err
	}
	defer r.Close()
	for d := json.NewDecoder(r); ; {
		var e Entry
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// flowText is a list being read.
type flowText struct {
	c    *Client
	resp *http.Response
}

func (t *flowText) Read(b []byte) (int, error) {
	n, err := t.resp.Body.Read(b)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, t.c.unreachable(err)
	}
	if s := t.resp.Trailer.Get(errorTrailer); s != "" {
		e := new(Error)
		if json.Unmarshal([]byte(s), e) != nil {
			e = &Error{Message: s, Code: CodeInternal}
		}
		return n, e
	}
	return n, io.EOF
}

func (t *flowText) Close() error { return t.resp.Body.Close() }
