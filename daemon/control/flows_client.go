package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// FlowText asks for a list as text. The caller reads it to the end and closes it; reading ends with the daemon's
// *Error when the list is not complete, and with an error that wraps ErrUnreachable when the connection broke.
func (c *Client) FlowText(ctx context.Context, q FlowQuery, format Format) (io.ReadCloser, error) {
	return c.text(ctx, "/v1/flows", q, format)
}

// DifferenceText is FlowText for the differences between q.Table, a cache, and the kernel's table.
func (c *Client) DifferenceText(ctx context.Context, q FlowQuery, format Format) (io.ReadCloser, error) {
	return c.text(ctx, "/v1/differences", q, format)
}

// EventText is FlowText for the changes from now on of the flows that q asks for. It ends with ctx.
func (c *Client) EventText(ctx context.Context, q FlowQuery, format Format) (io.ReadCloser, error) {
	return c.text(ctx, "/v1/events", q, format)
}

// Groups counts the flows that q asks for by q.Group. Like a list it takes as long as the daemon needs for the table.
func (c *Client) Groups(ctx context.Context, q FlowQuery) (v Groups, err error) {
	return v, c.patientCall(ctx, http.MethodGet, "/v1/flows?"+q.values().Encode(), nil, &v)
}

// Page is a part of a list.
type Page struct {
	Entries []Entry
	Next    uint32 // the From of the query for the next page; 0 when there is none, or for a list without From
}

// Page reads the list that q asks for; set q.Limit.
func (c *Client) Page(ctx context.Context, q FlowQuery) (p Page, err error) {
	r, err := c.text(ctx, "/v1/flows", q, FormatNDJSON)
	if err != nil {
		return p, err
	}
	defer r.Close()
	err = each(r, func(e Entry) error { p.Entries = append(p.Entries, e); return nil })
	if s := r.resp.Trailer.Get(nextTrailer); s != "" && err == nil {
		n, perr := strconv.ParseUint(s, 10, 32)
		p.Next, err = uint32(n), perr
	}
	return p, err
}

func (c *Client) text(ctx context.Context, path string, q FlowQuery, format Format) (*flowText, error) {
	v := q.values()
	v.Set("format", string(format))
	resp, err := c.send(ctx, http.MethodGet, path+"?"+v.Encode(), nil)
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
	return each(r, fn)
}

// each calls fn for each JSON value of r.
func each[T any](r io.Reader, fn func(T) error) error {
	for d := json.NewDecoder(r); ; {
		var e T
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
